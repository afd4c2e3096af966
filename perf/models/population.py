"""PB2 and PBT beside Ray Tune's: the best loss of a population of four that is trained in turn.

    python perf/models/population.py run PB2 PBT --seeds 20 >> FILE
    python -m venv /tmp/ray && /tmp/ray/bin/pip install "ray[tune]" scikit-learn && /tmp/ray/bin/python perf/models/population.py ray --seeds 20 >> FILE
    python perf/models/population.py table FILE

"ray" asks the scheduler of Ray's PB2 itself which members are replaced, and by what, without Ray's processes. Members wait for each other every five steps, and one of four is replaced (Ray's ``synch=True``). Every member trains for 100 steps. Each program draws its own first configurations. A line has the best loss after every fifth step; for ``schedule`` the loss is 100 - accuracy. The table has means over seeds, and the
difference of ours from Ray's at the end with its 95 % bootstrap interval, paired by seed.
"""

# pyright: basic
# ruff: noqa: PLC0415 - each program is imported in an environment of its own
from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by BLAS when it is loaded, below

import argparse
import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

MEMBERS, INTERVAL, END = 4, 5, 100


@dataclass(frozen=True)
class Problem:
    """A training whose best hyperparameters may change under way."""

    domains: dict[str, tuple[float, float]]
    """Bounds, all linear."""
    begin: Callable[[], list[float]]
    """The state before the first step."""
    step: Callable[[list[float], dict[str, float], int], list[float]]
    """The state after a further step (its number, >= 1)."""
    loss: Callable[[list[float]], float]


def _toy(state: list[float], config: dict[str, float], step: int) -> list[float]:
    """Jaderberg et al. 2017, figure 2: gradients of a surrogate, whose weights are the hyperparameters; both are best at 1."""
    return [u - 0.02 * 2 * config[name] * u for u, name in zip(state, ("h0", "h1"), strict=True)]


def _schedule(state: list[float], config: dict[str, float], step: int) -> list[float]:
    """Accuracy grows at a rate that is best for one learning rate, which rises until half of the way and falls then (as in Ray's example ``pbt_function``)."""
    (accuracy,) = state
    half = accuracy / 50 if accuracy < 50 else (100 - accuracy) / 50
    off = abs(config["log_lr"] - math.log10(0.001 + 0.099 * half))
    change = 2.0 * math.exp(-((off / 0.3) ** 2)) - 0.2 * min(off, 1.0)
    return [min(max(accuracy + change, 0.0), 100.0)]


_CURVATURES = [10.0 ** (-2 * i / 9) for i in range(10)]


def _descent(state: list[float], config: dict[str, float], step: int) -> list[float]:
    """Gradients with noise on a parabola of ten dimensions, with momentum; large rates are best at first and small ones at the end."""
    noise = np.random.default_rng(step).standard_normal(10)
    places, speeds = state[:10], state[10:]
    rate = 10.0 ** config["log_lr"]
    speeds = [
        config["momentum"] * v - rate * (c * u + 0.5 * z)
        for u, v, c, z in zip(places, speeds, _CURVATURES, noise.tolist(), strict=True)
    ]
    return [max(-1e6, min(u + v, 1e6)) for u, v in zip(places, speeds, strict=True)] + speeds


def _parabola(state: list[float]) -> float:
    return math.log10(sum(c * u**2 for c, u in zip(_CURVATURES, state[:10], strict=True)) + 1e-12)


PROBLEMS = {
    "toy": Problem(
        {"h0": (0.0, 1.0), "h1": (0.0, 1.0)}, lambda: [0.9, 0.9], _toy, lambda x: x[0] ** 2 + x[1] ** 2
    ),
    "schedule": Problem({"log_lr": (-4.0, 0.0)}, lambda: [0.0], _schedule, lambda x: 100.0 - x[0]),
    "descent": Problem(
        {"log_lr": (-4.0, 0.5), "momentum": (0.0, 0.99)}, lambda: [3.0] * 10 + [0.0] * 10, _descent, _parabola
    ),
}


def ours(chosen: str, problem: Problem, seed: int, n_workers: int) -> dict[int, float]:
    """Least loss by step."""
    from tunewright.asktell import AskTell
    from tunewright.benchmarks import RealBenchmarkDefinition
    from tunewright.methods import build_scheduler, method
    from tunewright.metric import Metric
    from tunewright.space import Float, SearchSpace
    from tunewright.trial import Decision

    metric = Metric("loss")
    benchmark = RealBenchmarkDefinition(
        name="population",
        script="none",
        space=SearchSpace({name: Float(low, high) for name, (low, high) in problem.domains.items()}),
        metrics=(metric,),
        max_resource=END,
        points_to_evaluate=(),
    )
    kind, *settings = chosen.split(",")
    given = {"population_size": MEMBERS, "perturbation_interval": INTERVAL}
    spec = method(kind, **given, **dict(pair.split("=", 1) for pair in settings))
    tuning = AskTell(build_scheduler(spec, benchmark, seed, {}), [metric])
    states: dict[tuple[int, int], list[float]] = {}
    least: dict[int, float] = {}
    for _ in range(MEMBERS * END // INTERVAL // n_workers):
        for asked in [tuning.ask() for _ in range(n_workers)]:
            if asked is None:
                continue
            source = asked.trial_id if asked.from_trial is None else asked.from_trial
            state = states[source, asked.resume_from] if asked.resume_from else problem.begin()
            for step in range(asked.resume_from + 1, END + 1):
                state = problem.step(state, dict(asked.config), step)
                states[asked.trial_id, step] = state
                loss = problem.loss(state)
                least[step] = min(loss, least.get(step, math.inf))
                if tuning.tell(asked, {"loss": loss}, step).decision is not Decision.CONTINUE:
                    break
            else:
                tuning.complete(asked)
    return least


def rays(problem: Problem, seed: int) -> dict[int, float]:
    """Least loss by step: the scheduler's own choices of members and configurations, without Ray's processes."""
    from ray.tune.schedulers.pb2 import PB2
    from ray.tune.schedulers.pbt import _PBTTrialState

    class Member:
        """What the scheduler reads of a trial."""

        def __init__(self, config: dict[str, float]) -> None:
            self.config, self.state = config, problem.begin()
            self.evaluated_params: dict[str, float] = {}
            self.experiment_tag = ""

        def is_finished(self) -> bool:
            return False

    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - Ray draws from it
    scheduler = PB2(
        time_attr="step",
        metric="loss",
        mode="min",
        perturbation_interval=INTERVAL,
        hyperparam_bounds={name: list(pair) for name, pair in problem.domains.items()},
        synch=True,
    )
    members = [
        Member({name: random.uniform(*pair) for name, pair in problem.domains.items()})
        for _ in range(MEMBERS)
    ]
    scheduler._trial_state = {member: _PBTTrialState(member) for member in members}
    least: dict[int, float] = {}
    for begin in range(0, END, INTERVAL):
        end = begin + INTERVAL
        for member in members:
            for step in range(begin + 1, end + 1):
                member.state = problem.step(member.state, member.config, step)
                least[step] = min(problem.loss(member.state), least.get(step, math.inf))
            result = {"loss": problem.loss(member.state), "step": end}
            scheduler._save_trial_state(scheduler._trial_state[member], end, result, member)
        worst, best = scheduler._quantiles()
        for member in worst:
            source = random.choice(best)
            member.config, _ = scheduler._get_new_config(member, source)
            member.state = source.state
    return least


def table(files: list[Path]) -> None:
    """Print means, and differences from Ray's."""
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    rng = np.random.default_rng(0)
    print(
        "| problem | program | seeds | after 25, 50 and 100 steps | ours minus Ray's |\n|---|---|---|---|---|"
    )
    for problem in PROBLEMS:
        runs = {
            name: {x["seed"]: x["best"] for x in lines if (x["problem"], x["program"]) == (problem, name)}
            for name in sorted({x["program"] for x in lines})
        }
        for name, curves in runs.items():
            if not curves:
                continue
            means = " / ".join(
                f"{np.mean([curve[at] for curve in curves.values()]):.3g}" for at in (4, 9, 19)
            )
            peer, difference = runs.get("Ray: PB2", {}), ""
            both = sorted(curves.keys() & peer.keys())
            if both and not name.startswith("Ray"):
                d = np.array([curves[seed][-1] - peer[seed][-1] for seed in both])
                low, high = np.quantile(rng.choice(d, (5000, len(d))).mean(axis=1), [0.025, 0.975])
                difference = f"{d.mean():+.3g} ({low:+.3g} to {high:+.3g})"
            print(f"| {problem} | {name} | {len(curves)} | {means} | {difference} |")


def main() -> None:
    """Run, or print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "ray"):
        runs = commands.add_parser(name)
        if name == "run":
            runs.add_argument("methods", nargs="+", metavar="METHOD[,NAME=VALUE...]")
            runs.add_argument("--workers", type=int, default=MEMBERS)
        runs.add_argument("--problems", nargs="+", default=list(PROBLEMS))
        runs.add_argument("--seeds", type=int, default=20)
    commands.add_parser("table").add_argument("files", nargs="+", type=Path)
    given = parser.parse_args()
    if given.command == "table":
        table(given.files)
        return
    for seed in range(given.seeds):
        for problem in given.problems:
            for chosen in given.methods if given.command == "run" else ["Ray: PB2"]:
                is_ours = given.command == "run"
                least = (
                    ours(chosen, PROBLEMS[problem], seed, given.workers)
                    if is_ours
                    else rays(PROBLEMS[problem], seed)
                )
                best = np.minimum.accumulate([least[step] for step in range(1, END + 1)])
                line = {
                    "problem": problem,
                    "program": chosen
                    if not is_ours or given.workers == MEMBERS
                    else f"{chosen}, {given.workers} worker",
                    "seed": seed,
                    "version": version("tunewright" if is_ours else "ray"),
                    "best": [float(f"{value:.6g}") for value in best[INTERVAL - 1 :: INTERVAL]],
                }
                print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
