"""Random forests with splits on categories and a variance, as surrogates of model-based configuration.

References
----------
.. [Breiman2001] Breiman: Random Forests. Machine Learning 45 (2001).
.. [Geurts2006] Geurts, Ernst, Wehenkel: Extremely Randomized Trees. Machine Learning 63 (2006).
.. [Hutter2011] Hutter, Hoos, Leyton-Brown: Sequential Model-Based Optimization for General Algorithm Configuration. LION 5, 2011.
.. [Hutter2014] Hutter, Xu, Hoos, Leyton-Brown: Algorithm Runtime Prediction: Methods and Evaluation. Artificial
   Intelligence 206 (2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from tunewright.models.arrays import Array, Indices

_GAIN: Final = 1e-12
"""A split must lower the sum of squares by more, so that rounding makes none."""


@final
@dataclass(frozen=True, slots=True)
class _Nodes:
    """Nodes of all trees, level by level; the first are the roots. A leaf is its own left child, to which all points go."""

    columns: Indices
    """(nodes,): the column that splits each."""
    thresholds: Array
    """(nodes,): numbers up to it go to the left."""
    is_left: NDArray[np.bool_]
    """(nodes, most categories): categories that go to the left."""
    children: Indices
    """(nodes,): the left one; the right one is the next."""
    means: Array
    variances: Array


@final
class RandomForest:
    """Means and variances by bootstrapped trees that are grown to the end.

    A node draws one cut for each column and takes the one that lowers the sum of squares most ([Geurts2006]_, K = p): for
    numbers uniformly between the least and the largest; for categories a random order of all of them and a cut in it, so that
    categories that a node has not seen go to either side. All nodes of a level of all trees are split together.

    Parameters
    ----------
    n_categories
        (p,): how many categories a column has; 0 for numbers.
    n_trees
        Trees, each grown on its own sample of as many points, drawn with replacement ([Breiman2001]_); >= 1.
    """

    def __init__(self, n_categories: Indices, n_trees: int) -> None:
        self._counts = n_categories
        self._is_number = n_categories == 0
        self._n_trees = n_trees

    def fit(self, x: Array, y: Array, rng: np.random.Generator) -> None:
        """Learn from points (n, p) and values (n,), n >= 1; points hold numbers, or the numbers of categories from 0."""
        n = len(y)
        drawn = rng.integers(n, size=self._n_trees * n)
        node = np.repeat(np.arange(self._n_trees), n)
        levels: list[_Nodes] = []
        n_nodes = 0
        while len(drawn):
            level, goes_left = self._level(x[drawn], y[drawn], node, n_nodes, rng)
            is_split = level.children >= n_nodes + len(level.means)
            n_nodes += len(level.means)
            levels.append(level)
            stays = is_split[node]
            drawn = drawn[stays]
            node = (level.children[node] - n_nodes + ~goes_left)[stays]
            order = np.argsort(node, kind="stable")
            drawn, node = drawn[order], node[order]
        self._depth = len(levels)
        self._nodes = _Nodes(
            np.concatenate([level.columns for level in levels]),
            np.concatenate([level.thresholds for level in levels]),
            np.concatenate([level.is_left for level in levels]),
            np.concatenate([level.children for level in levels]),
            np.concatenate([level.means for level in levels]),
            np.concatenate([level.variances for level in levels]),
        )

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Means (m,) and variances (m,) at points (m, p).

        The variance is that of the trees' means plus the mean of the variances in their leaves ([Hutter2014]_, section 4.3).
        """
        nodes = self._nodes
        reached = np.tile(np.arange(self._n_trees), (len(x), 1))
        points = np.arange(len(x))[:, np.newaxis]
        for _ in range(self._depth - 1):
            columns = nodes.columns[reached]
            values = x[points, columns]
            is_number = self._is_number[columns]
            of_categories = nodes.is_left[reached, np.where(is_number, 0, values).astype(np.intp)]
            is_left = np.where(is_number, values <= nodes.thresholds[reached], of_categories)
            reached = nodes.children[reached] + ~is_left
        means = nodes.means[reached]
        variances = means.var(axis=1) + nodes.variances[reached].mean(axis=1)
        return np.asarray(means.mean(axis=1)), np.asarray(variances)

    def _level(
        self, x: Array, y: Array, node: Indices, n_before: int, rng: np.random.Generator
    ) -> tuple[_Nodes, NDArray[np.bool_]]:
        """The nodes of a level, and whether each point goes to the left.

        Parameters
        ----------
        x, y, node
            Points (s, p), their values and their nodes (s,), numbered from 0, in ascending order.
        n_before
            Nodes of the levels above.
        rng
            Draws orders of categories and cuts.
        """
        starts = np.flatnonzero(np.diff(node, prepend=-1))
        every = np.arange(len(starts))
        counts = np.diff(starts, append=len(node)).astype(np.float64)
        means = np.add.reduceat(y, starts) / counts
        centred = y - means[node]
        variances = np.add.reduceat(centred**2, starts) / counts
        places = rng.random((len(starts), len(self._counts), max(int(self._counts.max()), 1)))
        codes = np.where(self._is_number, 0, x).astype(np.intp)
        in_order = places[node[:, np.newaxis], np.arange(len(self._counts)), codes]
        values = np.where(self._is_number, x, in_order)
        low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
        cuts = low + rng.random(low.shape) * (high - low)
        is_left = values <= cuts[node]
        n_left = np.add.reduceat(is_left.astype(np.float64), starts)
        sums = np.add.reduceat(is_left * centred[:, np.newaxis], starts)
        n_right = counts[:, np.newaxis] - n_left
        gains = sums**2 * counts[:, np.newaxis] / np.maximum(n_left * n_right, 1.0)
        columns = np.where(n_right > 0, gains, 0.0).argmax(axis=1)
        is_split = (n_right[every, columns] > 0) & (gains[every, columns] > _GAIN)
        thresholds = np.where(is_split, cuts[every, columns], np.inf)
        below = n_before + len(every) + 2 * (np.cumsum(is_split) - 1)
        level = _Nodes(
            columns,
            thresholds,
            places[every, columns] <= thresholds[:, np.newaxis],
            np.where(is_split, below, n_before + every),
            means,
            variances,
        )
        return level, is_left[np.arange(len(y)), columns[node]]
