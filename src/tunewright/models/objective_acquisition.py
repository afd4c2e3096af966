"""Acquisition functions of several objectives, each predicted by a surrogate of its own. Higher is better.

References
----------
.. [Ament2023] Ament, Daulton, Eriksson, Balandat, Bakshy: Unexpected Improvements to Expected Improvement for
   Bayesian Optimization. NeurIPS 2023.
.. [Emmerich2006] Emmerich, Giannakoglou, Naujoks: Single- and Multiobjective Evolutionary Optimization Assisted by
   Gaussian Random Field Metamodels. IEEE Transactions on Evolutionary Computation 10 (2006).
.. [Knowles2006] Knowles: ParEGO: A Hybrid Algorithm with On-Line Landscape Approximation for Expensive Multiobjective
   Optimization Problems. IEEE Transactions on Evolutionary Computation 10 (2006).
.. [Paria2019] Paria, Kandasamy, Poczos: A Flexible Framework for Multi-Objective Bayesian Optimization using Random
   Scalarizations. UAI 2019.
.. [Yang2019] Yang, Emmerich, Deutz, Baeck: Efficient Computation of Expected Hypervolume Improvement Using Box
   Decomposition Algorithms. Journal of Global Optimization 75 (2019).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from typing import Final, NamedTuple, cast, final

import numpy as np
from scipy.special import log_ndtr, logsumexp, ndtr  # pyright: ignore[reportUnknownVariableType]
from typing_extensions import override

from tunewright.models.acquisition import Acquisition, log_h
from tunewright.models.arrays import Array
from tunewright.models.surrogate import Surrogate

_LEAST: Final = 1e-200
"""Expected improvement below which the logarithms of its factors are summed."""
_FARTHEST: Final = -1e100
"""Standardised distance at which a bound counts as infinitely far."""
_SQRT_2PI: Final = math.sqrt(2 * math.pi)
_LOG_SQRT_2PI: Final = math.log(2 * math.pi) / 2
_MOST_NUMBERS: Final = 1_000_000
"""Of one array; more candidates are taken in parts."""


class Scalarization(StrEnum):
    """How objectives become one."""

    CHEBYSHEV = "chebyshev"
    """The worst weighted objective, plus 0.05 times the weighted sum: reaches every point of a front."""
    LINEAR = "linear"
    """The weighted sum: reaches the convex parts of a front."""


_AUGMENTATION: Final = 0.05


@final
class ScalarizedLowerBound(Acquisition):
    """A scalarisation of the objectives' lower confidence bounds ([Paria2019]_, section 3), negated.

    ``-(max_i w_i u_i + 0.05 sum_i w_i u_i)`` with ``u_i = mu_i - kappa sigma_i - ideal_i``, the augmented
    Chebyshev function of [Knowles2006]_ (equation 2); or ``-sum_i w_i u_i``. Means are averaged over the versions.

    Parameters
    ----------
    surrogates
        One for each of k objectives.
    weights
        (k,), >= 0.
    ideal
        (k,): the values of the objectives that count as 0.
    kappa
        Deviations below the mean, >= 0.
    how
        The scalarisation.
    """

    def __init__(
        self,
        surrogates: Sequence[Surrogate],
        weights: Array,
        *,
        ideal: Array,
        kappa: float,
        how: Scalarization,
    ) -> None:
        self._surrogates = surrogates
        self._weights = weights
        self._ideal = ideal
        self._kappa = kappa
        self._how = how

    @override
    def values(self, a: Array) -> Array:
        return self._scalarized([surrogate.predict(a) for surrogate in self._surrogates])[0]

    @override
    def values_and_gradient(self, a: Array) -> tuple[Array, Array]:
        """Values (m,) and gradients (m, d); at a kink that of one side."""
        predictions = [surrogate.predict_with_pullback(a) for surrogate in self._surrogates]
        values, shares = self._scalarized([(means, deviations) for means, deviations, _ in predictions])
        gradient = np.zeros_like(a)
        for (means, _, pullback), share in zip(predictions, shares.T, strict=True):
            by_means = np.repeat(share[:, np.newaxis] / means.shape[1], means.shape[1], axis=1)
            gradient += pullback(by_means, -self._kappa * share)
        return values, gradient

    def _scalarized(self, predictions: Sequence[tuple[Array, Array]]) -> tuple[Array, Array]:
        """Values (m,), and their derivatives by the lower bounds (m, k)."""
        bounds = np.stack([means.mean(axis=1) - self._kappa * d for means, d in predictions], axis=1)
        slopes = self._weights
        weighted = slopes * (bounds - self._ideal)
        if self._how is Scalarization.LINEAR:
            return -weighted.sum(axis=1), np.broadcast_to(-slopes, weighted.shape)
        worst = np.argmax(weighted, axis=1)
        places = cast("Array", np.arange(weighted.shape[1]))
        is_worst = places == worst[:, np.newaxis]
        values = weighted.max(axis=1) + _AUGMENTATION * weighted.sum(axis=1)
        return -values, -slopes * (is_worst + _AUGMENTATION)


class Boxes(NamedTuple):
    """Boxes of the space of losses, b for each of s versions; padded with empty ones if a version has fewer."""

    lower: Array
    """(s, b, k), -inf if there is no end."""
    upper: Array
    """(s, b, k)"""


def stacked_boxes(versions: Sequence[tuple[Array, Array]]) -> Boxes:
    """The boxes of all versions, from corners (b_s, k) of each."""
    n_boxes = max(len(lower) for lower, _ in versions)
    k = versions[0][0].shape[1]
    both = np.zeros((2, len(versions), n_boxes, k))
    for version, corners in enumerate(versions):
        for side, corner in enumerate(corners):
            both[side, version, : len(corner)] = corner
    return Boxes(both[0], both[1])


class _Side(NamedTuple):
    """Factors of one objective's prediction for all boxes, arrays (m, s, b)."""

    gain: Array
    """``E[length of the part of the side that is improved]``."""
    by_mean: Array
    by_deviation: Array


class _LogSide(NamedTuple):
    """The same in logarithms, arrays (m, s, b)."""

    gain: Array
    """Its logarithm; -inf for an empty side."""
    by_mean: Array
    """Derivative of the logarithm."""
    by_deviation: Array


@final
class ExpectedHypervolumeImprovement(Acquisition):
    """The logarithm of the hypervolume that is expected to become dominated, averaged over the versions.

    Exact for independent normal predictions ([Emmerich2006]_; summed over boxes as in [Yang2019]_): a point y improves
    on the box from l to u by ``prod_i (u_i - max(y_i, l_i))``, where that is positive, and each factor's expectation is
    ``G(u_i) - G(l_i)`` with ``G(c) = E max(c - y_i, 0) = sigma h(z)``, ``h(z) = phi(z) + z Phi(z)``, ``z = (c - mu) / sigma``.
    Where the sum would underflow, it is computed from the logarithms of the factors, so that points far behind the front
    do not tie ([Ament2023]_, section 4).

    Parameters
    ----------
    surrogates
        One for each of k objectives, all with the same versions.
    boxes
        What is not dominated below the reference point, in each version.
    floor
        Added to the sum over versions, >= 0; above 0, points whose improvement is far smaller tie.
    """

    def __init__(self, surrogates: Sequence[Surrogate], boxes: Boxes, *, floor: float = 0.0) -> None:
        self._surrogates = surrogates
        self._boxes = boxes
        self._floor = floor

    @override
    def values(self, a: Array) -> Array:
        """``log mean_s E[improvement]``, (m,)."""
        predictions = [surrogate.predict(a) for surrogate in self._surrogates]
        n_rows = max(1, _MOST_NUMBERS // (self._boxes.lower.shape[0] * self._boxes.lower.shape[1]))
        parts = [
            self._expected([(means[i : i + n_rows], d[i : i + n_rows]) for means, d in predictions])
            for i in range(0, len(a), n_rows)
        ]
        return np.concatenate(parts) if parts else np.empty(0)

    @override
    def values_and_gradient(self, a: Array) -> tuple[Array, Array]:
        predictions = [surrogate.predict_with_pullback(a) for surrogate in self._surrogates]
        moments = [(means, d) for means, d, _ in predictions]
        sides = [self._side(i, means, d) for i, (means, d) in enumerate(moments)]
        expected = _product(sides, None).sum(axis=(1, 2)) + self._floor
        is_far = expected < _LEAST
        expected[is_far] = 1.0
        values = np.log(expected / self._boxes.lower.shape[0])
        slopes: list[tuple[Array, Array]] = []
        for i, side in enumerate(sides):
            others = _product(sides, i)
            by_means = (others * side.by_mean).sum(axis=2) / expected[:, np.newaxis]
            slopes.append((by_means, (others * side.by_deviation).sum(axis=(1, 2)) / expected))
        if is_far.any():
            log_sides, values[is_far] = self._log_expected([(m[is_far], d[is_far]) for m, d in moments])
            weights = _shares(_log_product(log_sides))
            for side, (by_means, by_deviations) in zip(log_sides, slopes, strict=True):
                by_means[is_far] = (weights * side.by_mean).sum(axis=2)
                by_deviations[is_far] = (weights * side.by_deviation).sum(axis=(1, 2))
        gradient = np.zeros_like(a)
        for (_, _, pullback), (by_means, by_deviations) in zip(predictions, slopes, strict=True):
            gradient += pullback(by_means, by_deviations)
        return values, gradient

    def _expected(self, predictions: Sequence[tuple[Array, Array]]) -> Array:
        sides = [self._side(i, means, d) for i, (means, d) in enumerate(predictions)]
        expected = _product(sides, None).sum(axis=(1, 2)) + self._floor
        is_far = expected < _LEAST
        expected[is_far] = 1.0
        values = np.log(expected / self._boxes.lower.shape[0])
        if is_far.any():
            _, values[is_far] = self._log_expected([(m[is_far], d[is_far]) for m, d in predictions])
        return values

    def _log_expected(self, predictions: Sequence[tuple[Array, Array]]) -> tuple[list[_LogSide], Array]:
        """The factors in logarithms, and ``log mean_s E[improvement]``, (m,)."""
        sides = [self._log_side(i, means, d) for i, (means, d) in enumerate(predictions)]
        total = cast("Array", logsumexp(_log_product(sides), axis=(1, 2)))
        return sides, total - math.log(self._boxes.lower.shape[0])

    def _side(self, i: int, means: Array, deviations: Array) -> _Side:
        sigma = deviations[:, np.newaxis, np.newaxis]
        gains, tails, densities = zip(*(_until(z) for z in self._ends(i, means, sigma)), strict=True)
        return _Side(
            sigma * np.maximum(gains[1] - gains[0], 0.0), tails[0] - tails[1], densities[1] - densities[0]
        )

    def _log_side(self, i: int, means: Array, deviations: Array) -> _LogSide:
        sigma = deviations[:, np.newaxis, np.newaxis]
        low, high = (np.maximum(z, _FARTHEST) for z in self._ends(i, means, sigma))
        gain = log_h(high) + _log_difference(log_h(low) - log_h(high)) + np.log(sigma)
        tail = log_ndtr(high) + _log_difference(log_ndtr(low) - log_ndtr(high))
        density = -0.5 * np.minimum(low**2, high**2) - _LOG_SQRT_2PI
        density += _log_difference(-0.5 * np.abs(high**2 - low**2))
        is_empty = np.isneginf(gain)
        scale = np.where(is_empty, 0.0, gain)
        by_deviation = np.sign(low**2 - high**2) * np.exp(np.where(is_empty, -np.inf, density) - scale)
        return _LogSide(gain, -np.exp(np.where(is_empty, -np.inf, tail) - scale), by_deviation)

    def _ends(self, i: int, means: Array, sigma: Array) -> list[Array]:
        """Both ends of the boxes' sides, standardised, (m, s, b) each."""
        ends = (self._boxes.lower[:, :, i], self._boxes.upper[:, :, i])
        return [(end - means[:, :, np.newaxis]) / sigma for end in ends]


def _log_difference(logs: Array) -> Array:
    """``log(1 - exp(x))`` of numbers x <= 0; rounding errors above 0 count as 0."""
    x = np.minimum(logs, 0.0)
    with np.errstate(divide="ignore"):
        return np.where(x > -math.log(2), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


def _log_product(sides: Sequence[_LogSide]) -> Array:
    """The logarithm of the product of all sides, (m, s, b)."""
    return np.sum([side.gain for side in sides], axis=0)


def _shares(logs: Array) -> Array:
    """Share of each box and version in the sum of what has the logarithms (m, s, b)."""
    weights = np.exp(logs - logs.max(axis=(1, 2), keepdims=True))
    return weights / weights.sum(axis=(1, 2), keepdims=True)


def _until(z: Array) -> tuple[Array, Array, Array]:
    """``phi(z) + z Phi(z)``, ``Phi(z)`` and ``phi(z)``; zeros at -inf."""
    finite = np.maximum(z, -40.0)
    density = np.exp(-0.5 * finite * finite) / _SQRT_2PI
    tail = ndtr(finite)
    return np.maximum(density + finite * tail, 0.0), tail, density


def _product(sides: Sequence[_Side], but: int | None) -> Array:
    """The product of all sides but one, (m, s, b)."""
    found = np.ones_like(sides[0].gain)
    for i, side in enumerate(sides):
        if i != but:
            found = found * side.gain
    return found
