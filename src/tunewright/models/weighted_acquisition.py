"""Expected improvement weighted by what else counts: costs, beliefs, the probability that constraints hold.

References
----------
.. [Gardner2014] Gardner, Kusner, Xu, Weinberger, Cunningham: Bayesian Optimization with Inequality Constraints.
   ICML 2014.
.. [Gelbart2014] Gelbart, Snoek, Adams: Bayesian Optimization with Unknown Constraints. UAI 2014.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np
from scipy.special import log_ndtr

from tunewright.models.acquisition import Acquisition, log_h, log_mean
from tunewright.models.arrays import Array
from tunewright.models.surrogate import Pullback, Surrogate

LogWeight: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""Points (m, d) -> the logarithm of a weight (m,) and its gradient (m, d)."""


@final
class Weighted(Acquisition):
    """A logarithmic acquisition function plus the logarithm of a weight to a power: ``log a(x) + power log w(x)``.

    Parameters
    ----------
    acquisition
        Whose values are logarithms.
    log_weight
        Such as a prior's density, or a predicted cost.
    power
        Of the weight; negative for what should be small.
    """

    def __init__(self, acquisition: Acquisition, log_weight: LogWeight, power: float) -> None:
        self._acquisition = acquisition
        self._log_weight = log_weight
        self._power = power

    def values(self, a: Array) -> Array:
        """Values (m,)."""
        return self._acquisition.values(a) + self._power * self._log_weight(a)[0]

    def values_and_gradient(self, a: Array) -> tuple[Array, Array]:
        """Values (m,) and gradients (m, d)."""
        values, gradient = self._acquisition.values_and_gradient(a)
        logs, slope = self._log_weight(a)
        return values + self._power * logs, gradient + self._power * slope


_LOG_SQRT_2PI: Final = math.log(2 * math.pi) / 2


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

    def values(self, a: Array) -> Array:
        """Values (m,)."""
        logs: list[Array] = []
        if self._objective is not None:
            surrogate, best = self._objective
            means, deviations = surrogate.predict(a)
            logs.append(_log_improvement(_z(best, means, deviations), deviations))
        for surrogate, bound in self._constraints:
            logs.append(log_ndtr(_z(bound, *surrogate.predict(a))))
        return log_mean(np.sum(logs, axis=0))[0]

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
