"""Boosted trees: probabilities of a class, and conformal quantiles.

References
----------
.. [Friedman2001] Friedman: Greedy Function Approximation: A Gradient Boosting Machine. Annals of Statistics 29 (2001).
.. [Romano2019] Romano, Patterson, Candes: Conformalized Quantile Regression. NeurIPS 2019.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, final

import numpy as np
from scipy.special import expit, logit

from tunewright.models.arrays import Array, Indices
from tunewright.models.quantile_trees import BoostedQuantiles
from tunewright.models.trees import N_LEAVES, Edges, Grower, read

_SMALLEST_SPLIT: Final = 32
"""With no more observations than this, none is held back to correct quantiles."""
_HELD_BACK: Final = 0.1
_ROUNDING: Final = 1e-9
"""What a whole number of observations may be off by."""
_SMALLEST_LEAF: Final = 4
"""Observations that a region of a classifier's tree holds: with fewer, each lucky one would be a region of its own, and
the classifier sure of all that it has seen. Four of even chances is also where XGBoost, the paper's choice, stops."""
_MOST_EDGES: Final = 255
_LEAST_CURVATURE: Final = 1e-12


@final
class BoostedClassifier:
    """The probability of a class by gradient boosting of the logistic loss ([Friedman2001]_, Algorithm 5).

    Parameters
    ----------
    n_trees
        Rounds of boosting, >= 1; the learning rate is 7.5 divided by them, at most 0.25.
    """

    def __init__(self, n_trees: int = 30) -> None:
        self._n_trees = n_trees
        self._rate = min(0.25, 7.5 / n_trees)

    def fit(self, x: Array, is_member: Array, rng: np.random.Generator) -> None:
        """Learn from points (n, d) and ones and zeros (n,), both of which occur; the generator chooses among equal splits."""
        self._edges = Edges(x, _MOST_EDGES)
        grower = Grower(self._edges.sides(x), self._edges.widths, rng, smallest_leaf=_SMALLEST_LEAF)
        self._start = float(logit(is_member.mean()))
        scores = np.full(len(x), self._start)
        splits: list[Indices] = []
        values: list[Array] = []
        for _ in range(self._n_trees):
            chances = expit(scores)
            chosen, leaves = grower.grown((is_member - chances)[np.newaxis])
            slopes = np.bincount(leaves[0], is_member - chances, N_LEAVES)
            curvatures = np.bincount(leaves[0], chances * (1.0 - chances), N_LEAVES)
            steps = self._rate * slopes / np.maximum(curvatures, _LEAST_CURVATURE)
            scores += steps[leaves[0]]
            splits.append(chosen[0])
            values.append(steps)
        self._splits, self._values = np.stack(splits), np.stack(values)

    def probability(self, x: Array) -> Array:
        """Of points (m, d), shape (m,)."""
        return expit(self._start + read(self._splits, self._values, self._edges.sides(x)))


@final
class ConformalQuantiles:
    """Quantiles by gradient boosting, corrected so that their intervals hold as much as they say.

    With more than 32 observations a tenth of them is held back. Each interval between two opposite quantiles is widened,
    or narrowed, by the quantile of the held back observations' distances from it ([Romano2019]_, equation 8).

    Parameters
    ----------
    levels
        Of the quantiles: strictly increasing in (0, 1), symmetric about 0.5.
    n_trees
        Rounds of boosting, >= 1.
    """

    def __init__(self, levels: Sequence[float], n_trees: int = 100) -> None:
        self._levels = tuple(levels)
        self._model = BoostedQuantiles(self._levels, n_trees)
        self._offsets = np.zeros(len(self._levels))

    def fit(self, x: Array, y: Array, rng: np.random.Generator) -> None:
        """Learn from points (n, d) and values (n,)."""
        order = rng.permutation(len(y))
        n_held = math.ceil(_HELD_BACK * len(y)) if len(y) > _SMALLEST_SPLIT else 0
        held, used = order[:n_held], order[n_held:]
        self._model.fit(x[used], y[used], rng)
        self._offsets = np.zeros(len(self._levels))
        if n_held:
            self._offsets = self._corrections(self._model.predict(x[held]), y[held])

    def predict(self, x: Array) -> Array:
        """The quantiles of points (m, d), shape (levels, m), increasing along the first axis."""
        return np.sort(self._model.predict(x) + self._offsets[:, np.newaxis], axis=0)

    def _corrections(self, predicted: Array, y: Array) -> Array:
        n_levels, n = len(self._levels), len(y)
        offsets = np.zeros(n_levels)
        for low in range(n_levels // 2):
            high = n_levels - 1 - low
            scores = np.sort(np.maximum(predicted[low] - y, y - predicted[high]))
            coverage = self._levels[high] - self._levels[low]
            rank = min(math.ceil((n + 1) * coverage - _ROUNDING), n) - 1
            offsets[low], offsets[high] = -scores[rank], scores[rank]
        return offsets
