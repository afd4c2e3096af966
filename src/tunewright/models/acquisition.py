"""Acquisition functions of one objective: expected improvement, also weighted by costs, priors and constraints.

Higher values are better.

References
----------
.. [Gardner2014] Gardner, Kusner, Xu, Weinberger, Cunningham: Bayesian Optimization with Inequality Constraints.
   ICML 2014.
.. [Gelbart2014] Gelbart, Snoek, Adams: Bayesian Optimization with Unknown Constraints. UAI 2014.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr
from typing_extensions import override

from tunewright.models.arrays import Array
from tunewright.models.surrogate import Pullback, Surrogate


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

    @override
    def values(self, a: Array) -> Array:
        """``log mean_s E max(best_s - f_s(a), 0)``."""
        means, deviations = self._surrogate.predict(a)
        return log_mean(self._logs(means, deviations)[0])[0]

    @override
    def values_and_gradient(self, a: Array) -> tuple[Array, Array]:
        """With d log h / dz = Phi / h."""
        means, deviations, pullback = self._surrogate.predict_with_pullback(a)
        logs, z = self._logs(means, deviations)
        values, shares = log_mean(logs)
        by_z = np.exp(log_ndtr(z) - logs + np.log(deviations)[:, np.newaxis])
        by_means = -shares * by_z / deviations[:, np.newaxis]
        by_deviations = (1.0 - (shares * by_z * z).sum(axis=1)) / deviations
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

    @override
    def values(self, a: Array) -> Array:
        means, deviations = self._surrogate.predict(a)
        return self._kappa * deviations - means.mean(axis=1)

    @override
    def values_and_gradient(self, a: Array) -> tuple[Array, Array]:
        means, deviations, pullback = self._surrogate.predict_with_pullback(a)
        gradient = pullback(np.full_like(means, -1.0 / means.shape[1]), np.full_like(deviations, self._kappa))
        return self._kappa * deviations - means.mean(axis=1), gradient


LogWeight: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""Points (m, d) -> the logarithm of a weight (m,) and its gradient (m, d)."""


@final
class LogProbabilityBelow:
    """The logarithm of the probability that an observation is at most a bound, ``log Phi((bound - mu) / s)``; a `LogWeight`.

    Parameters
    ----------
    surrogate
        Predicts, in one version.
    bound
        On the scale of the surrogate.
    noise
        Variance of observations around the function, >= 0: ``s^2`` is that of the function plus this.
    """

    def __init__(self, surrogate: Surrogate, bound: float, noise: float) -> None:
        self._surrogate = surrogate
        self._bound = bound
        self._noise = noise

    def __call__(self, a: Array) -> tuple[Array, Array]:
        """Values (m,) and gradient (m, d), with d log Phi / dz = phi / Phi."""
        means, deviations, pullback = self._surrogate.predict_with_pullback(a)
        spread = np.sqrt(deviations**2 + self._noise)
        z = (self._bound - means[:, 0]) / spread
        logs = log_ndtr(z)
        by_z = np.exp(-0.5 * z * z - _LOG_SQRT_2PI - logs)
        by_deviations = -by_z * z * deviations / spread**2
        return logs, pullback((-by_z / spread)[:, np.newaxis], by_deviations)


@final
class Weighted(Acquisition):
    """An acquisition function plus the logarithm of a weight to a power: ``a(x) + power log w(x)``.

    For a logarithmic acquisition function that is the logarithm of the product.

    Parameters
    ----------
    acquisition
        An acquisition function, on a scale on which differences count.
    log_weight
        Such as a prior's density, or a predicted cost.
    power
        Of the weight; negative for what should be small.
    """

    def __init__(self, acquisition: Acquisition, log_weight: LogWeight, power: float) -> None:
        self._acquisition = acquisition
        self._log_weight = log_weight
        self._power = power

    @override
    def values(self, a: Array) -> Array:
        return self._acquisition.values(a) + self._power * self._log_weight(a)[0]

    @override
    def values_and_gradient(self, a: Array) -> tuple[Array, Array]:
        values, gradient = self._acquisition.values_and_gradient(a)
        logs, slope = self._log_weight(a)
        return values + self._power * logs, gradient + self._power * slope


@final
class LogConstrainedImprovement(Acquisition):
    """``log mean_s EI_s(a) prod_k P_s(c_k(a) <= b_k)``: constrained expected improvement ([Gardner2014]_, equation 5).

    Objective and constraints are independent given the configuration; version number s of each belongs together. While
    nothing feasible is known, it is the logarithm of the probability of feasibility alone ([Gelbart2014]_, section 3.2).

    Parameters
    ----------
    objective
        The surrogate of the loss and (s,) the lowest feasible value in each version; None: nothing feasible is known.
    constraints
        For each constraint the surrogate and the bound b; at least one. All surrogates have as many versions.
    """

    def __init__(
        self, objective: tuple[Surrogate, Array] | None, constraints: Sequence[tuple[Surrogate, float]]
    ) -> None:
        self._objective = objective
        self._constraints = tuple(constraints)

    @override
    def values(self, a: Array) -> Array:
        logs: list[Array] = []
        if self._objective is not None:
            surrogate, best = self._objective
            means, deviations = surrogate.predict(a)
            logs.append(_log_improvement(_z(best, means, deviations), deviations))
        for surrogate, bound in self._constraints:
            logs.append(log_ndtr(_z(bound, *surrogate.predict(a))))
        return log_mean(np.sum(logs, axis=0))[0]

    @override
    def values_and_gradient(self, a: Array) -> tuple[Array, Array]:
        """Values (m,) and gradients (m, d), with d log h / dz = Phi / h and d log Phi / dz = phi / Phi."""
        factors: list[_Factor] = []
        if self._objective is not None:
            surrogate, best = self._objective
            means, deviations, pullback = surrogate.predict_with_pullback(a)
            z = _z(best, means, deviations)
            slope = np.exp(log_ndtr(z) - log_h(z))
            factors.append(_Factor(_log_improvement(z, deviations), z, slope, 1.0, deviations, pullback))
        for surrogate, bound in self._constraints:
            means, deviations, pullback = surrogate.predict_with_pullback(a)
            z = _z(bound, means, deviations)
            slope = np.exp(-0.5 * z * z - _LOG_SQRT_2PI - log_ndtr(z))
            factors.append(_Factor(log_ndtr(z), z, slope, 0.0, deviations, pullback))
        values, shares = log_mean(np.sum([factor.logs for factor in factors], axis=0))
        return values, np.sum([factor.gradient(shares) for factor in factors], axis=0)


@final
@dataclass(frozen=True, slots=True)
class _Factor:
    """``log f(z) + power log deviation`` of all versions, where z depends on a surrogate's prediction."""

    logs: Array
    z: Array
    slope: Array
    """d log f / dz."""
    power: float
    deviations: Array
    pullback: Pullback

    def gradient(self, shares: Array) -> Array:
        """By the points (m, d), each version weighted by its share."""
        by_z = shares * self.slope
        by_deviations = (self.power - (by_z * self.z).sum(axis=1)) / self.deviations
        return self.pullback(-by_z / self.deviations[:, np.newaxis], by_deviations)


def _z(bound: Array | float, means: Array, deviations: Array) -> Array:
    return (bound - means) / deviations[:, np.newaxis]


def _log_improvement(z: Array, deviations: Array) -> Array:
    return log_h(z) + np.log(deviations)[:, np.newaxis]
