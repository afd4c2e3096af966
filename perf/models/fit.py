"""Fit a Gaussian process by maximum a posteriori beside scikit-learn's: CPU milliseconds.

    python perf/models/fit.py

The same data and kernel; both fit length scales, scale and noise by L-BFGS-B from one starting point. The smallest of
three times is kept, as whatever else the machine does can only add to it.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by BLAS when it is loaded, below

import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from tunewright.models.gp.fit import fit
from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.process import GaussianProcess

N_COLUMNS = 7
SIZES = (100, 300, 500, 1000)
SLOW = 500
"""scikit-learn is left out beyond: it takes half a minute."""


def data(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A function with noise, standardised."""
    rng = np.random.default_rng(0)
    x = rng.random((n, N_COLUMNS))
    y = np.sin(3 * x).sum(axis=1) + 0.1 * rng.standard_normal(n)
    return x, (y - y.mean()) / y.std()


def least(work: Callable[[], object], repeats: int = 3) -> float:
    """CPU milliseconds."""
    times: list[float] = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def main() -> None:
    """Print the table."""
    process = GaussianProcess(Matern52(N_COLUMNS))
    kernel = ConstantKernel() * Matern(np.ones(N_COLUMNS), nu=2.5) + WhiteKernel()
    print("| n | ours, first fit | ours, from a fit of 0.87 n | scikit-learn |\n|---|---|---|---|")
    for n in SIZES:
        x, y = data(n)
        first = least(lambda x=x, y=y: fit(process, x, y, []))
        fewer = round(n / 1.15)
        start = fit(process, x[:fewer], y[:fewer], [])
        warm = least(lambda x=x, y=y, start=start: fit(process, x, y, [start]))
        other = "-"
        if n <= SLOW:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                other = f"{least(lambda x=x, y=y: GaussianProcessRegressor(kernel).fit(x, y), 1):.0f} ms"
        print(f"| {n} | {first:.1f} ms | {warm:.1f} ms | {other} |")


if __name__ == "__main__":
    main()
