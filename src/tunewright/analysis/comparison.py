"""Regret, ranks, area over time and time to target: figures that compare benchmarks of different scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from tunewright.analysis.aggregate import Band, crossed_mean, resamples
from tunewright.analysis.columns import Floats
from tunewright.analysis.curves import Curves, Scale, equal_setups
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.models.arrays import from_scipy

N_SHARES: Final = 100
"""Points of the grid from 0 to 1 that benchmarks of different length share."""


def normalised_regret(curves: Curves, scale: Scale | None = None) -> dict[str, Floats]:
    """Regret of each experiment on a scale, by default the benchmark's; shape (seeds, times).

    0 is the best known loss and 1 the start of the scale. Losses above that of an untrained model are alike.
    """
    known = scale or curves.scale
    return {label: known.regret(setup.losses) for label, setup in curves.setups.items()}


def anytime_area(curves: Curves, scale: Scale | None = None) -> dict[str, Floats]:
    """Mean over time of the normalised regret, one per seed; lower is better. The regret before the first result is 1."""
    return {
        label: np.nan_to_num(regret, nan=1.0).mean(axis=1)
        for label, regret in normalised_regret(curves, scale).items()
    }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FinalRegret:
    """Normalised regret of a setup at the end, over benchmarks and seeds."""

    median: float
    """Median over benchmarks of the median over seeds."""
    mean: Band
    """Mean over benchmarks of the mean over seeds, at one time, with a 95 % interval (`crossed_mean`)."""
    difference: Band | None
    """Mean less that of the reference, run by run; None for the reference itself."""


def final_regrets(every: Sequence[Curves], *, reference: str) -> dict[str, FinalRegret]:
    """Normalised regret at the end of the grid, by setup; 1 for a run without results. Seeds that all setups have count.

    Raises
    ------
    UnknownNameError
        There is no such setup.
    SettingsError
        There is no benchmark, benchmarks differ in their setups, or no seed is common to all.
    """
    check_same_setups(every)
    if reference not in every[0].setups:
        raise UnknownNameError("setup", reference, every[0].setups)
    final = [
        {
            label: np.nan_to_num(regret[:, -1:], nan=1.0)
            for label, regret in normalised_regret(c.paired()).items()
        }
        for c in every
    ]
    return {
        label: FinalRegret(
            median=float(np.median([np.median(part[label]) for part in final])),
            mean=crossed_mean([part[label] for part in final]),
            difference=None
            if label == reference
            else crossed_mean([part[label] - part[reference] for part in final]),
        )
        for label in every[0].setups
    }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Mean ranks over time; 1 is best."""

    shares: Floats
    """Shares of each benchmark's time, from 0 to 1."""
    bands: Mapping[str, Band]
    """Mean over benchmarks of the mean rank over seeds, with a 95 % interval (`crossed_mean`), by setup."""
    equal: Mapping[str, tuple[str, ...]]
    """For each ranked setup: others that had equal curves in every run (`equal_setups`) and are not ranked beside it."""
    blocks: tuple[tuple[str, int], ...]
    """Benchmark and seed of each block: within it all setups are ranked."""


def mean_ranks(every: Sequence[Curves], *, shares: Floats | None = None, prefer: str | None = None) -> Ranks:
    """Rank the setups on each benchmark and seed, at equal shares of the benchmark's time; equal losses share a rank.

    A setup is last before its first result. Only seeds that all setups have are used. Of setups with equal curves in every run one
    is ranked, if possible ``prefer``: a setup must not be ahead of three others because one ran under three names.
    ``shares`` are the shares of the time, by default `N_SHARES` from 0 to 1.

    Raises
    ------
    SettingsError
        There is only one setup or no benchmark, benchmarks differ in their setups, or all curves are equal.
    """
    check_same_setups(every)
    if len(every[0].setups) < 2:
        raise SettingsError("Ranks need two setups at least")
    equal = equal_setups(every, prefer=prefer)
    if len(equal) < 2:
        raise SettingsError("Ranks need setups that differ: all had equal curves in every run")
    at = np.linspace(0.0, 1.0, N_SHARES) if shares is None else shares
    blocks: list[tuple[str, int]] = []
    ranks: list[Floats] = []
    for curves in (c.paired() for c in every):
        losses = np.array([_at(curves, label, at) for label in equal])
        ranks.append(
            from_scipy("stats", "rankdata")(
                np.nan_to_num(losses, nan=np.inf, posinf=np.inf), axis=0
            ).transpose(1, 0, 2)
        )
        blocks.extend((curves.benchmark, seed) for seed in curves.common_seeds)
    return Ranks(
        shares=at,
        bands={label: crossed_mean([part[:, i] for part in ranks]) for i, label in enumerate(equal)},
        equal=equal,
        blocks=tuple(blocks),
    )


def check_same_setups(every: Sequence[Curves]) -> None:
    """Raise an error for benchmarks that cannot be compared together.

    Raises
    ------
    SettingsError
        There is no benchmark, or one lacks a setup that another has.
    """
    if not every:
        raise SettingsError("There is no benchmark to compare on")
    if any(set(curves.setups) != set(every[0].setups) for curves in every):
        raise SettingsError(
            "Not every setup was run on every benchmark: choose setups or benchmarks that were run with one another"
        )


def _at(curves: Curves, label: str, shares: Floats) -> Floats:
    times = shares * curves.times[-1]
    return np.array([steps.at(times) for steps in curves.setups[label].steps])


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TimeToTarget:
    """Time of a setup to the target."""

    times: Floats
    """Seconds, one per seed; inf if the target was not reached."""
    median: float
    """Seconds; inf if half of the seeds did not reach the target."""
    share: float
    """Share of the seeds that reached the target."""
    speed_up: float
    """Median of the reference over the median of this setup; NaN if neither is finite."""
    low: float
    high: float
    """95 % bootstrap interval of the speed-up."""


def target_of(curves: Curves, reference: str) -> float:
    """Loss that half of a setup's runs, or one more, reach: the upper median of final losses.

    Raises
    ------
    UnknownNameError
        The setup is unknown.
    """
    if reference not in curves.setups:
        raise UnknownNameError(f"setup on {curves.benchmark}", reference, curves.setups)
    final = curves.setups[reference].losses[:, -1]
    return float(np.quantile(np.where(np.isnan(final), np.inf, final), 0.5, method="higher"))


def times_to_target(
    curves: Curves, *, reference: str, target: float | None = None
) -> Mapping[str, TimeToTarget]:
    """Time of each setup to a loss, and its speed-up over the reference.

    Parameters
    ----------
    curves
        Curves; the exact times of their improvements are used, not the grid.
    reference
        A setup, such as random search.
    target
        A loss; None: `target_of` the reference, which no setup reaches if half of the reference's runs have no result.

    Raises
    ------
    UnknownNameError
        The setup is unknown.
    """
    loss = target_of(curves, reference) if target is None else target
    end = curves.times[-1] if np.isfinite(loss) else -np.inf  # an infinite target is never reached
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
