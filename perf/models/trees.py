"""Fit boosted trees and predict by them beside scikit-learn's HistGradientBoosting: CPU milliseconds and held-out losses.

    python perf/models/trees.py [--sizes 50 200 500 2000] [--repeats 5]

Eight columns. As in a suggestion of BORE and CQR: a classifier of 30 rounds predicts 500 points, and 100 rounds for each of
five quantiles predict 2000 points. The median of the repeats is given.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by BLAS and OpenMP when they are loaded, below
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

_begin = time.process_time()
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor  # noqa: E402

IMPORT_SECONDS = time.process_time() - _begin

from tunewright.models.trees import BoostedClassifier, BoostedQuantiles  # noqa: E402

N_COLUMNS = 8
LEVELS = [(i + 1) / 6 for i in range(5)]
N_TEST = 4000


def data(n: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.random((n, N_COLUMNS))
    noise = 0.1 * rng.standard_normal(n) * (1 + x[:, 1])
    return x, ((x - 0.4) ** 2).sum(axis=1) + 0.3 * np.sin(6 * x[:, 0]) + noise


def members(y: Any) -> Any:
    return (y < np.quantile(y, 0.25)).astype(float)


def our_classifier(x: Any, y: Any) -> Callable[[Any], Any]:
    model = BoostedClassifier(30)
    model.fit(x, members(y), np.random.default_rng(0))
    return model.probability


def their_classifier(x: Any, y: Any) -> Callable[[Any], Any]:
    model = HistGradientBoostingClassifier(
        max_iter=30, learning_rate=0.25, max_depth=3, min_samples_leaf=4, early_stopping=False
    ).fit(x, members(y))
    return lambda at: model.predict_proba(at)[:, 1]


def our_quantiles(x: Any, y: Any) -> Callable[[Any], Any]:
    model = BoostedQuantiles(LEVELS, 100)
    model.fit(x, y, np.random.default_rng(0))
    return model.predict


def their_quantiles(x: Any, y: Any) -> Callable[[Any], Any]:
    models = [
        HistGradientBoostingRegressor(
            loss="quantile",
            quantile=level,
            max_iter=100,
            learning_rate=0.1,
            max_depth=3,
            min_samples_leaf=1,
            early_stopping=False,
        ).fit(x, y)
        for level in LEVELS
    ]
    return lambda at: np.stack([model.predict(at) for model in models])


def log_loss(predicted: Any, y: Any) -> float:
    p, is_member = np.clip(predicted, 1e-9, 1 - 1e-9), members(y)
    return -float(np.mean(is_member * np.log(p) + (1 - is_member) * np.log(1 - p)))


def pinball(predicted: Any, y: Any) -> float:
    levels = np.array(LEVELS)[:, np.newaxis]
    errors = y - predicted
    return float(np.maximum(levels * errors, (levels - 1) * errors).mean())


def measure(make: Callable[[Any, Any], Callable[[Any], Any]], n: int, n_points: int, repeats: int) -> float:
    (x, y), points = data(n, n), data(n_points, 1)[0]
    times: list[float] = []
    for _ in range(repeats + 1):
        begin = time.process_time()
        make(x, y)(points)
        times.append(1e3 * (time.process_time() - begin))
    return median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 200, 500, 2000])
    parser.add_argument("--repeats", type=int, default=5)
    given = parser.parse_args()
    x_test, y_test = data(N_TEST, 99)
    print(f"import sklearn.ensemble: {IMPORT_SECONDS:.2f} s\n")
    print("| what | rows | ours | scikit-learn | held-out loss of ours | of scikit-learn |")
    print("|---|---|---|---|---|---|")
    kinds = (
        ("classifier", our_classifier, their_classifier, 500, log_loss),
        ("five quantiles", our_quantiles, their_quantiles, 2000, pinball),
    )
    for name, ours, theirs, n_points, loss in kinds:
        for n in given.sizes:
            times = [measure(make, n, n_points, given.repeats) for make in (ours, theirs)]
            losses = [loss(make(*data(n, n))(x_test), y_test) for make in (ours, theirs)]
            print(
                f"| {name} | {n} | {times[0]:.1f} ms | {times[1]:.1f} ms | {losses[0]:.4f} | {losses[1]:.4f} |"
            )


if __name__ == "__main__":
    main()
