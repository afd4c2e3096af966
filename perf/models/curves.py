"""CPU seconds of the process over learning curves: its mean, 32 draws, and the dense covariance where that fits.

python perf/models/curves.py --trials 200 1000 --epochs 16 50
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by BLAS when it is loaded, below
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import time

import numpy as np

from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.latent_kronecker import Cells, CurveCovariance, LatentKronecker
from tunewright.models.gp.pathwise import CurvePosterior
from tunewright.models.gp.posterior import Posterior, factorise

N_COLUMNS = 5
MOST_DENSE = 4000


def curves(n_trials: int, n_epochs: int) -> tuple[Cells, np.ndarray]:
    """Noisy curves that fall to a limit; each was left at an epoch drawn at random."""
    rng = np.random.default_rng(0)
    x = rng.random((n_trials, N_COLUMNS))
    resources = np.arange(1, n_epochs + 1) / n_epochs
    ends = rng.integers(1, n_epochs + 1, n_trials)
    rows = np.repeat(np.arange(n_trials), ends)
    columns = np.concatenate([np.arange(end) for end in ends])
    cells = Cells(x, resources, rows, columns)
    y = np.sin(3 * x[rows, 0]) + x[rows, 1] ** 2 + np.exp(-5 * resources[columns])
    y += 0.05 * rng.standard_normal(len(rows))
    return cells, (y - y.mean()) / y.std()


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", nargs="+", type=int, default=[200, 1000])
    parser.add_argument("--epochs", nargs="+", type=int, default=[16, 50])
    given = parser.parse_args()
    prior = LatentKronecker(Matern52(N_COLUMNS))
    theta = prior.prior.mean
    print("| trials x epochs | observations | mean | mean and 32 draws | dense |\n|---|---|---|---|---|")
    for n_trials, n_epochs in zip(given.trials, given.epochs, strict=True):
        cells, y = curves(n_trials, n_epochs)
        begin = time.process_time()
        CurveCovariance(prior, theta, cells).solve(y[:, np.newaxis])
        mean = time.process_time()
        CurvePosterior(prior, theta, cells, y, rng=np.random.default_rng(0)).at_column(n_epochs - 1)
        draws = time.process_time()
        dense = "-"
        if len(cells) <= MOST_DENSE:
            lower = factorise(prior.process, theta, cells.points, len(cells)).lower
            Posterior(prior.process, theta, cells.points, lower, y[:, np.newaxis])
            dense = f"{time.process_time() - draws:.2f} s"
        seconds = f"{mean - begin:.2f} s | {draws - mean:.2f} s"
        print(f"| {n_trials} x {n_epochs} | {len(cells)} | {seconds} | {dense} |", flush=True)


if __name__ == "__main__":
    main()
