"""Regret, ranks, area over time and time to target: figures that compare benchmarks of different scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from scipy.stats import rankdata

from tunewright.analysis.aggregate import Band, aggregate, resamples
from tunewright.analysis.columns import Floats
from tunewright.analysis.curves import Curves
from tunewright.exceptions import SettingsError, UnknownNameError

N_SHARES: Final = 100
"""Points of the grid from 0 to 1 on which benchmarks of different length are put together."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What is 0 and what is 1 in the normalised regret of a benchmark, as losses."""

    best: float
    start: float


def scale_of(curves: Curves) -> Scale:
    """The scale of a benchmark from the experiments themselves.

    0 is the best loss of any of them; 1 is the median, over the experiments that have any on the grid, of the best loss
    at the first time at which all these have one. Where most of them begin with the best there is, 1 is the worst of them.
    """
    losses = np.concatenate([setup.losses for setup in curves.setups.values()])
    losses = losses[~np.isnan(losses).all(axis=1)]
    first = losses[:, np.isnan(losses).sum(axis=1).max()] if len(losses) else np.array([np.nan])
    best = min(
        (s.losses[-1] for setup in curves.setups.values() for s in setup.steps if len(s.losses)),
        default=np.nan,
    )
    start = float(np.median(first))
    return Scale(best=float(best), start=float(first.max()) if start <= best else start)


def normalised_regret(curves: Curves, scale: Scale | None = None) -> dict[str, Floats]:
    """How far each experiment is from the best known loss, as a share of the way from the start; shape (seeds, times)."""
    known = scale or scale_of(curves)
    width = known.start - known.best or 1.0  # no difference: whatever the width is, all are at 0
    return {label: (setup.losses - known.best) / width for label, setup in curves.setups.items()}


def anytime_area(curves: Curves, scale: Scale | None = None) -> dict[str, Floats]:
    """The mean over time of the normalised regret, one per seed: low is good at every time; before a result it is 1."""
    return {
        label: np.nan_to_num(regret, nan=1.0).mean(axis=1)
        for label, regret in normalised_regret(curves, scale).items()
    }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """Mean ranks over time; 1 is best."""

    shares: Floats
    """Shares of each benchmark's time, from 0 to 1."""
    bands: Mapping[str, Band]
    """Mean rank with a 95 % interval, by setup."""
    final: Mapping[str, Floats]
    """Ranks at the end, one per block."""
    blocks: tuple[tuple[str, int], ...]
    """Benchmark and seed of each block: within it all setups are ranked."""


def mean_ranks(every: Sequence[Curves], *, n_shares: int = N_SHARES) -> Ranks:
    """Rank the setups on each benchmark and seed, at equal shares of the benchmark's time; equal losses share a rank.

    Before its first result a setup is last. Only seeds that all setups have count.

    Raises
    ------
    SettingsError
        There is one setup only, or no benchmark, or benchmarks differ in their setups.
    """
    check_same_setups(every)
    labels = list(every[0].setups)
    if len(labels) < 2:
        raise SettingsError("Ranks need two setups at least")
    shares = np.linspace(0.0, 1.0, n_shares)
    blocks: list[tuple[str, int]] = []
    ranks: list[Floats] = []
    for curves in (c.paired() for c in every):
        losses = np.array([_at(curves, label, shares) for label in labels])
        ranks.append(rankdata(np.nan_to_num(losses, nan=np.inf, posinf=np.inf), axis=0).transpose(1, 0, 2))
        blocks.extend((curves.benchmark, seed) for seed in curves.common_seeds)
    whole = np.concatenate(ranks)
    return Ranks(
        shares=shares,
        bands={label: aggregate(whole[:, i], "mean") for i, label in enumerate(labels)},
        final={label: whole[:, i, -1] for i, label in enumerate(labels)},
        blocks=tuple(blocks),
    )


def check_same_setups(every: Sequence[Curves]) -> None:
    """Refuse benchmarks whose experiments cannot be put together.

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
