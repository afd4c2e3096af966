"""Run settings of a method on choosing and checked tasks, and compare them with its defaults: what was tried for goals that were missed.

    python benchmarking/nursery/benchmark_all/variants.py auto --seeds 0 3
    python benchmarking/nursery/benchmark_all/variants.py final --seeds 10 18

Finished runs are kept under the tag ``variants-auto`` or ``variants-final``; another call adds seeds.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from page import compared, interval
from plan import PLAN

from tunewright.analysis import load
from tunewright.analysis.summaries import BenchmarkSummary, summarise
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.cli.output import plan_progress
from tunewright.experiments import Experiment, ExperimentPlan, Limits, method, run_plan
from tunewright.methods import MethodSpec

QUALITY = Path(__file__).parents[3] / "perf" / "quality"


@dataclass(frozen=True)
class Trial:
    """Variants of a method; the first one has its defaults."""

    variants: dict[str, MethodSpec]
    choosing: Sequence[str]
    """Grounds whose choosing tasks are used."""
    checked: Sequence[str]
    """Grounds whose checked tasks are used."""


_FINAL = {"acquisition": "log_ei", "targets": "rank"}
TRIALS = {
    "auto": Trial(
        {
            "auto": method("auto"),
            "least_share=0.05": method("Adaptive", least_share=0.05),
            "search=wide": method("Adaptive", search="wide", max_observations=300),
            "both": method("Adaptive", least_share=0.05, search="wide", max_observations=300),
            "MOBSTER": method("MOBSTER"),
            "HyperTune-JOINT": method("HyperTune", model="joint"),
        },
        choosing=("network", "taskset"),
        checked=("rows",),
    ),
    "final": Trial(
        {
            "BO": method("BayesianOptimization"),
            "search=wide": method("BayesianOptimization", search="wide"),
            "log_ei, rank": method("BayesianOptimization", **_FINAL),
            "log_ei, rank, wide": method("BayesianOptimization", **_FINAL, search="wide"),
            "log_ei, box_cox, wide": method(
                "BayesianOptimization", acquisition="log_ei", targets="box_cox", search="wide"
            ),
            "TPE": method("TPE"),
            "BORE": method("BORE"),
            "RandomForestBO": method("RandomForestBO"),
        },
        choosing=(),
        checked=("fcnet", "nas201"),
    ),
}


def benchmarks(trial: Trial) -> Iterator[SurrogateBenchmarkDefinition]:
    """Choosing and checked tasks whose tables are here."""
    plans = [json.loads((QUALITY / f"plan_choosing{end}.json").read_text()) for end in ("", "_taskset")]
    budgets = {task["task"]: float(task["budget"]) for plan in plans for task in plan["tasks"]}
    profile = PLAN.profiles["ideal"]
    for name in trial.choosing:
        ground = PLAN.grounds[name]
        tasks = {task: budgets[ground.peers_name(task)] for task in ground.choosing}
        yield from PLAN.benchmarks(replace(ground, checked=tasks), profile, "checked")
    for name in trial.checked:
        yield from PLAN.benchmarks(PLAN.grounds[name], profile, "checked")


def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("trial", choices=sorted(TRIALS))
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 3), metavar=("FIRST", "END"))
    parser.add_argument("--n_jobs", type=int, default=0, help="processes; 0: one for each processor")
    given = parser.parse_args()
    trial, tag = TRIALS[given.trial], f"variants-{given.trial}"
    cells = [
        Experiment(
            tag=tag,
            benchmark=benchmark,
            method=spec,
            label=label,
            backend=SimulatedConfig(profile="ideal"),
            seed=seed,
            seed_per_benchmark=True,
            limits=Limits(max_wallclock_time=benchmark.max_wallclock_time),
        )
        for seed in range(*given.seeds)
        for benchmark in benchmarks(trial)
        for label, spec in trial.variants.items()
    ]
    if not cells:
        raise SystemExit("No table of these tasks is here: plan.toml has the commands")
    plan = ExperimentPlan(tuple(cells)).validated()
    with plan_progress(len(plan)) as look:
        run_plan(plan, n_processes=given.n_jobs, resume=True, look=look, say=print)
    every = load(tag)
    print_table(list(trial.variants), {name: summarise(every, name) for name in every.benchmarks})


def print_table(labels: Sequence[str], summaries: dict[str, BenchmarkSummary]) -> None:
    """Share of pairs in which each variant is better than the first one, with its interval."""
    print("| variant | pairs | better at 50 % | better at 100 % |\n|---|---|---|---|")
    for label in labels[1:]:
        found = [compared(label, labels[0], share, summaries) for share in (0.5, 1.0)]
        cells = " | ".join(map(interval, found))
        print(f"| {label} | {found[-1].n_pairs} | {cells} |")


if __name__ == "__main__":
    main()
