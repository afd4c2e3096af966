"""Epochs that PASHA trains against ASHA, and how good the configuration is that each would recommend.

    python perf/quality/pasha.py --peers ../shared/peers --trials 128 --seeds 0 3

Both methods start the same number of trials, four at a time, and end what they have begun; one line per task and seed,
then the means. Recommended is the trial with the lowest loss among those that were trained longest; its quality is its loss
after all epochs, as if it were trained again, and the regret is what that is above the best of all trials of both.
"""

# pyright: basic
from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by BLAS when it is loaded, below
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from run import search_space
from tables_of_peers import load_tables, task_seed

from tunewright.backends.simulated import SimulatedBackend, SimulatedConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.journal import MemoryJournal
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.stopping import MaxTrialsStarted
from tunewright.tuner import Tuner


def run(table: Any, name: str, seed: int, n_trials: int) -> tuple[int, float, list[float]]:
    """Epochs trained, loss of what is recommended after all epochs, and that of every trial."""
    top, metric = table.space["max_resource"], table.space["metric"]
    curves: dict[tuple[Any, ...], Any] = {}

    def curve(config: Any) -> Any:
        key = tuple(config.values())
        if key not in curves:
            curves[key] = table.curve(dict(config))
        return curves[key]

    def train(config: Any, epoch: int) -> tuple[dict[str, float], float]:
        values, elapsed = curve(config)
        return {metric: float(values[epoch - 1])}, float(np.diff(elapsed, prepend=0.0)[epoch - 1])

    benchmark = RealBenchmarkDefinition(
        name="table",
        script="none",
        space=search_space(table),
        metrics=(Metric(metric, table.space["mode"]),),
        max_resource=top,
        n_workers=4,
    )
    history = Tuner(
        build_scheduler(method(name), benchmark, seed, {}),
        SimulatedBackend(train, n_workers=4, max_resource=top, config=SimulatedConfig(profile="ideal")),
        metrics=benchmark.metrics,
        stop_when=MaxTrialsStarted(n_trials),
        journal=MemoryJournal(),
    ).run()
    trials = [history.trial(trial_id) for trial_id in range(history.n_trials)]
    reached = [(t, result) for t in trials if (result := history.last(t.id)) is not None]
    best, _ = min(reached, key=lambda pair: (-pair[1].resource, pair[1].metrics[metric]))
    return (
        history.n_results,
        float(curve(best.config)[0][-1]),
        [float(curve(t.config)[0][-1]) for t in trials],
    )


def main() -> None:
    """Print a line per task and seed, and the means."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"))
    parser.add_argument("--plan", default="plan_network.json")
    parser.add_argument("--trials", type=int, default=128)
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 3), metavar=("FIRST", "END"))
    given = parser.parse_args()
    tables = load_tables(given.peers)
    plan = json.loads((given.peers / given.plan).read_text())
    ratios, regrets = [], []
    print(
        "| task | seed | epochs ASHA | PASHA | ratio | regret ASHA | PASHA |\n|---|---|---|---|---|---|---|"
    )
    for task in plan["tasks"]:
        table = tables.load(given.peers / plan["data"] / task["table"], task["task"])
        for seed in range(*given.seeds):
            drawn = task_seed(task["task"], seed)
            asha, pasha = (run(table, name, drawn, given.trials) for name in ("ASHA", "PASHA"))
            lowest = min(*asha[2], *pasha[2])
            ratios.append(asha[0] / pasha[0])
            regrets.append((asha[1] - lowest, pasha[1] - lowest))
            print(
                f"| {task['task']} | {seed} | {asha[0]} | {pasha[0]} | {ratios[-1]:.2f} "
                f"| {regrets[-1][0]:.2f} | {regrets[-1][1]:.2f} |",
                flush=True,
            )
    mean = np.mean(regrets, axis=0)
    print(f"| mean | | | | {np.mean(ratios):.2f} | {mean[0]:.2f} | {mean[1]:.2f} |")


if __name__ == "__main__":
    main()
