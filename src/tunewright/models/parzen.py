"""Weighted mixtures of kernels in the unit cube, one around each observation and one over the whole cube.

References
----------
.. [Bergstra2011] Bergstra, Bardenet, Bengio, Kegl: Algorithms for Hyper-Parameter Optimization. NeurIPS 2011.
.. [Watanabe2023] Watanabe: Tree-Structured Parzen Estimator: Understanding Its Algorithm Components and Their Roles for
   Better Empirical Performance. arXiv 2304.11127.
"""

from __future__ import annotations

from typing import final

import numpy as np
from scipy.special import logsumexp, ndtr, ndtri  # pyright: ignore[reportUnknownVariableType]

from tunewright.models.arrays import Array, Indices


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
        return np.asarray(logsumexp(logs, axis=1))

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """``n`` points (n, p) of the mixture."""
        kernels = rng.choice(len(self._shares), size=n, p=self._shares)
        points, u = self._centres[kernels], rng.random((n, self._centres.shape[1]))
        centres, widths = points[:, self._is_number], self._widths[kernels]
        low, high = ndtr(-centres / widths), ndtr((1.0 - centres) / widths)
        places = ndtri(low + u[:, self._is_number] * (high - low))
        points[:, self._is_number] = np.clip(centres + widths * places, 0.0, 1.0)
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
