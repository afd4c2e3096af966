"""PASHA's limit of promotions: it rises while the ranking of the best trials is not settled.

References
----------
.. [Bohdal2023] Bohdal, Balles, Wistuba, Ermis, Archambeau, Zappella: PASHA: Efficient HPO and NAS with Progressive
   Resource Allocation. ICLR 2023.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SettingsError
from tunewright.models.arrays import Array
from tunewright.schedulers.asha import PromotionLimit
from tunewright.schedulers.rungs import Rung

_PERCENTILE: Final = 90
"""Percentile of the distances of pairs that differ by noise only ([Bohdal2023]_, section 4)."""


@final
class SoftRankingLimit(PromotionLimit):
    """Begins at the second level and rises by one level when the two top rungs rank their trials differently.

    With each result at the limit, the trials there are ranked by their losses at it and at the level below
    ([Bohdal2023]_, Algorithm 1). The rankings agree if at every position the two trials' losses at the level below
    differ by at most epsilon. Epsilon is the 90th percentile of the distances of all pairs of trials whose order along
    their curves changed and changed back: such pairs are parted by noise. Without such a pair it is 0.

    Parameters
    ----------
    levels
        All levels, strictly increasing, the full resource included; at least two.
    epsilon
        A fixed tolerance on the metric's scale, >= 0; None: estimated as above.

    Raises
    ------
    SettingsError
        ``epsilon`` is negative.
    """

    def __init__(self, levels: Sequence[int], epsilon: float | None = None) -> None:
        if epsilon is not None and not epsilon >= 0.0:
            raise SettingsError(f"epsilon={epsilon} must be >= 0")
        self._levels = tuple(levels)
        self._top = 1
        self._fixed_epsilon = epsilon
        self._curves: dict[int, dict[int, float]] = {}

    @property
    @override
    def resource(self) -> int:
        return self._levels[self._top]

    @override
    def observe(self, trial_id: int, resource: int, loss: float, rungs: Sequence[Rung]) -> None:
        """Add to the trial's curve; compare the rankings if it has reached the limit."""
        if math.isfinite(loss):
            self._curves.setdefault(trial_id, {})[resource] = loss
        is_at_top = self._top < len(rungs) and trial_id in rungs[self._top] and resource >= self.resource
        if is_at_top and not self._is_settled(rungs[self._top], rungs[self._top - 1]):
            self._top += 1

    def _is_settled(self, top: Rung, below: Rung) -> bool:
        before = {trial_id: loss for loss, trial_id in below.entries if trial_id in top}
        now = [trial_id for _, trial_id in top.entries if trial_id in before]
        if now == list(before):
            return True
        epsilon = noise_of(self._curves) if self._fixed_epsilon is None else self._fixed_epsilon
        return agree(now, before, epsilon)


def agree(now: Sequence[int], before: Mapping[int, float], epsilon: float) -> bool:
    """Whether a ranking is a soft one of earlier losses ([Bohdal2023]_, section 4).

    Parameters
    ----------
    now
        Trials, best first.
    before
        The earlier loss of each of them, best first.
    epsilon
        Losses that differ by no more are equivalent.
    """
    pairs = zip((before[trial_id] for trial_id in now), before.values(), strict=True)
    return all(loss == expected or abs(loss - expected) <= epsilon for loss, expected in pairs)


def noise_of(curves: Mapping[int, Mapping[int, float]]) -> float:
    """Epsilon: the 90th percentile of the distances of pairs whose order changed and changed back.

    Parameters
    ----------
    curves
        By trial, the finite losses by resource.

    Returns
    -------
    float
        The distances are those at the highest resource that a pair has in common; 0 if there is no such pair.
    """
    long = [curve for curve in curves.values() if len(curve) >= 3]
    resources = sorted({resource for curve in long for resource in curve})
    rows = np.array([[curve.get(resource, math.nan) for resource in resources] for curve in long])
    distances = [_noisy_distances(rows[first] - rows[first + 1 :]) for first in range(len(long) - 1)]
    noisy = np.concatenate([np.empty(0), *distances])
    return float(np.percentile(noisy, _PERCENTILE)) if len(noisy) else 0.0


def _noisy_distances(differences: Array) -> Array:
    """The last distances of those pairs of curves that cross twice or more.

    Parameters
    ----------
    differences
        (pairs, resources); NaN if one of a pair has no value.
    """
    is_common = np.isfinite(differences)
    signs = np.sign(np.where(is_common, differences, 0.0))
    columns = np.where(signs != 0.0, np.arange(signs.shape[1]), 0)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    places = np.maximum.accumulate(columns, axis=1)  # pyright: ignore[reportUnknownArgumentType]
    signs = np.take_along_axis(signs, places, axis=1)  # a missing sign is that of the last value
    noisy = np.flatnonzero((signs[:, 1:] * signs[:, :-1] < 0.0).sum(axis=1) >= 2)
    last = signs.shape[1] - 1 - np.argmax(is_common[noisy, ::-1], axis=1)
    return np.abs(differences[noisy, last])
