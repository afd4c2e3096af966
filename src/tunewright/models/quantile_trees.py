"""Gradient boosting of several quantiles at once: a tree for each quantile grows in the same few operations.

References
----------
.. [Friedman2001] Friedman: Greedy Function Approximation: A Gradient Boosting Machine. Annals of Statistics 29 (2001).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

import numpy as np

from tunewright.models.arrays import Array, Indices
from tunewright.models.trees import N_LEAVES, Edges, Grower, read

_MOST_EDGES: Final = 63
_FARTHEST: Final = 10.0
_FASTEST: Final = 0.2


@final
class BoostedQuantiles:
    """Quantiles by boosted trees of depth three ([Friedman2001]_, Algorithms 1 and 3).

    Each tree splits the gradients of the pinball loss by least squares; a leaf moves the prediction by the quantile of what it
    has left over.

    Parameters
    ----------
    levels
        Of the quantiles, in (0, 1).
    n_trees
        Trees for each quantile, >= 1; the learning rate is 10 divided by them, at most 0.2.
    """

    def __init__(self, levels: Sequence[float], n_trees: int = 100) -> None:
        self._levels = np.array(levels)[:, np.newaxis]
        self._n_trees = n_trees
        self._rate = min(_FASTEST, _FARTHEST / n_trees)

    def fit(self, x: Array, y: Array, rng: np.random.Generator) -> None:
        """Learn from points (n, d) and values (n,), n >= 1; the generator chooses among columns that split equally well."""
        self._edges = Edges(x, _MOST_EDGES)
        grower = Grower(self._edges.sides(x), self._edges.widths, rng)
        every = np.broadcast_to(y, (len(self._levels), len(y)))
        self._start = _quantiles(every, self._levels, np.zeros(every.shape, dtype=np.intp), 1)
        predicted = np.tile(self._start, (1, len(y)))
        splits: list[Indices] = []
        values: list[Array] = []
        for _ in range(self._n_trees):
            residuals = y - predicted
            chosen, leaves = grower.grown(self._levels - (residuals < 0))
            steps = self._rate * _quantiles(residuals, self._levels, leaves, N_LEAVES)
            predicted += np.take_along_axis(steps, leaves, axis=1)
            splits.append(chosen)
            values.append(steps)
        self._splits, self._values = np.stack(splits, axis=1), np.stack(values, axis=1)

    def predict(self, x: Array) -> Array:
        """The quantiles of points (m, d), shape (levels, m); those of a point may cross."""
        sides = self._edges.sides(x)
        moved = [read(s, v, sides) for s, v in zip(self._splits, self._values, strict=True)]
        return self._start + np.stack(moved)


def _quantiles(values: Array, levels: Array, groups: Indices, n_groups: int) -> Array:
    """The quantile of each group of each row of values (q, n), shape (q, groups); zero for empty groups."""
    n_rows, n = values.shape
    keys = (np.arange(n_rows)[:, np.newaxis] * n_groups + groups).ravel()
    ordered = values.ravel()[np.lexsort((values.ravel(), keys))]
    counts = np.bincount(keys, minlength=n_rows * n_groups).reshape(n_rows, n_groups)
    starts = (counts.cumsum() - counts.ravel()).reshape(counts.shape)
    ranks = np.clip(np.ceil(levels * counts - 1e-9).astype(np.intp) - 1, 0, np.maximum(counts - 1, 0))
    return np.where(counts > 0, ordered[np.minimum(starts + ranks, n_rows * n - 1)], 0.0)
