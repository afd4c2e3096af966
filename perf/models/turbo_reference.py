"""The authors' TuRBO-1 on functions of many dimensions: one line of JSON for each run.

    PYTHONPATH=CHECKOUT PYTHON perf/models/turbo_reference.py ackley:20:300 rosenbrock:40:400 --seeds 0 1 --batch 4

CHECKOUT is https://github.com/uber-research/TuRBO, PYTHON an interpreter with torch and gpytorch. The domain is
[-5, 10], and the design has 2 d points, as in ``many_dimensions.py``, which prints the table.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings

import numpy as np
import torch
from landscapes import FUNCTIONS
from turbo import Turbo1


def run(name: str, d: int, n: int, batch: int, seed: int) -> dict[str, object]:
    """Best values so far, one for each evaluation."""
    torch.set_num_threads(1)
    np.random.seed(seed)  # noqa: NPY002 - the authors' program draws from it
    torch.manual_seed(seed)
    turbo = Turbo1(
        f=FUNCTIONS[name],
        lb=np.full(d, -5.0),
        ub=np.full(d, 10.0),
        n_init=2 * d,
        max_evals=n,
        batch_size=batch,
        verbose=False,
    )
    start = time.process_time()
    turbo.optimize()
    seconds = time.process_time() - start
    best = np.minimum.accumulate(turbo.fX.ravel())[:n]
    return {
        "program": "TuRBO-1, authors",
        "function": name,
        "d": d,
        "batch": batch,
        "seed": seed,
        "seconds": round(seconds, 1),
        "best": [float(f"{value:.6g}") for value in best],
    }


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="FUNCTION:D:N")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--batch", type=int, default=4)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for seed in given.seeds:
        for chosen in given.runs:
            name, d, n = chosen.split(":")
            print(json.dumps(run(name, int(d), int(n), given.batch, seed)), flush=True)


if __name__ == "__main__":
    main()
