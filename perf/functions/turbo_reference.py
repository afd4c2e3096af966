"""Run the authors' TuRBO-1 on functions of numbers; one JSON line per run, as in ``ours.py``.

    PYTHONPATH=CHECKOUT PYTHON perf/functions/turbo_reference.py --out shared/turbo.jsonl --functions ackley40 --trials 400 --workers 20

CHECKOUT is https://github.com/uber-research/TuRBO, PYTHON an interpreter with torch and gpytorch. Each worker has a trial of every batch. As in the paper the design has 2 d points.
"""

# pyright: basic
from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by BLAS when it is loaded, below
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import time
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from functions import FUNCTIONS
from simulated import done, key
from turbo import Turbo1


def run(function: str, n_trials: int, batch: int, seed: int) -> dict[str, object]:
    """Best values so far, one for each trial, and the seconds of deciding."""
    np.random.seed(seed)  # noqa: NPY002 - the authors' program draws from it
    torch.manual_seed(seed)
    chosen = FUNCTIONS[function]
    domains = np.array([domain[1:3] for domain in chosen.domains.values()], dtype=np.float64)
    turbo = Turbo1(
        f=lambda x: chosen.value(dict(zip(chosen.domains, x.tolist(), strict=True))),
        lb=domains[:, 0],
        ub=domains[:, 1],
        n_init=2 * len(domains),
        max_evals=n_trials,
        batch_size=batch,
        verbose=False,
    )
    start = time.process_time()
    turbo.optimize()
    seconds = time.process_time() - start
    curve = np.minimum.accumulate(turbo.fX.ravel())[:n_trials]
    return {"curve": [round(float(value), 6) for value in curve], "seconds": round(seconds, 3)}


def main() -> None:
    """Run the jobs that the file lacks."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--functions", nargs="+", default=["ackley40", "rastrigin40"])
    parser.add_argument("--trials", type=int, default=400)
    parser.add_argument("--workers", type=int, default=20)
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 5), metavar=("FIRST", "END"))
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    finished = done(given.out)
    for seed in range(*given.seeds):
        for function in given.functions:
            job = {
                "method": "TuRBO-1, authors",
                "function": function,
                "n_trials": given.trials,
                "n_workers": given.workers,
                "seed": seed,
            }
            if key(job) not in finished:
                found = run(function, given.trials, given.workers, seed)
                with given.out.open("a") as file:
                    file.write(json.dumps({**job, "version": f"torch {version('torch')}", **found}) + "\n")


if __name__ == "__main__":
    main()
