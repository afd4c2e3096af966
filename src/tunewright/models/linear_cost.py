"""Models of the logarithm of an evaluation's cost, so that predicted costs are positive.

References
----------
.. [Snoek2012] Snoek, Larochelle, Adams: Practical Bayesian Optimization of Machine Learning Algorithms. NeurIPS 2012.
"""

from __future__ import annotations

from typing import Final, final

import numpy as np

from tunewright.models.arrays import Array, Indices
from tunewright.models.surrogate import Surrogate

_SMALLEST: Final = 1e-3
"""Share of the largest value that smaller or non-positive values count as."""
_TINY: Final = float(np.finfo(np.float64).tiny)


def log_targets(values: Array) -> tuple[Array, float, float]:
    """Logarithms of positive values (n,), n >= 1, standardised; then their mean and deviation, > 0."""
    top = float(np.max(values))
    logs = np.log(np.maximum(values, max(_SMALLEST * top, _TINY)) if top > 0 else np.ones_like(values))
    mean, deviation = float(logs.mean()), float(logs.std())
    if deviation < 1e-12:
        return np.zeros_like(logs), mean, 1.0
    return (logs - mean) / deviation, mean, deviation


@final
class LogCost:
    """The logarithm of a cost over configurations ([Snoek2012]_, section 3.2: the process models ln c).

    Parameters
    ----------
    surrogate
        Of standardised logarithms.
    mean, deviation
        Of the logarithms.
    """

    def __init__(self, surrogate: Surrogate, mean: float, deviation: float) -> None:
        self._surrogate = surrogate
        self._mean = mean
        self._deviation = deviation

    def __call__(self, a: Array) -> tuple[Array, Array]:
        """Values (m,) and gradients (m, d) at points (m, d)."""
        means, deviations, pullback = self._surrogate.predict_with_pullback(a)
        share = np.full_like(means, self._deviation / means.shape[1])
        values = self._mean + self._deviation * means.mean(axis=1)
        return values, pullback(share, np.zeros_like(deviations))


@final
class LogLinearCost:
    """The logarithm of ``a(x) + b(x) r`` at one resource r.

    Parameters
    ----------
    offset
        Of ``log a``; None: a is 0.
    slope
        Of ``log b``.
    resource
        r, > 0.
    """

    def __init__(self, offset: LogCost | None, slope: LogCost, resource: float) -> None:
        self._offset = offset
        self._slope = slope
        self._log_resource = float(np.log(resource))

    def __call__(self, a: Array) -> tuple[Array, Array]:
        """Values (m,) and gradients (m, d) at points (m, d)."""
        per_unit, by_slope = self._slope(a)
        running = per_unit + self._log_resource
        if self._offset is None:
            return running, by_slope
        offset, by_offset = self._offset(a)
        values = np.logaddexp(offset, running)
        share = np.exp(running - values)[:, np.newaxis]
        return values, share * by_slope + (1.0 - share) * by_offset


def lines(groups: Indices, resources: Array, costs: Array) -> tuple[Indices, Array, Array]:
    """Fit ``cost = a + b r`` to the points of each group by least squares.

    Parameters
    ----------
    groups, resources, costs
        (n,): which group a point belongs to, its r >= 1 and its cost.

    Returns
    -------
    groups, offsets, slopes
        (g,): each group once, a (NaN if there is one point only: then b = cost / r) and b. A slope is not below
        the smallest share of the whole cost, an offset not below 0.
    """
    names, places, counts = np.unique(groups, return_inverse=True, return_counts=True)
    mean_r = np.bincount(places, resources) / counts
    mean_c = np.bincount(places, costs) / counts
    apart = resources - mean_r[places]
    spread = np.bincount(places, apart**2)
    together = np.bincount(places, apart * (costs - mean_c[places]))
    is_line = spread > 0
    slopes = np.where(is_line, together / np.where(is_line, spread, 1.0), mean_c / mean_r)
    slopes = np.maximum(slopes, _SMALLEST * mean_c / mean_r)
    offsets = np.where(is_line, np.maximum(mean_c - slopes * mean_r, 0.0), np.nan)
    return names, offsets, slopes
