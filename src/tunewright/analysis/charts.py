"""Charts of comparisons as data: what a page or a figure draws, without colours and without a drawing library.

Numbers are values of the metrics, in six significant digits; None stands for a value that is missing or not finite.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, final

import numpy as np

from tunewright.analysis.aggregate import Aggregate, Band, aggregate
from tunewright.analysis.columns import Floats
from tunewright.analysis.comparison import Ranks
from tunewright.analysis.curves import Curves, alphabetical, with_equals
from tunewright.analysis.objectives import ParetoSets, attainment_surface
from tunewright.analysis.significance import CriticalDifference, Over
from tunewright.formatting import plural
from tunewright.metric import Goal, Metric

Numbers: TypeAlias = Sequence[float | None]
_Display: TypeAlias = Callable[[Floats], Floats]

_EXPLAINED: Final = {
    Aggregate.IQM: "interquartile mean, 95 % bootstrap interval",
    Aggregate.MEAN: "mean, 95 % interval",
    Aggregate.MEDIAN: "median and quartiles",
}
_WIDE: Final = 100.0
"""Ratio of highest and lowest value above which an axis is logarithmic."""
_SHOWN: Final = 0.97
"""Share of the values that a panel shows, from the best on."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis of a panel."""

    label: str
    log: bool = False
    inverted: bool = False
    low: float | None = None
    """End of the shown range; None: by the data."""
    high: float | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line with its band and its dots."""

    label: str
    x: Numbers
    y: Numbers
    low: Numbers = ()
    """Lower edge of the band at each x; empty: no band, or one that ``area`` bounds."""
    high: Numbers = ()
    area: Sequence[tuple[float, float]] = ()
    """Corners of a band that is no function of x."""
    dots: Sequence[tuple[float, float]] = ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes."""

    title: str
    subtitle: str = ""
    x: Axis
    y: Axis
    lines: Sequence[Line]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    """Panels with lines."""

    kind: Literal["lines"] = "lines"
    labels: Sequence[str]
    """Of all lines of all panels, in the order of their colours."""
    panels: Sequence[Panel]
    text: str
    """Meaning of lines and bands."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Values of the seeds of a setup, and their interval."""

    label: str
    values: Numbers
    low: float | None
    centre: float | None
    high: float | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalPanel:
    """Intervals of one benchmark."""

    title: str
    x: Axis
    rows: Sequence[Interval]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class IntervalChart:
    """Panels with an interval per row."""

    kind: Literal["intervals"] = "intervals"
    labels: Sequence[str]
    panels: Sequence[IntervalPanel]
    text: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RankedSetup:
    """A setup of a critical-difference diagram."""

    label: str
    name: str
    """Label with the setups that had equal curves."""
    rank: float


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RankChart:
    """A critical-difference diagram (Demšar, JMLR 2006): mean ranks on a line, and groups without a significant difference."""

    kind: Literal["ranks"] = "ranks"
    setups: Sequence[RankedSetup]
    """The best first."""
    groups: Sequence[Sequence[str]]
    """Labels of each group."""
    text: str


Chart: TypeAlias = LineChart | IntervalChart | RankChart


def curve_chart(
    every: Sequence[Curves], *, kind: Aggregate | str = Aggregate.IQM, log_time: bool = False
) -> LineChart:
    """Best value so far over time, a panel per benchmark, a line with its interval per setup."""
    how = Aggregate(kind)
    labels = alphabetical({label for curves in every for label in curves.setups})
    panels = [_curve_panel(curves, labels, how, log_time=log_time) for curves in every]
    return LineChart(labels=labels, panels=panels, text=_EXPLAINED[how])


def _curve_panel(curves: Curves, labels: Sequence[str], how: Aggregate, *, log_time: bool) -> Panel:
    factor, unit = time_scale(float(curves.times[-1]))
    bands = {label: aggregate(setup.losses, how) for label, setup in curves.setups.items()}
    x = numbers(curves.times / factor)
    is_up = curves.metric.goal is Goal.MAXIMIZE
    low, high = _shown_range(curves, bands)
    return Panel(
        title=curves.benchmark,
        subtitle=_seeds_text([len(setup.seeds) for setup in curves.setups.values()], curves.values),
        x=Axis(label=time_label(curves.clock, unit), log=log_time),
        y=Axis(
            label=f"best {curves.metric.name} so far\n({'higher' if is_up else 'lower'} is better)",
            low=low,
            high=high,
        ),
        lines=[_band_line(label, x, bands[label], curves.display) for label in labels if label in bands],
    )


def _band_line(label: str, x: Numbers, band: Band, display: _Display) -> Line:
    ends = np.stack([display(band.low), display(band.high)])
    return Line(
        label=label,
        x=x,
        y=numbers(display(band.centre)),
        low=numbers(ends.min(axis=0)),
        high=numbers(ends.max(axis=0)),
    )


def _shown_range(curves: Curves, bands: Mapping[str, Band]) -> tuple[float | None, float | None]:
    """Choose the range without the first tenth of the time, and without the worst values after it.

    Otherwise a setup that starts late would compress all lines at the other edge.
    """
    late = curves.times >= 0.1 * curves.times[-1]
    parts = [part[late] for band in bands.values() for part in (band.low, band.high)]
    losses = np.concatenate(parts)
    losses = losses[np.isfinite(losses)]
    if len(losses):
        low, high = np.sort(curves.display(np.array([losses.min(), np.quantile(losses, _SHOWN)])))
        if high > low:
            margin = 0.06 * (high - low)
            return float(low - margin), float(high + margin)
    return None, None


def rank_chart(ranks: Ranks) -> LineChart:
    """Mean rank over benchmarks and seeds at equal shares of the time."""
    x = numbers(100 * ranks.shares)
    labels = [with_equals(label, ranks.equal) for label in ranks.bands]
    benchmarks = {benchmark for benchmark, _ in ranks.blocks}
    seeds = {seed for _, seed in ranks.blocks}
    panel = Panel(
        title=f"{plural(len(benchmarks), 'benchmark')}, {plural(len(seeds), 'seed')}",
        x=Axis(label="share of each benchmark's time [%]"),
        y=Axis(label="mean rank (1 is best)", inverted=True),
        lines=[
            _band_line(name, x, band, _as_is) for name, band in zip(labels, ranks.bands.values(), strict=True)
        ],
    )
    drawn = "benchmarks and seeds" if len(benchmarks) > 1 else "seeds"
    return LineChart(labels=labels, panels=[panel], text=f"mean and 95 % bootstrap interval over {drawn}")


def critical_chart(found: CriticalDifference) -> RankChart:
    """Mean ranks on a line; a bar joins setups that do not differ significantly."""
    is_of_these = found.n_benchmarks > 1 and found.over is not Over.BENCHMARKS
    where = f" on these {found.n_benchmarks} benchmarks" if is_of_these else ""
    return RankChart(
        setups=[
            RankedSetup(label=label, name=with_equals(label, found.equal), rank=rank)
            for label, rank in found.ranks.items()
        ],
        groups=found.groups,
        text=(
            f"mean rank at the end over {plural(found.n_blocks, 'pair')} of benchmark and seed (1 is best);\n"
            f"bars: no significant difference{where}"
        ),
    )


def area_chart(areas: Mapping[str, Mapping[str, Floats]]) -> IntervalChart:
    """The anytime area (mean normalised regret over time) of every seed: benchmark -> setup -> values."""
    panels: list[IntervalPanel] = []
    for benchmark, found in areas.items():
        rows: list[Interval] = []
        for label, values in found.items():
            band = aggregate(values[:, None])
            low, centre, high = numbers([band.low[0], band.centre[0], band.high[0]])
            rows.append(Interval(label=label, values=numbers(values), low=low, centre=centre, high=high))
        axis = Axis(label="mean normalised regret over time\n(lower is better)")
        panels.append(IntervalPanel(title=benchmark, x=axis, rows=rows))
    return IntervalChart(
        labels=alphabetical({label for found in areas.values() for label in found}),
        panels=panels,
        text="marker and bar: interquartile mean, 95 % bootstrap interval; strokes: seeds",
    )


def attainment_chart(every: Sequence[ParetoSets], *, shares: tuple[float, float] = (0.25, 0.75)) -> LineChart:
    """Attainment, a panel per benchmark: the median attainment surface of each setup with a band.

    Parameters
    ----------
    every
        Pareto sets of two objectives.
    shares
        Shares of the runs that bound the band.

    Raises
    ------
    SettingsError
        The number of objectives is not two.
    """
    low, high = (f"{100 * share:.0f} %" for share in shares)
    return LineChart(
        labels=list(dict.fromkeys(label for sets in every for label in sets.setups)),
        panels=[_attainment_panel(sets, shares) for sets in every],
        text=f"line: attained by half of the runs; band: by {low} to {high} of them; dots: Pareto sets of the runs",
    )


def _attainment_panel(sets: ParetoSets, shares: tuple[float, float]) -> Panel:
    best, worst = sets.corners()
    end = worst + 0.05 * (worst - best)
    lines: list[Line] = []
    for label, runs in sets.setups.items():
        points = sets.display(np.concatenate([run for run in runs if len(run)] or [np.empty((0, 2))]))
        inner, outer = (_stairs(attainment_surface(runs, share), end) for share in sorted(shares))
        has_band = len(inner) and len(outer)
        corners = sets.display(np.concatenate([inner, outer[::-1]])) if has_band else np.empty((0, 2))
        middle = attainment_surface(runs, 0.5)
        line = sets.display(_stairs(middle, end)) if len(middle) else np.empty((0, 2))
        lines.append(
            Line(
                label=label,
                x=numbers(line[:, 0]),
                y=numbers(line[:, 1]),
                area=_points(corners),
                dots=_points(points),
            )
        )
    is_log = [bool(low > 0 and high > _WIDE * low) for low, high in zip(best, worst, strict=True)]
    x, y = (
        Axis(label=objective_label(metric), log=log)
        for metric, log in zip(sets.metrics[:2], is_log, strict=True)
    )
    n_seeds = [len(runs) for runs in sets.setups.values()]
    return Panel(title=sets.benchmark, subtitle=_seeds_text(n_seeds, sets.values), x=x, y=y, lines=lines)


def _stairs(surface: Floats, end: Floats) -> Floats:
    """Line along a surface, from the worst second loss to the worst first one; empty without a surface."""
    if not len(surface):
        return surface
    first, second = surface.T
    x = np.append(np.repeat(first, 2), max(end[0], first[-1]))
    y = np.insert(np.repeat(second, 2), 0, max(end[1], second[0]))
    return np.column_stack([x, y])


# --- texts and numbers


def time_scale(seconds: float) -> tuple[float, str]:
    """Divisor of seconds and name of the unit, for an axis of this length."""
    if seconds < 300:
        return 1.0, "s"
    return (60.0, "min") if seconds < 3 * 3600 else (3600.0, "h")


def time_label(clock: str, unit: str) -> str:
    """The label of a time axis."""
    return f"{'simulated' if clock == 'simulated' else 'wall-clock'} time [{unit}]"


def objective_label(metric: Metric) -> str:
    """The label of an axis with an objective."""
    return f"{metric.name} ({'higher' if metric.goal is Goal.MAXIMIZE else 'lower'} is better)"


def _seeds_text(counts: Sequence[int], values: str) -> str:
    fewest, most = min(counts), max(counts)
    seeds = plural(fewest, "seed") if fewest == most else f"{fewest} to {most} seeds"
    return f"{seeds}, surrogate values" if values == "surrogate" else seeds


def numbers(values: Iterable[float]) -> list[float | None]:
    """Values in six significant digits; None for those that are not finite."""
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]


def _points(values: Floats) -> list[tuple[float, float]]:
    return [(float(f"{x:.6g}"), float(f"{y:.6g}")) for x, y in values if math.isfinite(x + y)]


def _as_is(losses: Floats) -> Floats:
    return losses
