"""Acquisition functions: how promising a point is, from a surrogate's prediction. Higher is better."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Final, final

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from tunewright.models.arrays import Array
from tunewright.models.surrogate import Surrogate


class Acquisition(ABC):
    """A number for each point."""

    @abstractmethod
    def values(self, a: Array) -> Array:
        """(m,) of points (m, d)."""

    @abstractmethod
    def values_and_gradient(self, a: Array) -> tuple[Array, Array]:
        """(m,) and the derivative of each with respect to its own point, (m, d)."""


_LOG_SQRT_2PI: Final = math.log(2 * math.pi) / 2
_LOG_SQRT_HALF_PI: Final = math.log(math.pi / 2) / 2
_FAR: Final = -1e6


def log_h(z: Array) -> Array:
    """``log(phi(z) + z Phi(z))`` without cancellation ([Ament2023]_, equation 9).

    Exact to double precision for z > -1e6; the leading term of the asymptotic series below.

    References
    ----------
    .. [Ament2023] Ament, Daulton, Eriksson, Balandat, Bakshy: Unexpected Improvements to Expected Improvement for
       Bayesian Optimization. NeurIPS 2023.
    """
    near = np.maximum(z, -1.0)
    far = np.clip(z, _FAR, -1.0)
    plain = np.log(np.exp(-0.5 * near * near - _LOG_SQRT_2PI) + near * ndtr(near))
    ratio = erfcx(far * -math.sqrt(0.5)) * -far * math.exp(_LOG_SQRT_HALF_PI)
    series = -2.0 * np.log(-np.minimum(z, -1.0))
    tail = np.where(z > _FAR, np.log1p(-np.minimum(ratio, 1 - 1e-16)), series)
    return np.where(z > -1.0, plain, -0.5 * np.minimum(z, -1.0) ** 2 - _LOG_SQRT_2PI + tail)


def log_mean(logs: Array) -> tuple[Array, Array]:
    """The logarithm (m,) of the mean over versions of what has the logarithms (m, s), and each version's share (m, s) in it."""
    top = logs.max(axis=1, keepdims=True)
    weights = np.exp(logs - top)
    totals = weights.sum(axis=1, keepdims=True)
    return (top + np.log(totals / logs.shape[1]))[:, 0], weights / totals


@final
class LogExpectedImprovement(Acquisition):
    """The logarithm of the improvement that is expected over the best value, averaged over the versions.

    Parameters
    ----------
    surrogate
        Predicts.
    best
        (s,): the lowest value so far in each version.
    """

    def __init__(self, surrogate: Surrogate, best: Array) -> None:
        self._surrogate = surrogate
        self._best = best

    def values(self, a: Array) -> Array:
        """``log mean_s E max(best_s - f_s(a), 0)``."""
        means, deviations = self._surrogate.predict(a)
        return log_mean(self._logs(means, deviations)[0])[0]

    def values_and_gradient(self, a: Array) -> tuple[Array, Array]:
        """With d log h / dz = Phi / h."""
        means, deviations, pullback = self._surrogate.predict_with_pullback(a)
        logs, z = self._logs(means, deviations)
        values, shares = log_mean(logs)
        by_z = np.exp(log_ndtr(z) - logs + np.log(deviations)[:, np.newaxis])
        by_means = -shares * by_z / deviations[:, np.newaxis]
        by_deviations = (1.0 - np.sum(shares * by_z * z, axis=1)) / deviations
        return values, pullback(by_means, by_deviations)

    def _logs(self, means: Array, deviations: Array) -> tuple[Array, Array]:
        z = (self._best - means) / deviations[:, np.newaxis]
        return log_h(z) + np.log(deviations)[:, np.newaxis], z


@final
class LowerConfidenceBound(Acquisition):
    """``kappa sigma - mu``: how good a point may be, averaged over the versions.

    Parameters
    ----------
    surrogate
        Predicts.
    kappa
        Deviations below the mean, >= 0.
    """

    def __init__(self, surrogate: Surrogate, kappa: float) -> None:
        self._surrogate = surrogate
        self._kappa = kappa

    def values(self, a: Array) -> Array:
        """Values (m,)."""
        means, deviations = self._surrogate.predict(a)
        return self._kappa * deviations - means.mean(axis=1)

    def values_and_gradient(self, a: Array) -> tuple[Array, Array]:
        """Values (m,) and gradients (m, d)."""
        means, deviations, pullback = self._surrogate.predict_with_pullback(a)
        gradient = pullback(np.full_like(means, -1.0 / means.shape[1]), np.full_like(deviations, self._kappa))
        return self._kappa * deviations - means.mean(axis=1), gradient
