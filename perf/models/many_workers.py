"""Milliseconds of CPU of a suggestion with 1,000 finished and 128 running trials.

python perf/models/many_workers.py
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by BLAS when it is loaded, below
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time

import numpy as np

from tunewright.asktell import AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.space import Categorical, Float, SearchSpace

N_FINISHED, N_RUNNING, N_MEASURED = 1000, 128, 20
SPACES = {
    "10 numbers": SearchSpace({f"x{i}": Float(0.0, 1.0) for i in range(10)}),
    "8 numbers, 2 categories of 50": SearchSpace(
        {f"x{i}": Float(0.0, 1.0) for i in range(8)}
        | {f"c{i}": Categorical(list(range(50))) for i in range(2)}
    ),
}


def milliseconds(name: str, space: SearchSpace) -> float:
    """The median of twenty suggestions, each of which begins a further trial while another one ends."""
    metric = Metric("loss")
    benchmark = RealBenchmarkDefinition(name="many", script="none", space=space, metrics=(metric,))
    tuning = AskTell(build_scheduler(method("RandomSearch"), benchmark, 0, {}), [metric])
    rng = np.random.default_rng(0)
    running = []
    while tuning.history.n_trials < N_FINISHED + N_RUNNING:
        running.append(tuning.ask())
        if len(running) > N_RUNNING:
            asked = running.pop(0)
            tuning.tell(asked, {"loss": float(rng.random())}, 1)
            tuning.complete(asked)
    scheduler = build_scheduler(method(name), benchmark, 0, {})
    seconds = []
    for _ in range(N_MEASURED):
        start = time.process_time()
        scheduler.suggest(tuning.history)
        seconds.append(time.process_time() - start)
        asked = running.pop(0)
        tuning.tell(asked, {"loss": float(rng.random())}, 1)
        tuning.complete(asked)
        running.append(tuning.ask())
    return 1000 * float(np.median(seconds))


def main() -> None:
    """Print a line for each method and space."""
    for label, space in SPACES.items():
        for name in ("TPE", "KDE", "RandomForestBO"):
            print(f"{label}: {name} {milliseconds(name, space):.1f} ms")


if __name__ == "__main__":
    main()
