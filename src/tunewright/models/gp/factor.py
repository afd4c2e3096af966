"""Cholesky factors that never fail and grow row by row."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, TypeAlias, final

import numpy as np
from scipy.linalg import blas as _blas
from scipy.linalg import lapack as _lapack

from tunewright.models.arrays import Array

Covariance: TypeAlias = Callable[[Array, Array], Array]
"""Noise-free covariance of two sets of points: (m, d), (n, d) -> (m, n)."""

_BLAS: Final[Any] = _blas
_LAPACK: Final[Any] = _lapack  # their functions are made when SciPy is built: no type checker knows them

_FIRST_JITTER: Final = 1e-10


def cholesky(matrix: Array) -> Array:
    """The lower Cholesky factor of a covariance matrix.

    Where rounding has made the matrix indefinite, its diagonal is raised by 1e-10 of its mean, then by ten times as
    much, and so on. That ends: a matrix that is dominated by its diagonal is positive definite.

    Parameters
    ----------
    matrix
        Symmetric (n, n), finite.

    Returns
    -------
    (n, n), Fortran order, zeros above the diagonal
    """
    factor, info = _LAPACK.dpotrf(matrix, lower=1, clean=1)
    jitter = _FIRST_JITTER * max(float(np.trace(matrix)) / max(len(matrix), 1), math.ulp(1.0))
    while info != 0:
        factor, info = _LAPACK.dpotrf(matrix + jitter * np.eye(len(matrix)), lower=1, clean=1)
        jitter *= 10
    return factor


def solve_lower(factor: Array, right: Array, *, transposed: bool = False) -> Array:
    """``L^-1 B``, or ``L^-T B``, for a lower triangular (n, n) and a right side (n, k)."""
    return _BLAS.dtrsm(1.0, factor, right, lower=1, trans_a=int(transposed))


def solve(factor: Array, right: Array) -> Array:
    """``(L L')^-1 b`` from L (n, n) and b (n,)."""
    return _LAPACK.dpotrs(factor, right, lower=1)[0]


def inverse(factor: Array) -> Array:
    """``(L L')^-1`` from L, (n, n)."""
    lower = _LAPACK.dpotri(factor, lower=1)[0]
    whole = lower + lower.T
    np.fill_diagonal(whole, lower.diagonal())
    return whole


@final
class Factor:
    """The Cholesky factor of ``K(x, x) + noise I`` for points that come one after the other.

    The first ``base`` points are factorised at once, each further one by bordering, in O(n^2). So a factor is a
    function of the points, their order and ``base``: extending an old one gives, to the last bit, what a new one
    would hold.

    Parameters
    ----------
    covariance
        Noise-free covariance.
    noise
        Variance added to the diagonal, > 0.
    x
        (n, d)
    base
        How many of the points are factorised at once.
    """

    __slots__ = ("_base", "_covariance", "_noise", "lower", "x")

    def __init__(self, covariance: Covariance, noise: float, x: Array, base: int) -> None:
        self._covariance = covariance
        self._noise = noise
        self._base = min(base, len(x))
        start = x[: self._base]
        self.x = start
        self.lower = cholesky(covariance(start, start) + noise * np.eye(self._base))
        self._append(x[self._base :])

    def extended(self, x: Array) -> Factor:
        """The factor of ``x``, which costs little if ``x`` begins with the points of this one."""
        n_known = len(self.x)
        if n_known > len(x) or not np.array_equal(self.x, x[:n_known]):
            return Factor(self._covariance, self._noise, x, self._base)
        if n_known < len(x):
            self._append(x[n_known:])
        return self

    def _append(self, rows: Array) -> None:
        for row in rows:
            n = len(self.x)
            point = row[np.newaxis]
            side = solve_lower(self.lower, self._covariance(self.x, point))[:, 0]
            pivot = float(self._covariance(point, point)[0, 0]) + self._noise - float(side @ side)
            grown = np.zeros((n + 1, n + 1), order="F")
            grown[:n, :n] = self.lower
            grown[n, :n] = side
            grown[n, n] = math.sqrt(max(pivot, self._noise))  # as in exact arithmetic
            self.lower = grown
            self.x = np.concatenate([self.x, point])
