"""Multivariate kernel density estimates of numbers in [0, 1] and of categories."""

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
        low, high = ndtr(-centres / widths), ndtr((1.0 - centres) / widths)
        numbers = np.clip(centres + widths * ndtri(low + u * (high - low)), 0.0, 1.0)
        others = np.floor(rng.random(centres.shape) * np.maximum(self._counts - 1, 1))
        others += others >= centres
        categories = np.where(u < self.bandwidths, others, centres)
        return np.where(self._is_number, numbers, categories)
