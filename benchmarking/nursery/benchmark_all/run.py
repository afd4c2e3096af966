"""Run a part of the plan of the comparison; finished experiments are skipped, interrupted ones continued.

    python benchmarking/nursery/benchmark_all/run.py --ground network --method 'RS,ASHA*,auto' --seeds 0 3 --n_jobs 1

Without flags it runs the whole plan of the ideal profile on the judging tasks. Tables that are not here are left out; ``plan.toml`` has
the command that gets each.
"""

try:
    from tunewright.cli.output import plan_progress, report_plan
except ModuleNotFoundError as error:
    if error.name != "tunewright":
        raise
    raise SystemExit(f"{error}. Run with .venv/bin/python, or first: pip install -e '.[analysis]'") from None

import argparse

from baselines import SEVERAL, methods
from cells import cells, tag_of
from plan import PLAN, chosen

from tunewright.experiments import ExperimentPlan, run_plan


def main() -> int:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--profile", choices=sorted(PLAN.profiles), default="ideal")
    parser.add_argument("--ground", help="names or globs, with commas; all of the profile by default")
    parser.add_argument("--method", help="labels or globs, with commas")
    parser.add_argument("--benchmark", help="names or globs, with commas")
    parser.add_argument(
        "--seeds", nargs=2, type=int, default=(0, max(PLAN.seeds.values())), metavar=("FIRST", "END")
    )
    parser.add_argument("--tasks", choices=("judging", "checked"), default="judging")
    parser.add_argument("--n_jobs", type=int, default=0, help="processes; 0: one for each processor")
    parser.add_argument("--dry_run", action="store_true", help="print the cells only")
    given = parser.parse_args()
    profile = PLAN.profiles[given.profile]
    grounds = [PLAN.grounds[name] for name in chosen(given.ground, list(profile.grounds))]
    labels = chosen(given.method, list(methods | SEVERAL))
    plan = cells(profile, grounds, labels, range(*given.seeds), given.tasks)
    names = chosen(given.benchmark, list(dict.fromkeys(cell.benchmark.name for cell in plan)))
    plan = [cell for cell in plan if cell.benchmark.name in names]
    if not plan:
        raise SystemExit("No cell of the plan is left: see --help, and the commands of plan.toml for tables")
    if given.dry_run:
        print("\n".join(f"{cell.benchmark.name} {cell.label} {cell.seed}" for cell in plan))
        return 0
    valid = ExperimentPlan(tuple(plan)).validated(skip=print)
    with plan_progress(len(valid)) as look:
        results = run_plan(valid, n_processes=given.n_jobs, resume=True, look=look, say=print)
    return report_plan(results, tag=tag_of(profile))


if __name__ == "__main__":
    raise SystemExit(main())
