"""Claims about methods as data, and their evaluation on summaries of runs.

A claim says that one setup is better than another on a ground, at a share of the time. It is written down before the
runs, and the interval over benchmarks and seeds decides it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

import numpy as np
from msgspec import Struct

from tunewright.analysis.aggregate import crossed_mean
from tunewright.analysis.columns import Floats
from tunewright.analysis.comparison import mean_ranks
from tunewright.analysis.curves import Curves
from tunewright.analysis.significance import MIN_PAIRS
from tunewright.analysis.summaries import SHARES, BenchmarkSummary, curves_of
from tunewright.exceptions import SettingsError

MIN_BENCHMARKS: Final = 3
"""With fewer benchmarks no claim is decided."""


class Measure(StrEnum):
    """Quantity that is compared; the first setup is better if it is on the named side of the bound."""

    WINS = "wins"
    """Share of pairs of equal benchmark and seed in which the first setup has the lower loss, equal losses half: above 0.5."""
    REGRET = "regret"
    """Mean normalised regret of the first setup less that of the second: below 0."""
    SECONDS = "seconds"
    """Geometric mean of the ratio of the times to the end: below 1."""


_BOUNDS: Final = {Measure.WINS: 0.5, Measure.REGRET: 0.0, Measure.SECONDS: 1.0}


class Verdict(StrEnum):
    """Result of a claim."""

    HOLDS = "holds"
    """The whole 95 % interval is on the claimed side of the bound."""
    FAILS = "does not hold here"
    """The whole interval is on the other side."""
    OPEN = "not decided"
    """The interval contains the bound, or there are too few runs."""


@final
class Contrast(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That one setup is better than another."""

    first: str
    """The setup that is said to be better."""
    second: str
    measure: Measure = Measure.WINS
    share_of_first: float = 1.0
    """Share of the time, one of `SHARES`. A lower one than that of the second setup claims a speed-up."""
    share_of_second: float = 1.0
    bound: float | None = None
    """None: the one that `Measure` names."""

    @property
    def limit(self) -> float:
        """The bound of the measure."""
        return _BOUNDS[self.measure] if self.bound is None else self.bound


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A contrast with the figures that decide it."""

    verdict: Verdict
    centre: float
    """NaN without a pair."""
    low: float
    high: float
    """95 % interval over benchmarks and seeds as crossed factors (`crossed_mean`)."""
    n_benchmarks: int
    n_pairs: int
    """Pairs of equal benchmark and seed."""


def evaluate(contrast: Contrast, summaries: Mapping[str, BenchmarkSummary]) -> Finding:
    """Evaluate a contrast on all benchmarks that have runs of both setups with equal seeds.

    Not decided are contrasts with fewer than `MIN_BENCHMARKS` benchmarks, two seeds or `MIN_PAIRS` pairs.

    Raises
    ------
    SettingsError
        A share is none of `SHARES`.
    """
    for share in (contrast.share_of_first, contrast.share_of_second):
        if share not in SHARES:
            raise SettingsError(
                f"Summaries have losses at {', '.join(map(str, SHARES))} of the time, not at {share}"
            )
    parts = [part for name in sorted(summaries) if len(part := _values(contrast, summaries[name], name))]
    n_pairs = sum(map(len, parts))
    if not parts:
        nan = float("nan")
        return Finding(verdict=Verdict.OPEN, centre=nan, low=nan, high=nan, n_benchmarks=0, n_pairs=0)
    band = crossed_mean([part[:, None] for part in parts])
    centre, low, high = (float(x[0]) for x in (band.centre, band.low, band.high))
    if contrast.measure is Measure.SECONDS:
        centre, low, high = (float(np.exp(x)) for x in (centre, low, high))
    is_enough = len(parts) >= MIN_BENCHMARKS and n_pairs >= MIN_PAIRS and max(map(len, parts)) > 1
    return Finding(
        verdict=_verdict(contrast, low, high) if is_enough else Verdict.OPEN,
        centre=centre,
        low=low,
        high=high,
        n_benchmarks=len(parts),
        n_pairs=n_pairs,
    )


def _verdict(contrast: Contrast, low: float, high: float) -> Verdict:
    is_below, is_above = high < contrast.limit, low > contrast.limit
    if contrast.measure is Measure.WINS:
        is_below, is_above = is_above, is_below
    return Verdict.HOLDS if is_below else Verdict.FAILS if is_above else Verdict.OPEN


def _values(contrast: Contrast, summary: BenchmarkSummary, name: str) -> Floats:
    """The measure on a benchmark, by common seed."""
    if not {contrast.first, contrast.second} <= set(summary.setups):
        return np.empty(0)
    if contrast.measure is Measure.SECONDS:
        first, second = (
            {run.seed: np.log(run.seconds) for run in summary.setups[label].runs}
            for label in (contrast.first, contrast.second)
        )
        return np.array([first[seed] - second[seed] for seed in sorted(first.keys() & second)])
    pair = curves_of(summary, name, setups=(contrast.first, contrast.second))
    if not pair.common_seeds:
        return np.empty(0)
    pair = pair.paired()
    first = _regret(pair, contrast.first, contrast.share_of_first)
    second = _regret(pair, contrast.second, contrast.share_of_second)
    if contrast.measure is Measure.WINS:
        return (first < second) + 0.5 * (first == second)
    return first - second


def _regret(curves: Curves, label: str, share: float) -> Floats:
    """Normalised regret at a share of the time, by seed; 1 before the first result."""
    losses = curves.setups[label].losses[:, SHARES.index(share)]
    return np.nan_to_num(curves.scale.regret(losses), nan=1.0)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """Place of a setup among all at the end of the curves."""

    is_first: bool
    """Whether no setup has a lower mean rank."""
    rank: float
    best: str
    """Setup with the lowest mean rank."""
    best_rank: float
    n_setups: int


def lead_of(every: Sequence[Curves], setup: str) -> Lead:
    """Rank a setup among all.

    Raises
    ------
    SettingsError, UnknownNameError
        As `mean_ranks`.
    """
    ranks = mean_ranks(every, shares=np.array([1.0]), prefer=setup)
    centres = {label: float(band.centre[-1]) for label, band in ranks.bands.items()}
    best = min(centres, key=lambda label: (centres[label], label != setup))
    return Lead(
        is_first=best == setup,
        rank=centres[setup],
        best=best,
        best_rank=centres[best],
        n_setups=len(centres),
    )
