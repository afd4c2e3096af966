"""Time to a target, and speed-ups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from tunewright.analysis.aggregate import resamples
from tunewright.analysis.columns import Floats
from tunewright.analysis.curves import Curves
from tunewright.exceptions import UnknownNameError


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TimeToTarget:
    """When a setup reached the target."""

    times: Floats
    """Seconds, one per seed; inf where it never did."""
    median: float
    """Seconds; inf where half of the seeds never did."""
    share: float
    """Of the seeds that did."""
    speed_up: float
    """Median of the reference over the median of this setup; NaN where neither is finite."""
    low: float
    high: float
    """95 % bootstrap interval of the speed-up."""


def target_of(curves: Curves, reference: str) -> float:
    """The loss that half of a setup's runs, or one more, have reached at the end: the upper median of final losses.

    Raises
    ------
    UnknownNameError
        There is no such setup.
    """
    if reference not in curves.setups:
        raise UnknownNameError(f"setup on {curves.benchmark}", reference, curves.setups)
    final = curves.setups[reference].losses[:, -1]
    return float(np.quantile(np.where(np.isnan(final), np.inf, final), 0.5, method="higher"))


def times_to_target(
    curves: Curves, *, reference: str, target: float | None = None
) -> Mapping[str, TimeToTarget]:
    """When each setup reached a loss, and how much faster than the reference.

    Parameters
    ----------
    curves
        Exact times of the improvements count, not the grid.
    reference
        A setup, such as random search.
    target
        A loss; None: `target_of` the reference. Where half of its runs have no result, nobody reaches it.

    Raises
    ------
    UnknownNameError
        There is no such setup.
    """
    loss = target_of(curves, reference) if target is None else target
    end = curves.times[-1] if np.isfinite(loss) else -np.inf  # what the reference never reached is no target
    times = {
        label: np.array([_within(steps.reached(loss), end) for steps in setup.steps])
        for label, setup in curves.setups.items()
    }
    base = times[reference]
    return {label: _compare(own, base, is_base=label == reference) for label, own in times.items()}


def _within(time: float, end: float) -> float:
    return time if time <= end else float("inf")


def _compare(own: Floats, base: Floats, *, is_base: bool) -> TimeToTarget:
    ratios = np.array([1.0]) if is_base else _ratio(_medians(base, 0), _medians(own, 1))
    known = ratios[~np.isnan(ratios)]
    low, high = np.quantile(known, [0.025, 0.975], method="nearest") if len(known) else (np.nan, np.nan)
    return TimeToTarget(
        times=own,
        median=_median(own),
        share=float(np.isfinite(own).mean()),
        speed_up=1.0 if is_base else float(_ratio(np.array([_median(base)]), np.array([_median(own)]))[0]),
        low=float(low),
        high=float(high),
    )


def _median(times: Floats) -> float:
    return float(np.quantile(times, 0.5, method="higher"))


def _medians(times: Floats, seed: int) -> Floats:
    return np.quantile(times[resamples(len(times), seed=seed)], 0.5, axis=1, method="higher")


def _ratio(base: Floats, own: Floats) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        return base / own
