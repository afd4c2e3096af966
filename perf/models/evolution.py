"""Evaluations until a target is reached: CMAES beside pycma (the package ``cma``), as a table.

    python perf/models/evolution.py [RUN ...] [--reference PYTHON] [--seeds 15] [--asynchronous RUN ...]

A run is FUNCTION:D or FUNCTION:D:POPULATION_SIZE. The domain is [-100, 100], so that its bounds do not matter; both begin at
3 in every dimension with standard deviation 2, without restarts, and end at the target, at convergence, or after the largest number
of evaluations. Medians are over the runs that reached the target. ``--reference`` names an interpreter that has ``cma``. The runs of
``--asynchronous`` go through the method with 1, 4 and 16 workers, whose results come in the order of the suggestions.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by BLAS when it is loaded, below

import argparse
import json
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from landscapes import FUNCTIONS

from tunewright.asktell import AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.models.cma import Evolution, default_size
from tunewright.space import Float, SearchSpace

WIDTH = 100.0
TARGETS = {"sphere": 1e-8, "rosenbrock": 1e-6, "rastrigin": 1e-6}
DEFAULT = [
    "sphere:10",
    "sphere:40",
    "rosenbrock:10",
    "rosenbrock:40",
    "rastrigin:10:200",
    "rastrigin:40:800",
]


@dataclass(frozen=True)
class Run:
    """One line of the table."""

    function: str
    d: int
    size: int
    target: float
    most: int
    seeds: int
    start: float = 3.0
    sigma: float = 2.0


def read(text: str, seeds: int) -> Run:
    """A run from its text."""
    name, d, *size = text.split(":")
    n = int(size[0]) if size else default_size(int(d))
    return Run(name, int(d), n, TARGETS[name], 400 * n if size else 5_000 * int(d), seeds)


def ours(run: Run, seed: int) -> int | None:
    """Evaluations of the distribution itself, generation by generation; None: the target was not reached."""
    rng = np.random.default_rng(seed)
    start = np.full(run.d, (run.start + WIDTH) / (2 * WIDTH))
    evolution = Evolution.start(start, run.sigma / (2 * WIDTH), run.size)
    n = 0
    while n < run.most and not evolution.has_converged:
        points = evolution.draws(run.size, rng)
        places = 2 * WIDTH * evolution.evaluated(points) - WIDTH
        losses = np.array([FUNCTIONS[run.function](x) for x in places])
        reached = np.flatnonzero(losses <= run.target)
        if len(reached):
            return n + int(reached[0]) + 1
        n += run.size
        evolution = evolution.updated(points, losses, np.zeros(run.size))
    return None


def asynchronous(run: Run, seed: int, n_workers: int) -> int | None:
    """Evaluations of the method."""
    metric = Metric("loss")
    benchmark = RealBenchmarkDefinition(
        name=run.function,
        script="none",
        space=SearchSpace({f"x{i}": Float(-WIDTH, WIDTH) for i in range(run.d)}),
        metrics=(metric,),
        points_to_evaluate=[{f"x{i}": run.start for i in range(run.d)}],
    )
    chosen = method("CMAES", sigma=run.sigma / (2 * WIDTH), population_size=run.size, restart="none")
    tuning = AskTell(build_scheduler(chosen, benchmark, seed, {}), [metric])
    running = [tuning.ask() for _ in range(n_workers)]
    for n in range(1, run.most + 1):
        asked = running.pop(0)
        if asked is None:
            return None
        loss = FUNCTIONS[run.function](np.array(list(asked.config.values()), dtype=np.float64))
        if loss <= run.target:
            return n
        tuning.tell(asked, {"loss": loss}, 1)
        tuning.complete(asked)
        running.append(tuning.ask())
    return None


def pycma(python: str, run: Run) -> list[int | None]:
    """Evaluations of the reference, in a process of that interpreter."""
    command = [python, str(Path(__file__).with_name("evolution_pycma.py"))]
    done = subprocess.run(
        command, input=json.dumps(asdict(run)), text=True, stdout=subprocess.PIPE, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def cell(found: Sequence[int | None]) -> str:
    """Median of the runs that reached the target, and how many did."""
    reached = [n for n in found if n is not None]
    middle = f"{np.median(reached):,.0f}" if reached else "-"
    return f"{middle} ({len(reached)} of {len(found)})"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reference", metavar="PYTHON")
    parser.add_argument("--seeds", type=int, default=15)
    parser.add_argument("--asynchronous", nargs="*", default=["sphere:10", "rosenbrock:10"])
    parser.add_argument("runs", nargs="*", default=DEFAULT)
    given = parser.parse_args()
    print("| run | ours | pycma |\n|---|---|---|")
    for text in given.runs:
        run = read(text, given.seeds)
        own = cell([ours(run, seed) for seed in range(run.seeds)])
        print(
            f"| {text} | {own} | {cell(pycma(given.reference, run)) if given.reference else ''} |", flush=True
        )
    print("\n| run | 1 worker | 4 workers | 16 workers |\n|---|---|---|---|")
    for text in given.asynchronous:
        run = read(text, given.seeds)
        cells = [cell([asynchronous(run, seed, n) for seed in range(run.seeds)]) for n in (1, 4, 16)]
        print(f"| {text} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
