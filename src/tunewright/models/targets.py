"""Targets of a Gaussian process: losses centred, scaled and transformed towards a normal distribution."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

import numpy as np
from scipy.special import ndtri

from tunewright.models.arrays import Array, from_scipy


class TargetTransform(StrEnum):
    """Transformations of losses before a model learns from them. None reverses the order of two losses."""

    WINSORIZE = "winsorize"
    """Values far worse than most are cut off, then as below; where nothing is extreme it is the same."""
    STANDARDIZE = "standardize"
    """Mean 0 and deviation 1."""
    POWER = "power"
    """The power transform of Yeo and Johnson that makes them most normal, then as above."""
    BOX_COX = "box_cox"
    """The same with that of Box and Cox, for values of one sign; otherwise as ``power``."""
    LOG = "log"
    """The logarithm of how far they are from the best; values far worse than most are cut off. A factor between good values
    counts as much as one between bad values, and diverged values count like bad ones."""
    RANK = "rank"
    """Normal scores of their ranks: however far off a value is, it counts for no more than its place."""


def transformed(losses: Array, how: TargetTransform) -> Array:
    """Targets of mean 0 and deviation 1 from finite losses (n,); zeros if all are equal."""
    plain = standardised(losses)
    if how is TargetTransform.STANDARDIZE or not plain.any():
        return plain
    if how is TargetTransform.WINSORIZE:
        cut = winsorised(losses)
        return plain if cut is losses else standardised(cut)
    if how is TargetTransform.LOG:
        return standardised(_log_distances(losses))
    if how is TargetTransform.RANK:
        return standardised(_normal_scores(losses))
    has_box_cox = how is TargetTransform.BOX_COX and have_one_sign(losses)
    return standardised(_box_cox(losses) if has_box_cox else _yeo_johnson(plain))


def have_one_sign(losses: Array) -> bool:
    """Whether all are above zero, or all below, as those of a positive metric are that is maximised."""
    return bool((losses > 0).all() or (losses < 0).all())


def standardised(values: Array) -> Array:
    """Mean 0 and deviation 1; zeros if all values are equal."""
    scale = float(np.max(np.abs(values), initial=0.0))
    if scale == 0.0 or not np.isfinite(scale):
        return np.zeros_like(values)
    scaled = values / scale  # the squares of huge values would overflow
    centred = scaled - scaled.mean()
    deviation = float(centred.std())
    return centred / deviation if deviation > 1e-12 else np.zeros_like(values)


_FIRST: Final = 10
"""Results from which on the spread of losses is judged."""


def winsorised(losses: Array) -> Array:
    """Losses (n,), oldest first, that end at ``best + max(q75 - best, 6 d)``, q75 being the third quartile.

    d is the largest ``median - best`` of the first 10, 20, 40, ... and of all losses. So a loss is cut off if it is worse than three
    quarters of all and more than six times as far from the best as the median ever was: a search that has converged,
    most of whose trials are near the best, does not lose sight of the others. Where three quarters are as good as the best,
    losses remain as they are.
    """
    scaled = losses / 8.0  # so that no sum of huge values overflows
    ordered = np.sort(scaled)
    best, high = float(ordered[0]), _quantile(ordered, 0.75)
    if high <= best:
        return losses
    distance = _quantile(ordered, 0.5) - best
    n = _FIRST
    while n < len(losses):
        first = np.sort(scaled[:n])
        distance = max(distance, _quantile(first, 0.5) - float(first[0]))
        n *= 2
    most = best + max(high - best, 6.0 * distance)
    if ordered[-1] <= most:
        return losses
    return np.where(scaled > most, 8.0 * min(most, np.finfo(np.float64).max / 8.0), losses)


def _quantile(ordered: Array, share: float) -> float:
    """The quantile of ascending values (n,), n >= 1, linear between two of them."""
    place = share * (len(ordered) - 1)
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    return low + (place - below) * (high - low)


def _log_distances(losses: Array) -> Array:
    """Logarithms of the distances from the best, plus a tenth of that of the third quartile.

    Distances end at three times that of the median, or at that of the third quartile if it is larger. Where three
    quarters are as good as the best, losses remain as they are.
    """
    scaled = losses / 8.0  # so that no sum of huge values overflows
    best, middle, high = np.quantile(scaled, [0.0, 0.5, 0.75])
    offset = 0.1 * (high - best)
    if offset <= 0.0:
        return losses
    return np.log(np.minimum(scaled - best, max(high - best, 3.0 * (middle - best))) + offset)


def _normal_scores(losses: Array) -> Array:
    """The normal quantiles of (rank - 1/2) / n; equal losses share their mean rank."""
    _, places, counts = np.unique(losses, return_inverse=True, return_counts=True)
    parts = (np.cumsum(counts) - counts / 2) / len(losses)
    return np.asarray(ndtri(parts), dtype=np.float64)[places]


_LOWEST_POWER: Final = -2.0
_HIGHEST_POWER: Final = 2.0
_STEEPEST: Final = 300.0
_LEAST_VARIANCE: Final = 1e-12


def _box_cox(losses: Array) -> Array:
    """``(v^p - 1) / p`` with the power p of greatest likelihood from -2 to 2, for losses v of one sign.

    Losses are taken in units of their geometric mean, which changes neither p nor, once standardised, the targets. Of
    negative ones, the metric's values are bent and the sign is given back.

    References
    ----------
    .. [BoxCox1964] Box, Cox: An Analysis of Transformations. Journal of the Royal Statistical Society B 26 (1964).
    """
    sign = 1.0 if losses[0] > 0 else -1.0
    logs = np.log(np.abs(losses))
    logs -= logs.mean()
    return sign * _likeliest(lambda power: _of_logs(logs, power), len(logs), 0.0)


def _yeo_johnson(z: Array) -> Array:
    """The transform of greatest likelihood among powers from -2 to 2.

    References
    ----------
    .. [YeoJohnson2000] Yeo, Johnson: A New Family of Power Transformations to Improve Normality or Symmetry.
       Biometrika 87 (2000).
    """
    logs, is_low = np.log1p(np.abs(z)), z < 0
    log_slopes = float(np.sum(np.where(is_low, -logs, logs)))
    return _likeliest(
        lambda power: np.where(is_low, -_of_logs(logs, 2.0 - power), _of_logs(logs, power)),
        len(z),
        log_slopes,
    )


def _of_logs(logs: Array, power: float) -> Array:
    """``(v^power - 1) / power`` from log v, and its limit at power 0; exponents end at 300, so that all is finite."""
    if abs(power) < 1e-9:
        return logs
    return np.expm1(np.clip(power * logs, -_STEEPEST, _STEEPEST)) / power


def _likeliest(bend: Callable[[float], Array], n: int, log_slopes: float) -> Array:
    """Values bent by the power under which they are most likely, as independent normal numbers.

    ``log_slopes`` is the derivative of the logarithm of the Jacobian with respect to the power.
    """

    def misfit(power: float) -> float:
        bent = bend(power)
        scale = max(float(np.max(np.abs(bent))), 1e-300)
        log_variance = np.log(max(float((bent / scale).var()), _LEAST_VARIANCE)) + 2.0 * np.log(scale)
        return 0.5 * n * float(log_variance) - (power - 1.0) * log_slopes

    found = from_scipy("optimize", "minimize_scalar")(
        misfit, bounds=(_LOWEST_POWER, _HIGHEST_POWER), method="bounded", options={"xatol": 1e-4}
    )
    return bend(float(found.x))
