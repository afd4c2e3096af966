"""Regression trees of depth three in arrays: several grow in the same few operations, and many are read at once."""

from __future__ import annotations

from typing import Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tunewright.models.arrays import Array, Indices

Sides: TypeAlias = NDArray[np.bool_]

_DEPTH: Final = 3
_N_INNER: Final = 2**_DEPTH - 1
N_LEAVES: Final = 2**_DEPTH
_GAIN: Final = 1e-6
"""A split must lower the sum of squares by more, so that rounding makes none."""
_LUCK: Final = 1e-5
"""Splits whose gains differ by no more than this part are equally good. Each node draws its own luck: where all nodes of a
round preferred the same column, `BORE` found less, at the same held-out loss."""


@final
class Edges:
    """Where the columns of points may be split: midways between values, or at some of their quantiles.

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
            The edge of each inner node, breadth first, (q, 7); e where no split helps, and all go to the left. The leaf of
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
