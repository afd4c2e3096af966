"""Warped inputs: columns of [0, 1] bent by learned exponents."""

from __future__ import annotations

import math
from typing import Final, final

import numpy as np

from tunewright.models.arrays import Array
from tunewright.models.gp.kernels import CrossPullback, GramPullback, Kernel, Prior

_EDGE: Final = 1e-6


@final
class Warped(Kernel):
    """A kernel of inputs that go through a Kumaraswamy distribution function, column by column.

    ``x -> 1 - (1 - x^a)^b`` ([Snoek2014]_). ``theta``: log a of all d columns, log b of all, then those of the inner
    kernel. A prior with deviation 0.75 of the logarithms around no warping; exponents stay in [1/4, 4].

    Parameters
    ----------
    inner
        The kernel of the warped points.
    n_columns
        d: the first columns are warped, further ones are left alone.

    References
    ----------
    .. [Snoek2014] Snoek, Swersky, Zemel, Adams: Input Warping for Bayesian Optimization of Non-Stationary Functions.
       ICML 2014.
    """

    def __init__(self, inner: Kernel, n_columns: int) -> None:
        self._inner = inner
        self._n = n_columns
        exponents = Prior.repeated(
            2 * n_columns, mean=0.0, deviation=0.75, low=-math.log(4.0), high=math.log(4.0)
        )
        self._prior = exponents.joined(inner.prior)

    @property
    def prior(self) -> Prior:
        """Exponents near one, then the inner kernel's."""
        return self._prior

    def gram(self, theta: Array, x: Array) -> tuple[Array, GramPullback]:
        """Covariances (n, n)."""
        warped, slopes, by_a, by_b = self._warp(theta, x)
        covariances, inner_pullback = self._inner.gram(theta[2 * self._n :], warped)

        def pullback(weights: Array) -> tuple[Array, Array]:
            by_theta, by_warped = inner_pullback(weights)
            along = by_warped[:, : self._n]
            exponents = [np.einsum("ij,ij->j", along, by_a), np.einsum("ij,ij->j", along, by_b)]
            return np.concatenate([*exponents, by_theta]), by_warped * slopes

        return covariances, pullback

    def cross(self, theta: Array, a: Array, b: Array) -> tuple[Array, CrossPullback]:
        """Covariances (m, n)."""
        warped, slopes, _, _ = self._warp(theta, a)
        others, _, _, _ = self._warp(theta, b)
        covariances, inner_pullback = self._inner.cross(theta[2 * self._n :], warped, others)
        return covariances, lambda weights: inner_pullback(weights) * slopes

    def diagonal(self, theta: Array, a: Array) -> Array:
        """The inner kernel's, which depends on no warped column."""
        return self._inner.diagonal(theta[2 * self._n :], a)

    def _warp(self, theta: Array, x: Array) -> tuple[Array, Array, Array, Array]:
        """Warped points, slopes with respect to the points, and to the logarithms of both exponents."""
        a, b = np.exp(theta[: self._n]), np.exp(theta[self._n : 2 * self._n])
        u = np.clip(x[:, : self._n], _EDGE, 1 - _EDGE)
        power = u**a
        rest = 1.0 - power
        tail = rest**b
        warped, slopes = x.copy(), np.ones_like(x)
        warped[:, : self._n] = 1.0 - tail
        common = b * tail / rest * power
        slopes[:, : self._n] = common * a / u
        return warped, slopes, common * a * np.log(u), -b * tail * np.log(rest)
