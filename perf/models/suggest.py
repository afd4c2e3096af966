"""CPU milliseconds of suggestions, over trials of random learning curves: mean and largest, by method.

    python perf/models/suggest.py [METHOD[,NAME=VALUE...]=N_TRIALS ...]

A trial reports 27 times at most, four run at a time. Suggestions that promote a trial count as well.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by BLAS when it is loaded, below
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import sys
import time
from typing import Any

import numpy as np

from tunewright.backends.simulated import SimulatedBackend
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.interfaces import Scheduler
from tunewright.journal import MemoryJournal
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.tuner import Tuner

DEFAULT = (
    "BO=64",
    "BO=500",
    "MOBSTER=100",
    "MOBSTER=3100",
    "HyperTune=100",
    "KDE=200",
    "BOHB=500",
    "BORE=150",
    "CQR=150",
    "DEHB=500",
    "SyncHyperband=500",
    "FreezeThaw=100",
    "DyHPO=40",
)
SPACE = SearchSpace({f"x{i}": Float(0.0, 1.0) for i in range(6)})
METRIC = Metric("loss")
EPOCHS = 27


def train(config: Any, epoch: int) -> tuple[dict[str, float], float]:
    """A curve that falls to a limit; wide nets of small steps fall more slowly."""
    x = np.array(list(config.values()))
    limit = float(((x - 0.4) ** 2).sum() + 0.2 * np.sin(9 * x[0]))
    return {"loss": limit + (0.3 + x[1]) / epoch**0.7}, 1.0 + float(x[2])


class Timed(Scheduler):
    """Passes every call on and keeps the CPU time of each suggestion."""

    def __init__(self, inner: Scheduler) -> None:
        self.inner = inner
        self.seconds: list[float] = []

    def suggest(self, history):
        start = time.process_time()
        suggestion = self.inner.suggest(history)
        self.seconds.append(time.process_time() - start)
        return suggestion

    def on_trial_start(self, history, run):
        self.inner.on_trial_start(history, run)

    def on_trial_result(self, history, trial_id, result):
        return self.inner.on_trial_result(history, trial_id, result)

    def on_trial_end(self, history, trial_id, status):
        self.inner.on_trial_end(history, trial_id, status)

    def resumable(self, history):
        return self.inner.resumable(history)


def measure(name: str, n_trials: int) -> str:
    """One experiment; a line of the table. ``name`` may be followed by settings, separated by commas."""
    name, *settings = name.split(",")
    chosen = method(name, **dict(pair.split("=", 1) for pair in settings))
    benchmark = RealBenchmarkDefinition(
        name="curves", script="none", space=SPACE, metrics=(METRIC,), max_resource=EPOCHS
    )
    timed = Timed(build_scheduler(chosen, benchmark, 0, {}))
    history = Tuner(
        timed,
        SimulatedBackend(train, n_workers=4, max_resource=EPOCHS),
        metrics=[METRIC],
        stop_when=MaxTrialsStarted(n_trials),
        journal=MemoryJournal(),
    ).run()
    times = 1000 * np.array(timed.seconds)
    late = times[-len(times) // 10 :].mean()
    return (
        f"| {', '.join((chosen.name, *settings))} | {n_trials} | {history.n_results} | {times.mean():.2f} ms | "
        f"{late:.2f} ms | {times.max():.1f} ms |"
    )


def main() -> None:
    """Print the table."""
    print(
        "| method | trials | results | mean | mean of the last tenth | largest |\n|---|---|---|---|---|---|"
    )
    for given in sys.argv[1:] or DEFAULT:
        name, _, n_trials = given.rpartition("=")
        print(measure(name, int(n_trials)), flush=True)


if __name__ == "__main__":
    main()
