"""Fit a Gaussian process by maximum a posteriori beside scikit-learn's and BoTorch's: CPU milliseconds.

    python perf/models/fit.py [--botorch PYTHON] [--sizes 100 300 500 1000] [--repeats 3] [--write]

The same data and kernel; all fit length scales, scale, noise and mean (scikit-learn: no mean) by L-BFGS-B from one
starting point, each with its own priors and stopping rule. ``--botorch`` names an interpreter that has BoTorch, which
runs ``fit_botorch.py``. ``--write`` stores the times in ``fit.json``, for ``perf/figures.py``. The smallest of some times is kept, as whatever else the
machine does can only add to it.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by BLAS when it is loaded, below
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.process import GaussianProcess, fit

N_COLUMNS = 7


def data(n: int) -> tuple[np.ndarray, np.ndarray]:
    """A function with noise, standardised."""
    rng = np.random.default_rng(0)
    x = rng.random((n, N_COLUMNS))
    y = np.sin(3 * x).sum(axis=1) + 0.1 * rng.standard_normal(n)
    return x, (y - y.mean()) / y.std()


def least(work: Callable[[], object], repeats: int) -> float:
    """CPU milliseconds."""
    times: list[float] = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times)


def ours(x: np.ndarray, y: np.ndarray, repeats: int) -> tuple[float, float]:
    """Milliseconds of a first fit, and of one that begins where that of fewer points ended."""
    process = GaussianProcess(Matern52(N_COLUMNS))
    first = least(lambda: fit(process, x, y, []), repeats)
    fewer = round(len(x) / 1.15)
    start = fit(process, x[:fewer], y[:fewer], [])
    if start is None:
        raise SystemExit("The fit failed")
    return first, least(lambda: fit(process, x, y, [start]), repeats)


def scikit_learn(x: np.ndarray, y: np.ndarray, repeats: int) -> float:
    """Milliseconds of a fit."""
    kernel = ConstantKernel() * Matern(np.ones(N_COLUMNS), nu=2.5) + WhiteKernel()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return least(lambda: GaussianProcessRegressor(kernel).fit(x, y), repeats)


def botorch(python: str, x: np.ndarray, y: np.ndarray, repeats: int) -> float:
    """Milliseconds of a fit in a process of that interpreter."""
    script = Path(__file__).with_name("fit_botorch.py")
    given = json.dumps({"x": x.tolist(), "y": y.tolist(), "repeats": repeats})
    done = subprocess.run([python, str(script)], input=given, text=True, stdout=subprocess.PIPE, check=True)
    return float(done.stdout)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--botorch", metavar="PYTHON")
    parser.add_argument("--sizes", nargs="+", type=int, default=[100, 300, 500, 1000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    print("| n | first fit | from a fit of 0.87 n | scikit-learn | BoTorch |\n|---|---|---|---|---|")
    for n in given.sizes:
        x, y = data(n)
        first, warm = ours(x, y, given.repeats)
        others = {"scikit_learn": scikit_learn(x, y, 1 if n > 300 else given.repeats)}
        if given.botorch:
            others["botorch"] = botorch(given.botorch, x, y, given.repeats)
        times = " | ".join(f"{spent:,.0f} ms ({spent / first:.1f}x)" for spent in others.values())
        found[str(n)] = {"first": first, "warm": warm, **others}
        print(f"| {n:,} | {first:,.1f} ms | {warm:,.1f} ms | {times} |", flush=True)
    if given.write:
        stored = {"command": "python perf/models/fit.py --botorch PYTHON --write", "ms": found}
        Path(__file__).with_name("fit.json").write_text(json.dumps(stored, indent=2) + "\n")


if __name__ == "__main__":
    main()
