"""Covariance functions with their derivatives.

A kernel has unit scale; its parameters are logarithms, in one flat vector ``theta``. Derivatives are pulled back: the
caller gives the derivative of a number F by the covariances and gets its derivatives by parameters and points. That takes one
matrix product, while forming each derivative would take d matrices.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np
from typing_extensions import override

from tunewright.models.arrays import Array

GramPullback: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""dF/dK, symmetric (n, n) -> dF/dtheta and dF/dx (n, d)."""

Groups: TypeAlias = int | Sequence[int]
"""Number of columns of each group that shares a length scale, all >= 1; a number n stands for n groups of one column."""

CrossPullback: TypeAlias = Callable[[Array], Array]
"""dF/dK (m, n) -> dF/da (m, d)."""


@final
@dataclass(frozen=True, slots=True)
class Prior:
    """Independent normal distributions of the logarithms of parameters, and their bounds. All of shape (p,)."""

    mean: Array
    """Mean of the prior, and the start of a fit."""
    deviation: Array
    low: Array
    high: Array

    def joined(self, other: Prior) -> Prior:
        """Parameters of both, the own ones first."""
        return Prior(
            np.concatenate([self.mean, other.mean]),
            np.concatenate([self.deviation, other.deviation]),
            np.concatenate([self.low, other.low]),
            np.concatenate([self.high, other.high]),
        )

    @staticmethod
    def repeated(count: int, *, mean: float, deviation: float, low: float, high: float) -> Prior:
        """``count`` parameters that are distributed alike."""
        columns = (np.full(count, value) for value in (mean, deviation, low, high))
        return Prior(*columns)


class Kernel(ABC):
    """A positive definite function of two points of shape (d,)."""

    @property
    @abstractmethod
    def prior(self) -> Prior:
        """Distribution of ``theta``, which also defines the number of parameters."""

    @abstractmethod
    def gram(self, theta: Array, x: Array) -> tuple[Array, GramPullback]:
        """Covariances (n, n) of points (n, d), and their derivative."""

    @abstractmethod
    def cross(self, theta: Array, a: Array, b: Array) -> tuple[Array, CrossPullback]:
        """Covariances (m, n) of points (m, d) and (n, d), and their derivative with respect to the first."""

    @abstractmethod
    def diagonal(self, theta: Array, a: Array) -> Array:
        """Variances (m,) of points (m, d). They depend on no column along which candidates move."""


_SQRT5: Final = math.sqrt(5.0)


def matern52(scaled_a: Array, scaled_b: Array) -> tuple[Array, Array]:
    """The Matern-5/2 function of the distances r of points, and its slope.

    Parameters
    ----------
    scaled_a, scaled_b
        Points (m, d) and (n, d), in units of the length scales.

    Returns
    -------
    covariances, slopes
        ``(1 + sqrt(5) r + 5/3 r^2) exp(-sqrt(5) r)`` and ``5/3 (1 + sqrt(5) r) exp(-sqrt(5) r)``, which is
        -2 times the derivative with respect to r^2; both (m, n) ([RW2006]_, 4.2.1).

    References
    ----------
    .. [RW2006] Rasmussen, Williams: Gaussian Processes for Machine Learning. MIT Press 2006.
    """
    squares_a = np.einsum("ij,ij->i", scaled_a, scaled_a)
    squares_b = np.einsum("ij,ij->i", scaled_b, scaled_b)
    r = scaled_a @ scaled_b.T
    r *= -2.0
    r += squares_a[:, np.newaxis]
    r += squares_b
    np.maximum(r, 0.0, out=r)
    np.sqrt(r, out=r)
    r *= _SQRT5
    decay = np.exp(-r)
    slope = (1.0 + r) * decay
    r *= r
    r *= decay
    r *= 1 / 3
    r += slope
    slope *= 5 / 3
    return r, slope


def length_scale_prior(n_columns: int) -> Prior:
    """Length scales that grow with the square root of the dimension.

    ``LogNormal(sqrt(2) + log(d) / 2, sqrt(3))`` of [Hvarfner2024]_, so that a model in many dimensions is as smooth
    as one in few. A maximum of that density lies where one of the normal density of the logarithm with a mean that is
    lower by the variance 3 does; it is the latter that is used here.

    References
    ----------
    .. [Hvarfner2024] Hvarfner, Hellsten, Nardi: Vanilla Bayesian Optimization Performs Great in High Dimensions.
       ICML 2024.
    """
    mean = math.sqrt(2.0) + math.log(n_columns) / 2 - 3.0
    return Prior.repeated(
        n_columns, mean=mean, deviation=math.sqrt(3.0), low=math.log(0.01), high=math.log(100.0)
    )


@final
class Matern52(Kernel):
    """Matern-5/2 with a length scale for each group of columns. ``theta``: their logarithms.

    A group is a single column, or the indicator columns of a category. Two values of a category with length scale l have
    the distance 1/l, whichever they are: with categories alone it is a function of the weighted Hamming distance, as
    in [Hutter2009]_ (section 3.2). A category then has one parameter, where a length scale for each value would take many
    results to learn.

    Parameters
    ----------
    groups
        Groups of columns, in their order.

    References
    ----------
    .. [Hutter2009] Hutter: Automated Configuration of Algorithms for Solving Hard Computational Problems. PhD thesis,
       University of British Columbia 2009.
    """

    def __init__(self, groups: Groups) -> None:
        widths = np.array([1] * groups if isinstance(groups, int) else groups, dtype=np.intp)
        self._prior = length_scale_prior(len(widths))
        self._widths = None if (widths == 1).all() else widths
        self._starts = np.cumsum(widths) - widths
        self._factors = np.where(widths > 1, math.sqrt(0.5), 1.0)

    @property
    @override
    def prior(self) -> Prior:
        """Dimension-scaled length scales."""
        return self._prior

    @override
    def gram(self, theta: Array, x: Array) -> tuple[Array, GramPullback]:
        inverse = self.inverse_scales(theta)
        scaled = (x - 0.5) * inverse
        covariances, slope = matern52(scaled, scaled)

        def pullback(weights: Array) -> tuple[Array, Array]:
            weighted = weights * slope
            moments = weighted.sum(axis=1)[:, np.newaxis] * scaled - weighted @ scaled
            by_columns = 2.0 * np.einsum("ij,ij->j", moments, scaled)
            by_theta = by_columns if self._widths is None else np.add.reduceat(by_columns, self._starts)
            return by_theta, -2.0 * inverse * moments

        return covariances, pullback

    @override
    def cross(self, theta: Array, a: Array, b: Array) -> tuple[Array, CrossPullback]:
        inverse = self.inverse_scales(theta)
        scaled_a, scaled_b = (a - 0.5) * inverse, (b - 0.5) * inverse
        covariances, slope = matern52(scaled_a, scaled_b)

        def pullback(weights: Array) -> Array:
            weighted = weights * slope
            return -inverse * (weighted.sum(axis=1)[:, np.newaxis] * scaled_a - weighted @ scaled_b)

        return covariances, pullback

    @override
    def diagonal(self, theta: Array, a: Array) -> Array:
        return np.ones(len(a))

    def inverse_scales(self, theta: Array) -> Array:
        """The factor (d,) of each column: the distance of two points is that of their products with it."""
        inverse = np.exp(-theta)
        return inverse if self._widths is None else np.repeat(inverse * self._factors, self._widths)


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
    @override
    def prior(self) -> Prior:
        """Exponents near one, then the inner kernel's."""
        return self._prior

    @override
    def gram(self, theta: Array, x: Array) -> tuple[Array, GramPullback]:
        warped, slopes, by_a, by_b = self._warp(theta, x)
        covariances, inner_pullback = self._inner.gram(theta[2 * self._n :], warped)

        def pullback(weights: Array) -> tuple[Array, Array]:
            by_theta, by_warped = inner_pullback(weights)
            along = by_warped[:, : self._n]
            exponents = [np.einsum("ij,ij->j", along, by_a), np.einsum("ij,ij->j", along, by_b)]
            return np.concatenate([*exponents, by_theta]), by_warped * slopes

        return covariances, pullback

    @override
    def cross(self, theta: Array, a: Array, b: Array) -> tuple[Array, CrossPullback]:
        warped, slopes, _, _ = self._warp(theta, a)
        others, _, _, _ = self._warp(theta, b)
        covariances, inner_pullback = self._inner.cross(theta[2 * self._n :], warped, others)
        return covariances, lambda weights: inner_pullback(weights) * slopes

    @override
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
