"""Densities of observations in the unit cube, by a kernel around each: with the normal reference rule, and the Parzen estimator.

References
----------
.. [Bergstra2011] Bergstra, Bardenet, Bengio, Kegl: Algorithms for Hyper-Parameter Optimization. NeurIPS 2011.
.. [Watanabe2023] Watanabe: Tree-Structured Parzen Estimator: Understanding Its Algorithm Components and Their Roles for
   Better Empirical Performance. arXiv 2304.11127.
"""

from __future__ import annotations

from typing import cast, final

import numpy as np
from scipy.special import logsumexp, ndtr, ndtri  # pyright: ignore[reportUnknownVariableType]

from tunewright.models.arrays import Array, Indices


@final
class KernelDensity:
    """A product of kernels around each observation: normal for numbers, Aitchison-Aitken for categories.

    The bandwidth of a column is that of the normal reference rule, ``1.06 s n^(-1 / (4 + p))`` with the column's
    standard deviation s, which for categories is taken of their numbers, as in statsmodels; at least
    ``min_bandwidth``, and for k categories at most ``(k - 1) / k``, where all are equally likely.

    Parameters
    ----------
    data
        Observations (n, p), n >= 1: numbers, or the numbers of categories from 0.
    n_categories
        (p,): how many categories a column has; 0 for numbers.
    min_bandwidth
        The least bandwidth, > 0.

    References
    ----------
    .. [LiRacine2006] Li, Racine: Nonparametric Econometrics: Theory and Practice. Princeton 2006.
    """

    def __init__(self, data: Array, n_categories: Indices, min_bandwidth: float) -> None:
        n, p = data.shape
        rule = 1.06 * data.std(axis=0) * n ** (-1.0 / (4 + p))
        counts = n_categories
        self._is_number = counts == 0
        most = np.where(self._is_number, np.inf, 1.0 - 1.0 / np.maximum(counts, 1))
        self._data = data
        self._counts = counts
        self.bandwidths = np.minimum(np.maximum(rule, min_bandwidth), most)
        """(p,)"""

    def log_density(self, points: Array) -> Array:
        """Logarithms (m,) of the density at points (m, p)."""
        widths = self.bandwidths[self._is_number]
        a, b = points[:, self._is_number] / widths, self._data[:, self._is_number] / widths
        squares = np.einsum("ij,ij->i", a, a)[:, np.newaxis] + np.einsum("ij,ij->i", b, b) - 2.0 * a @ b.T
        logs = -0.5 * squares - float(np.sum(np.log(widths))) - len(widths) / 2 * np.log(2 * np.pi)
        for column in np.flatnonzero(~self._is_number):
            width, count = self.bandwidths[column], self._counts[column]
            is_same = points[:, column, np.newaxis] == self._data[:, column]
            logs += cast("Array", np.where(is_same, np.log1p(-width), np.log(width / (count - 1))))
        return logsumexp(logs, axis=1) - np.log(len(self._data))

    def draw(self, n: int, factor: float, rng: np.random.Generator) -> Array:
        """``n`` points (n, p) around observations drawn at random, with wider kernels.

        Numbers come from a normal distribution cut off outside [0, 1] whose bandwidth is ``factor`` times as large;
        a category is changed with the probability of its bandwidth.
        """
        centres = self._data[rng.integers(len(self._data), size=n)]
        u = rng.random(centres.shape)
        widths = self.bandwidths * factor
        numbers = _within_unit(centres, widths, u)
        others = np.floor(rng.random(centres.shape) * np.maximum(self._counts - 1, 1))
        others += others >= centres
        categories = np.where(u < self.bandwidths, others, centres)
        return np.where(self._is_number, numbers, categories)


@final
class ParzenEstimator:
    """A mixture of products: truncated normal kernels for numbers, Aitchison-Aitken kernels for categories.

    The bandwidth of a number is its distance to the farther of its neighbours among the observations and the ends of the
    interval ([Bergstra2011]_, section 4), at least ``max(least, 1 / (n + 2))`` and at most 1 ([Watanabe2023]_, section 3.3). A kernel
    gives its own category of k the weight ``1 + 1/(n + 1)``, all others ``1/(n + 1)``. The last component is the prior: a
    normal kernel of deviation 1 around the middle, and equal weights of all categories.

    Parameters
    ----------
    data
        Observations (n, p): numbers in [0, 1], or the numbers of categories from 0.
    n_categories
        (p,): how many categories a column has; 0 for numbers.
    least
        (p,): the least bandwidths of numbers, > 0.
    weights
        Of the observations (n,), > 0; the prior has their mean. None: all are equal.
    """

    def __init__(
        self, data: Array, n_categories: Indices, least: Array, weights: Array | None = None
    ) -> None:
        n = len(data)
        is_number = n_categories == 0
        self._is_number = is_number
        self._counts = n_categories
        self._centres = np.concatenate([data, np.full((1, data.shape[1]), 0.5)])
        floor = np.maximum(least, 1.0 / (n + 2))
        widths = np.clip(_gaps(data[:, is_number]), np.minimum(floor[is_number], 1.0), 1.0)
        self._widths = np.concatenate([widths, np.ones((1, widths.shape[1]))])
        others = 1.0 / (n + 1 + n_categories)
        self._others = np.tile(others, (n + 1, 1))
        """(n + 1, p): the probability of each category other than the kernel's own."""
        self._others[-1] = 1.0 / np.maximum(n_categories, 1)
        given = np.ones(n) if weights is None else weights
        given = np.append(given, given.mean() if n else 1.0)
        self._shares = given / given.sum()

    def log_density(self, points: Array) -> Array:
        """Logarithms (m,) of the density at points (m, p)."""
        widths, centres = self._widths, self._centres[:, self._is_number]
        masses = ndtr((1.0 - centres) / widths) - ndtr(-centres / widths)
        heights = np.log(self._shares) - np.log(widths * masses * np.sqrt(2 * np.pi)).sum(axis=1)
        numbers, weights = points[:, self._is_number], widths**-2.0
        squares = (
            numbers**2 @ weights.T - 2.0 * numbers @ (centres * weights).T + (centres**2 * weights).sum(1)
        )
        logs = heights - 0.5 * squares
        for column in np.flatnonzero(~self._is_number):
            other = self._others[:, column]
            own = 1.0 - (self._counts[column] - 1) * other
            is_own = points[:, column, np.newaxis] == self._centres[:, column]
            logs += np.where(is_own, np.log(own), np.log(other))
        return np.asarray(cast("Array", logsumexp(logs, axis=1)))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """``n`` points (n, p) of the mixture."""
        kernels = rng.choice(len(self._shares), size=n, p=self._shares)
        points, u = self._centres[kernels], rng.random((n, self._centres.shape[1]))
        centres, widths = points[:, self._is_number], self._widths[kernels]
        points[:, self._is_number] = _within_unit(centres, widths, u[:, self._is_number])
        for column in np.flatnonzero(~self._is_number):
            drawn = np.floor(u[:, column] / self._others[kernels, column])
            points[:, column] = np.where(drawn < self._counts[column], drawn, points[:, column])
        return points


def _gaps(data: Array) -> Array:
    """The distance of each number of each column (n, p) to the farther of its neighbours, the ends 0 and 1 included."""
    order = np.argsort(data, axis=0, kind="stable")
    steps = np.diff(np.take_along_axis(data, order, axis=0), axis=0, prepend=0.0, append=1.0)
    gaps = np.empty_like(data)
    np.put_along_axis(gaps, order, np.maximum(steps[:-1], steps[1:]), axis=0)
    return gaps


def _within_unit(centres: Array, widths: Array, u: Array) -> Array:
    """The quantiles ``u`` of normal distributions that are cut off outside [0, 1]; all broadcast."""
    low, high = ndtr(-centres / widths), ndtr((1.0 - centres) / widths)
    return np.clip(centres + widths * ndtri(low + u * (high - low)), 0.0, 1.0)
