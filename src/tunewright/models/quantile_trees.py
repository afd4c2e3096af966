"""Gradient boosting of several quantiles at once, in arrays: a tree for each quantile grows in the same few operations.

References
----------
.. [Friedman2001] Friedman: Greedy Function Approximation: A Gradient Boosting Machine. Annals of Statistics 29 (2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from tunewright.models.arrays import Array

Numbers = NDArray[np.intp]

_DEPTH: Final = 3
_RATE: Final = 0.1
_MOST_BINS: Final = 64
_GAIN: Final = 1e-9
"""A split must lower the sum of squares by more, so that rounding makes none."""


@final
class BoostedQuantiles:
    """Quantiles by boosted trees of depth three at a learning rate of 0.1 ([Friedman2001]_, Algorithms 1 and 3).

    Each tree splits the gradients of the pinball loss by least squares; a leaf moves the prediction by the quantile of what it
    has left over. Columns of more than 64 values are split at 63 of their quantiles only.

    Parameters
    ----------
    levels
        Of the quantiles, in (0, 1).
    n_trees
        Trees for each quantile, >= 1.
    """

    def __init__(self, levels: Sequence[float], n_trees: int = 100) -> None:
        self._levels = np.array(levels)[:, np.newaxis]
        self._n_trees = n_trees

    def fit(self, x: Array, y: Array, rng: np.random.Generator) -> None:
        """Learn from points (n, d) and values (n,), n >= 1; the generator chooses among columns that split equally well."""
        self._edges = [_edges(column) for column in x.T]
        codes = self._coded(x)
        self._start = _quantiles(
            np.tile(y, (len(self._levels), 1)), self._levels, np.zeros(1, dtype=np.intp), 1
        )
        predicted = np.tile(self._start, (1, len(y)))
        self._trees: list[tuple[Numbers, Numbers, Array]] = []
        for _ in range(self._n_trees):
            residuals = y - predicted
            gradients = np.where(residuals >= 0, self._levels, self._levels - 1.0)
            columns, places, leaves = _grown(codes, gradients, rng)
            values = _RATE * _quantiles(residuals, self._levels, leaves, 2**_DEPTH)
            predicted += np.take_along_axis(values, leaves, axis=1)
            self._trees.append((columns, places, values))

    def predict(self, x: Array) -> Array:
        """The quantiles of points (m, d), shape (levels, m); those of a point may cross."""
        codes = self._coded(x).ravel()
        first = np.arange(len(x)) * x.shape[1]
        predicted = np.tile(self._start, (1, len(x)))
        for columns, places, values in self._trees:
            for level in range(len(predicted)):
                node = np.zeros(len(x), dtype=np.intp)
                for _ in range(_DEPTH):
                    goes_right = codes[first + columns[level][node]] > places[level][node]
                    node = 2 * node + 1 + goes_right
                predicted[level] += values[level][node - (2**_DEPTH - 1)]
        return predicted

    def _coded(self, x: Array) -> Numbers:
        return np.stack(
            [np.searchsorted(e, column) for e, column in zip(self._edges, x.T, strict=True)], axis=1
        )


def _edges(column: Array) -> Array:
    """Where a column may be split, increasing: midways between its values."""
    values = np.unique(column)
    middles = (values[1:] + values[:-1]) / 2
    if len(middles) < _MOST_BINS:
        return middles
    return middles[np.linspace(0, len(middles) - 1, _MOST_BINS - 1).astype(np.intp)]


def _grown(codes: Numbers, gradients: Array, rng: np.random.Generator) -> tuple[Numbers, Numbers, Numbers]:
    """Trees, one for each row of gradients (q, n): columns and last codes to the left of inner nodes, and leaves (q, n)."""
    n_trees, (n, d) = len(gradients), codes.shape
    bins = int(codes.max(initial=0)) + 1
    columns = np.zeros((n_trees, 2**_DEPTH - 1), dtype=np.intp)
    places = np.full((n_trees, 2**_DEPTH - 1), bins, dtype=np.intp)
    trees = np.arange(n_trees)[:, np.newaxis]
    cells = np.arange(d) * bins + codes
    weights = np.repeat(gradients.ravel(), d)
    nodes = np.zeros((n_trees, n), dtype=np.intp)
    for depth in range(_DEPTH):
        width, before = 2**depth, 2**depth - 1
        flat = ((trees * width + nodes)[:, :, np.newaxis] * (d * bins) + cells).ravel()
        shape, size = (n_trees, width, d, bins), n_trees * width * d * bins
        sums = np.bincount(flat, weights, size).reshape(shape).cumsum(axis=3)
        counts = np.bincount(flat, minlength=size).reshape(shape).cumsum(axis=3)
        column, place = _splits(sums, counts, rng)
        columns[:, before : before + width], places[:, before : before + width] = column, place
        chosen = codes[np.arange(n), column[trees, nodes]]
        nodes = 2 * nodes + (chosen > place[trees, nodes])
    return columns, places, nodes


def _splits(sums: Array, counts: NDArray[np.intp], rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """The best column of each node (q, w) and the last code on its left; the number of codes where no split helps."""
    total, n = sums[..., -1:], counts[..., -1:]
    left, right = np.maximum(counts, 1), np.maximum(n - counts, 1)
    gains = sums**2 / left + (total - sums) ** 2 / right - total**2 / np.maximum(n, 1)
    gains[(counts == 0) | (counts == n)] = 0.0
    gains += np.where(gains > _GAIN, _GAIN * rng.random((*gains.shape[:3], 1)), 0.0)
    bins = gains.shape[-1]
    flat = gains.reshape(*gains.shape[:2], -1)
    best = flat.argmax(axis=2)
    helps = np.take_along_axis(flat, best[..., np.newaxis], axis=2)[..., 0] > _GAIN
    return best // bins, np.where(helps, best % bins, bins)


def _quantiles(values: Array, levels: Array, groups: Numbers, n_groups: int) -> Array:
    """The quantile of each group of each row of values (q, n), shape (q, groups); zero for empty groups."""
    n_rows, n = values.shape
    keys = (np.arange(n_rows)[:, np.newaxis] * n_groups + np.broadcast_to(groups, (n_rows, n))).ravel()
    ordered = values.ravel()[np.lexsort((values.ravel(), keys))]
    counts = np.bincount(keys, minlength=n_rows * n_groups).reshape(n_rows, n_groups)
    starts = (counts.cumsum() - counts.ravel()).reshape(counts.shape)
    ranks = np.clip(np.ceil(levels * counts - 1e-9).astype(np.intp) - 1, 0, np.maximum(counts - 1, 0))
    return np.where(counts > 0, ordered[np.minimum(starts + ranks, n_rows * n - 1)], 0.0)
