"""Gradient-boosted trees: class probabilities, quantiles and conformal quantiles.

Trees have depth three. Several grow in the same few operations, and many are evaluated at once.

References
----------
.. [Friedman2001] Friedman: Greedy Function Approximation: A Gradient Boosting Machine. Annals of Statistics 29 (2001).
.. [Romano2019] Romano, Patterson, Candes: Conformalized Quantile Regression. NeurIPS 2019.
"""

# Adapter of scikit-learn, which has no stubs.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from tunewright.models.arrays import Array, Indices

Sides: TypeAlias = NDArray[np.bool_]

_DEPTH: Final = 3
_N_INNER: Final = 2**_DEPTH - 1
N_LEAVES: Final = 2**_DEPTH
_GAIN: Final = 1e-6
"""A split must lower the sum of squares by more, so that rounding makes none."""
_LUCK: Final = 1e-5
"""Splits whose gains differ by no more than this part are equally good. Each node draws among them: when all nodes
of a round preferred the same column, `BORE` found worse configurations at the same held-out loss."""


@final
class Edges:
    """Candidate splits of the columns: midpoints between values, or some of their quantiles.

    Parameters
    ----------
    x
        Points (n, d).
    most
        Edges that a column has at most.
    """

    def __init__(self, x: Array, most: int) -> None:
        self._edges = [_edges(column, most) for column in x.T]
        self.widths = np.array([len(edges) for edges in self._edges], dtype=np.intp)
        """(d,): how many edges each column has."""

    def sides(self, x: Array) -> Sides:
        """Whether points (m, d) lie below each of the e edges, column by column: (e + 1, m). The last row is true."""
        below = [column < edges[:, np.newaxis] for edges, column in zip(self._edges, x.T, strict=True)]
        return np.concatenate([*below, np.ones((1, len(x)), dtype=np.bool_)])


def _edges(column: Array, most: int) -> Array:
    values = np.unique(column)
    middles = (values[1:] + values[:-1]) / 2
    if len(middles) <= most:
        return middles
    return middles[np.linspace(0, len(middles) - 1, most).astype(np.intp)]


@final
class Grower:
    """Grows trees over the same points.

    Parameters
    ----------
    sides, widths
        Of the points (e + 1, n), and of the edges, as `Edges` has them.
    rng
        Chooses among columns that split equally well.
    smallest_leaf
        Points that a leaf holds at least, >= 1.
    """

    def __init__(
        self, sides: Sides, widths: Indices, rng: np.random.Generator, *, smallest_leaf: int = 1
    ) -> None:
        self._is_left = np.ascontiguousarray(sides.T)
        self._left = self._is_left[:, :-1].astype(np.float32)
        self._widths = widths
        self._rng = rng
        self._smallest = smallest_leaf
        self._points = np.arange(sides.shape[1])

    def grown(self, targets: Array) -> tuple[Indices, Indices]:
        """A tree by least squares for each row of targets (q, n).

        Returns
        -------
        splits, leaves
            The edge of each inner node, breadth first, (q, 7); e if no split helps, and all go to the left. The leaf of
            each point, (q, n).
        """
        n_trees, n = targets.shape
        n_edges = self._left.shape[1]
        splits = np.full((n_trees, _N_INNER), n_edges, dtype=np.intp)
        nodes = np.zeros((n_trees, n), dtype=np.intp)
        if not n_edges:
            return splits, nodes
        pulls = targets.astype(np.float32)[:, np.newaxis]
        trees = np.arange(n_trees)[:, np.newaxis]
        for depth in range(_DEPTH):
            width = 2**depth
            members = (nodes[:, np.newaxis] == np.arange(width)[:, np.newaxis]).astype(np.float32)
            chosen = self._chosen(members.reshape(-1, n), (members * pulls).reshape(-1, n))
            splits[:, width - 1 : 2 * width - 1] = chosen.reshape(n_trees, width)
            goes_left = self._is_left[self._points, chosen.reshape(n_trees, width)[trees, nodes]]
            nodes = 2 * nodes + 1 - goes_left
        return splits, nodes

    def _chosen(self, masses: NDArray[np.float32], pulls: NDArray[np.float32]) -> Indices:
        """The best edge of each node, (k,), from its members and their targets (k, n).

        For sums s of the targets on the left, t of all, and counts l of n, a split lowers the sum of squares by
        ``(s - t l / n)^2 n / (l (n - l))``. Single precision is enough to compare, and takes half the time.
        """
        counts, gains = masses @ self._left, pulls @ self._left
        n = masses.sum(axis=1, keepdims=True)
        gains -= counts * (pulls.sum(axis=1, keepdims=True) / np.maximum(n, 1.0))
        gains *= gains
        if self._smallest > 1:
            gains[np.minimum(counts, n - counts) < self._smallest] = 0.0
        counts *= n - counts
        np.maximum(counts, 0.5, out=counts)  # where it is zero, so is the gain
        gains /= counts
        luck = 1.0 + _LUCK * self._rng.random((len(gains), len(self._widths)), dtype=np.float32)
        gains *= np.repeat(luck, self._widths, axis=1)
        best = gains.argmax(axis=1)
        helps = gains[np.arange(len(best)), best] * n[:, 0] > _GAIN
        return np.where(helps, best, gains.shape[1])


def read(splits: Indices, values: Array, sides: Sides) -> Array:
    """The sum of trees at points.

    Parameters
    ----------
    splits, values
        Of the trees: (t, 7) as `Grower` has them, and of their leaves (t, 8).
    sides
        Of the points, (e + 1, m).

    Returns
    -------
    (m,)
    """
    bits = sides[splits.T]
    first = bits[0]
    second = np.where(first, bits[1], bits[2])
    third = np.where(first, np.where(second, bits[3], bits[4]), np.where(second, bits[5], bits[6]))
    one, two, three = (side.view(np.uint8) for side in (first, second, third))
    leaves = (_N_INNER - 4 * one - 2 * two - three).astype(np.intp)
    leaves += N_LEAVES * np.arange(len(leaves))[:, np.newaxis]
    return values.ravel().take(leaves, mode="clip").sum(axis=0)


_MOST_QUANTILE_EDGES: Final = 63
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
        self._edges = Edges(x, _MOST_QUANTILE_EDGES)
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


_SMALLEST_SPLIT: Final = 32
"""Number of observations up to which none is held back to correct quantiles."""
_HELD_BACK: Final = 0.1
_ROUNDING: Final = 1e-9
"""Rounding error of a whole number of observations."""
_SMALLEST_LEAF: Final = 4
"""Minimum observations per leaf of a classifier's tree; smaller leaves overfit single observations. XGBoost, the paper's
choice, stops at the same size when classes are even."""
_MOST_CLASSIFIER_EDGES: Final = 255
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
        self._edges = Edges(x, _MOST_CLASSIFIER_EDGES)
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
