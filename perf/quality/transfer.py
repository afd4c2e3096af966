"""What earlier experiments are worth: methods with and without them on tasks of the LCBench network, in simulated time.

    tunewright tables add yahpo --from ../shared/data/yahpo/lcbench
    python perf/quality/transfer.py --seeds 5
    python perf/quality/transfer.py --choosing --seeds 10 --methods RandomSearch BayesianOptimization QuantileTransfer CGP

Random search on other tasks is stored first, then every method runs on the targets; cells that are stored already are
skipped. Printed is the regret: percent of accuracy below the best value that any of these runs found on the task,
at a quarter, half and all of the time, and at most the value of a model before training. Means are over tasks, of means over seeds; the intervals take both as
crossed factors, and each task and seed draws random numbers of its own. With ``--choosing`` each task of plan_choosing.json is the target
once, with the budget there, and the other tasks of it are the earlier experiments: settings are chosen here. The table's values are predictions of a network, not recordings.
"""

# pyright: basic
from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from compare import by_task

from tunewright.analysis.aggregate import crossed_mean
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.events import ResultEvent
from tunewright.experiments import Experiment, Limits, MethodSpec, method, run_plan
from tunewright.journal import read_events
from tunewright.storage import ExperimentFolder

SOURCES = ("3945", "34539", "126025", "167149", "167184", "168868")
TARGETS = ("126029", "167200", "189906")
EARLIER = "transfer-earlier"
METHODS: dict[str, tuple[MethodSpec, bool]] = {
    "RandomSearch": (method("RandomSearch"), False),
    "RandomSearch, warm": (method("RandomSearch"), True),
    "ZeroShot": (method("ZeroShot"), True),
    "QuantileTransfer": (method("QuantileTransfer"), True),
    "CGP": (method("CGP"), True),
    "BayesianOptimization": (method("BayesianOptimization"), False),
    "BayesianOptimization, warm": (method("BayesianOptimization"), True),
    "BoundingBox": (method("BoundingBox"), True),
    "TransferGP": (method("TransferGP"), True),
    "ASHA": (method("ASHA"), False),
    "ASHA, warm": (method("ASHA"), True),
    "ASHACTS": (method("ASHACTS"), True),
    "ASHACGP": (method("ASHACGP"), True),
    "RUSH": (method("RUSH"), True),
    "auto": (method("auto"), False),
    "auto, warm": (method("auto"), True),
}
_COLD = {
    "RandomSearch": ("RandomSearch, warm", "ZeroShot", "QuantileTransfer"),
    "BayesianOptimization": ("BayesianOptimization, warm", "BoundingBox", "TransferGP", "CGP"),
    "ASHA": ("ASHA, warm", "ASHACTS", "ASHACGP", "RUSH"),
    "auto": ("auto, warm",),
}
COLD = {label: base for base, labels in _COLD.items() for label in labels}
"""The method without earlier experiments that each is compared with."""
PARTS = (0.25, 0.5, 1.0)


def cell(task: str, label: str, spec: MethodSpec, seed: int, **changes: object) -> Experiment:
    """One experiment on a task."""
    fields = {
        "benchmark": simulated_benchmark(f"yahpo-lcbench-{task}"),
        "method": spec,
        "label": label,
        "backend": SimulatedConfig(profile="ideal"),
        "seed": seed,
        "seed_per_benchmark": True,
    }
    return Experiment(**{**fields, **changes})  # type: ignore[arg-type] - named above


def incumbents(folder: str, times: list[float], untrained: float) -> list[float]:
    """The best accuracy found until each time, at least that of a model before training."""
    best = [untrained] * len(times)
    for event in read_events(ExperimentFolder(Path(folder)).journal_path):
        if isinstance(event, ResultEvent):
            value = event.metrics["val_accuracy"]
            best = [max(b, value) if event.t <= time else b for b, time in zip(best, times, strict=True)]
    return best


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1800.0, help="simulated seconds of each experiment")
    parser.add_argument("--trials", type=int, default=50, help="trials of each earlier experiment")
    parser.add_argument("--choosing", action="store_true", help="each task of plan_choosing.json once")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    given = parser.parse_args()
    here = Path(__file__).parent
    budgets = dict.fromkeys(TARGETS, given.seconds)
    if given.choosing:
        tasks = json.loads((here / "plan_choosing.json").read_text())["tasks"]
        budgets = {task["task"]: task["budget"] for task in tasks}
    sources = tuple(budgets) if given.choosing else SOURCES
    errors = json.loads((here / "untrained.json").read_text())["model.onnx"]
    earlier = [
        cell(
            task,
            "RS",
            method("RandomSearch"),
            0,
            tag=f"{EARLIER}-{task}",
            limits=Limits(max_num_trials=given.trials),
        )
        for task in sources
    ]
    run_plan(earlier, n_processes=given.jobs, resume=True)
    plan = [
        cell(
            task,
            label,
            METHODS[label][0],
            100 + seed,
            tag="transfer-choosing" if given.choosing else "transfer",
            limits=Limits(max_wallclock_time=budgets[task]),
            warm_start=tuple(f"{EARLIER}-{one}" for one in sources if one != task)
            if METHODS[label][1]
            else (),
        )
        for seed in range(given.seeds)
        for task in budgets
        for label in given.methods
    ]
    found: dict[str, dict[tuple[str, int], list[float]]] = defaultdict(dict)
    for done in run_plan(plan, n_processes=given.jobs, resume=True):
        if done.error or done.folder is None:
            raise SystemExit(str(done.error))
        one = done.experiment
        task = one.benchmark.name.removeprefix("yahpo-lcbench-")
        times = [budgets[task] * part for part in PARTS]
        untrained = 100.0 - errors[task]
        found[one.label][one.benchmark.name, one.seed] = incumbents(str(done.folder.path), times, untrained)
    report(found)


def report(found: dict[str, dict[tuple[str, int], list[float]]]) -> None:
    """Print the mean regrets, and the paired difference at the end to the method without earlier experiments."""
    tasks = {task for runs in found.values() for task, _ in runs}
    best = {
        task: max(v[-1] for runs in found.values() for (name, _), v in runs.items() if name == task)
        for task in tasks
    }
    regrets = {
        label: by_task({key: [best[key[0]] - value for value in values] for key, values in runs.items()})
        for label, runs in found.items()
    }
    for label, parts in regrets.items():
        means = " / ".join(f"{mean:.2f}" for mean in crossed_mean(parts).centre)
        medians = " / ".join(f"{median:.2f}" for median in np.median(np.concatenate(parts), axis=0))
        base = regrets.get(COLD.get(label, ""))
        change = [] if base is None else [mine - cold for mine, cold in zip(parts, base, strict=True)]
        print(f"{label:28} {means}   medians {medians}   {against(change) if change else ''}")


def against(differences: list[np.ndarray]) -> str:
    """The mean difference at each time with its 95 % interval."""
    band = crossed_mean(differences)
    return " / ".join(
        f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"
        for mean, low, high in zip(band.centre, band.low, band.high, strict=True)
    )


if __name__ == "__main__":
    main()
