"""Figures that compare setups over seeds."""

# Adapter of matplotlib, whose stubs are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from tunewright.analysis.aggregate import Aggregate, Band, aggregate
from tunewright.analysis.claims import Finding, Verdict
from tunewright.analysis.columns import Floats
from tunewright.analysis.comparison import Ranks
from tunewright.analysis.curves import Curves, alphabetical, with_equals
from tunewright.analysis.figures.style import (
    GREY,
    Look,
    legend_of_lines,
    look_of,
    name_objectives,
    new_figure,
    plain,
    time_label,
    time_scale,
    wrapped,
)
from tunewright.analysis.objectives import ParetoSets, attainment_surface
from tunewright.analysis.significance import CriticalDifference, Over
from tunewright.metric import Goal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_EXPLAINED: Final = {
    Aggregate.IQM: "interquartile mean, 95 % bootstrap interval",
    Aggregate.MEAN: "mean, 95 % interval",
    Aggregate.MEDIAN: "median and quartiles",
}

_WIDE: Final = 100.0
"""Ratio of highest and lowest value above which an axis is logarithmic."""

_SHOWN: Final = 0.97
"""Share of the values that a panel shows, from the best on."""

_Display: TypeAlias = Callable[[Floats], Floats]


def _as_is(losses: Floats) -> Floats:
    return losses


def plot_curves(
    every: Sequence[Curves], *, kind: Aggregate | str = Aggregate.IQM, log_time: bool = False
) -> Figure:
    """Best value so far over time, a panel per benchmark, a line with its interval per setup.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    how = Aggregate(kind)
    labels = alphabetical({label for curves in every for label in curves.setups})
    figure, axes = new_figure(len(every), width=6.4 if len(every) == 1 else 4.4)
    for curves, axis in zip(every, axes, strict=True):
        _curve_panel(axis, curves, labels, how, log_time=log_time)
    legend_of_lines(figure, axes, labels)
    figure.supxlabel(_EXPLAINED[how], fontsize=8, color=GREY)
    return figure


def _curve_panel(
    axis: Axes, curves: Curves, labels: Sequence[str], how: Aggregate, *, log_time: bool
) -> None:
    factor, unit = time_scale(float(curves.times[-1]))
    bands = {label: aggregate(setup.losses, how) for label, setup in curves.setups.items()}
    for label, band in bands.items():
        place = labels.index(label) / len(labels)
        look, shade = look_of(labels, label), _shade(len(labels))
        x = curves.times / factor
        _draw(axis, x, band, label, look, place=place, display=curves.display, shade=shade)
    is_up = curves.metric.goal is Goal.MAXIMIZE
    n_seeds = sorted({len(setup.seeds) for setup in curves.setups.values()})
    seeds = f"{n_seeds[0]}" if len(n_seeds) == 1 else f"{n_seeds[0]} to {n_seeds[-1]}"
    notice = ", surrogate values" if curves.values == "surrogate" else ""
    axis.set_title(f"{wrapped(curves.benchmark)}\n({seeds} seed{'' if seeds == '1' else 's'}{notice})")
    axis.set_xlabel(time_label(curves.clock, unit))
    axis.set_ylabel(f"best {plain(curves.metric.name)} so far\n({'higher' if is_up else 'lower'} is better)")
    if log_time:
        axis.set_xscale("log")
    _zoom(axis, curves, bands)


def _zoom(axis: Axes, curves: Curves, bands: Mapping[str, Band]) -> None:
    """Choose the range without the first tenth of the time, and without the worst values after it.

    Otherwise a setup that starts late would compress all lines at the other edge.
    """
    late = curves.times >= 0.1 * curves.times[-1]
    parts = [part[late] for band in bands.values() for part in (band.low, band.high)]
    losses = np.concatenate(parts)
    losses = losses[np.isfinite(losses)]
    if len(losses):
        shown = np.sort(curves.display(np.array([losses.min(), np.quantile(losses, _SHOWN)])))
        if shown[1] > shown[0]:
            margin = 0.06 * (shown[1] - shown[0])
            axis.set_ylim(shown[0] - margin, shown[1] + margin)


def _draw(
    axis: Axes,
    x: Floats,
    band: Band,
    name: str,
    look: Look,
    *,
    place: float = 0.0,
    display: _Display = _as_is,
    shade: float = 0.18,
) -> None:
    """A line with its interval; ``place`` (0 to 1) offsets the markers of different lines."""
    every = max(1, len(x) // 8)
    marks = (int(place * every), every)
    centre = display(band.centre)
    axis.plot(x, centre, linewidth=1.8, markersize=5, markevery=marks, label=plain(name), **look)
    axis.fill_between(x, display(band.low), display(band.high), color=look["color"], alpha=shade, linewidth=0)


def _shade(n_lines: int) -> float:
    """Opacity of intervals, lower for many lines."""
    return 0.18 if n_lines <= 5 else 0.09


def plot_ranks(ranks: Ranks) -> Figure:
    """Mean rank over benchmarks and seeds at equal shares of the time.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    labels = alphabetical([*ranks.bands, *(other for others in ranks.equal.values() for other in others)])
    names = [with_equals(label, ranks.equal) for label in ranks.bands]
    figure, (axis,) = new_figure(width=6.0, height=3.6)
    for name, (label, band) in zip(names, ranks.bands.items(), strict=True):
        place = labels.index(label) / len(labels)
        look, shade = look_of(labels, label), _shade(len(names))
        _draw(axis, 100 * ranks.shares, band, name, look, place=place, shade=shade)
    benchmarks = {benchmark for benchmark, _ in ranks.blocks}
    seeds = {seed for _, seed in ranks.blocks}
    axis.set_xlabel("share of each benchmark's time [%]")
    axis.set_ylabel("mean rank (1 is best)")
    axis.set_title(f"{_plural(len(benchmarks), 'benchmark')}, {_plural(len(seeds), 'seed')}")
    axis.set_yticks(_rank_ticks(len(names)))
    axis.invert_yaxis()
    legend_of_lines(figure, [axis], names)
    drawn = "benchmarks and seeds" if len(benchmarks) > 1 else "seeds"
    figure.supxlabel(f"mean and 95 % bootstrap interval over {drawn}", fontsize=8, color=GREY)
    return figure


def plot_critical_difference(found: CriticalDifference) -> Figure:
    """Mean ranks on a line; a bar joins setups that do not differ significantly.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    labels = list(found.ranks)
    n = len(labels)
    half = -(-n // 2)
    height = 1.25 + 0.28 * (half + len(found.groups))
    figure, (axis,) = new_figure(width=7.0, height=height)
    axis.set_axis_off()
    top = 0.35 + 0.3 * len(found.groups)
    axis.set_xlim(1 - 0.42 * (n - 1), n + 0.42 * (n - 1))
    axis.set_ylim(-(top + 0.5 * half + 0.2), 0.9)
    axis.plot([1, n], [0, 0], color="black", linewidth=1.2)
    for rank in _rank_ticks(n):
        axis.plot([rank, rank], [0, 0.12], color="black", linewidth=1.2)
        axis.text(rank, 0.22, str(rank), ha="center", va="bottom", fontsize=10)
    for place, (label, rank) in enumerate(found.ranks.items()):
        is_left = place < half
        row = place if is_left else n - 1 - place
        y = -(top + 0.5 * row)
        edge = 1 - 0.04 * (n - 1) if is_left else n + 0.04 * (n - 1)
        axis.plot([rank, rank, edge], [0, y, y], color="black", linewidth=1)
        side = "right" if is_left else "left"
        shift = -0.015 * (n - 1) if is_left else 0.015 * (n - 1)
        name = plain(with_equals(label, found.equal))
        axis.text(edge + shift, y, f"{name}  ({rank:.2f})", ha=side, va="center", fontsize=10)
    for number, group in enumerate(found.groups):
        ends = [found.ranks[label] for label in group]
        y = -0.25 - 0.3 * number
        pad = 0.02 * (n - 1)
        axis.plot(
            [min(ends) - pad, max(ends) + pad], [y, y], color="#D55E00", linewidth=4, solid_capstyle="butt"
        )
    is_of_these = found.n_benchmarks > 1 and found.over is not Over.BENCHMARKS
    where = f" on these {found.n_benchmarks} benchmarks" if is_of_these else ""
    axis.set_title(
        f"mean rank at the end over {_plural(found.n_blocks, 'pair')} of benchmark and seed (1 is best)\n"
        f"bars: no significant difference{where}",
        fontsize=9,
        color=GREY,
    )
    return figure


def plot_findings(findings: Mapping[str, Finding], *, bound: float = 0.5) -> Figure:
    """Figures of contrasts with their intervals, a line each, and the bound that decides them.

    Parameters
    ----------
    findings
        By the text of a line.
    bound
        Drawn as a vertical line.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    figure, (axis,) = new_figure(width=7.0, height=0.9 + 0.26 * len(findings))
    for row, found in enumerate(findings.values()):
        look = look_of(list(Verdict), found.verdict)
        axis.plot([found.low, found.high], [row, row], color=look["color"], linewidth=2.2)
        axis.plot(found.centre, row, look["marker"], color=look["color"], markersize=5)
    axis.axvline(bound, color="black", linewidth=1, linestyle=":")
    axis.set_yticks(range(len(findings)), list(map(plain, findings)), fontsize=8)
    axis.set_ylim(len(findings) - 0.5, -0.5)
    axis.set_xlabel("share of pairs in which the first method is better, 95 % interval")
    return figure


def plot_area(areas: Mapping[str, Mapping[str, Floats]]) -> Figure:
    """The anytime area (mean normalised regret over time) of every seed: benchmark -> setup -> values.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    labels = alphabetical({label for found in areas.values() for label in found})
    figure, axes = new_figure(len(areas), height=0.7 + 0.42 * len(labels) + 0.5)
    for axis, (benchmark, found) in zip(axes, areas.items(), strict=True):
        for row, (label, values) in enumerate(found.items()):
            look = look_of(labels, label)
            band = aggregate(values[:, None])
            axis.plot(values, np.full(len(values), row), "|", color=look["color"], alpha=0.45, markersize=9)
            axis.plot([band.low[0], band.high[0]], [row, row], color=look["color"], linewidth=3, alpha=0.9)
            axis.plot(band.centre, [row], look["marker"], color=look["color"], markersize=7)
        axis.set_yticks(range(len(found)), list(map(plain, found)))
        axis.invert_yaxis()
        axis.set_title(wrapped(benchmark))
        axis.set_xlabel("mean normalised regret over time\n(lower is better)")
    figure.supxlabel(
        "marker and bar: interquartile mean, 95 % bootstrap interval; strokes: seeds", fontsize=8, color=GREY
    )
    return figure


def plot_attainment(every: Sequence[ParetoSets], *, shares: tuple[float, float] = (0.25, 0.75)) -> Figure:
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
    MissingExtraError
        matplotlib is not installed.
    """
    labels = list(dict.fromkeys(label for sets in every for label in sets.setups))
    figure, axes = new_figure(len(every), width=6.4 if len(every) == 1 else 4.4, height=3.8)
    for sets, axis in zip(every, axes, strict=True):
        _attainment_panel(axis, sets, labels, shares)
    legend_of_lines(figure, axes, labels)
    low, high = (f"{100 * share:.0f} %" for share in shares)
    figure.supxlabel(
        f"line: attained by half of the runs; band: by {low} to {high} of them; dots: Pareto sets of the runs",
        fontsize=8,
        color=GREY,
    )
    return figure


def _attainment_panel(
    axis: Axes, sets: ParetoSets, labels: Sequence[str], shares: tuple[float, float]
) -> None:
    best, worst = sets.corners()
    end = worst + 0.05 * (worst - best)
    for label, runs in sets.setups.items():
        look = look_of(labels, label)
        points = sets.display(np.concatenate([run for run in runs if len(run)] or [np.empty((0, 2))]))
        axis.plot(points[:, 0], points[:, 1], ".", color=look["color"], alpha=0.25, markersize=4)
        inner, outer = (_stairs(attainment_surface(runs, share), end) for share in sorted(shares))
        if len(inner) and len(outer):
            corners = sets.display(np.concatenate([inner, outer[::-1]]))
            axis.fill(corners[:, 0], corners[:, 1], color=look["color"], alpha=0.18, linewidth=0)
        middle = attainment_surface(runs, 0.5)
        if len(middle):
            line = sets.display(_stairs(middle, end))
            every = max(1, len(line) // 6)
            axis.plot(*line.T, linewidth=1.8, markersize=5, markevery=every, label=plain(label), **look)
    for scale, (low, high) in zip(
        (axis.set_xscale, axis.set_yscale), zip(best, worst, strict=True), strict=True
    ):
        if low > 0 and high > _WIDE * low:
            scale("log")
    n_seeds = sorted({len(runs) for runs in sets.setups.values()})
    seeds = f"{n_seeds[0]}" if len(n_seeds) == 1 else f"{n_seeds[0]} to {n_seeds[-1]}"
    notice = ", surrogate values" if sets.values == "surrogate" else ""
    axis.set_title(f"{wrapped(sets.benchmark)}\n({seeds} seed{'' if seeds == '1' else 's'}{notice})")
    name_objectives(axis, sets.metrics)


def _stairs(surface: Floats, end: Floats) -> Floats:
    """Line along a surface, from the worst second loss to the worst first one; empty without a surface."""
    if not len(surface):
        return surface
    first, second = surface.T
    x = np.append(np.repeat(first, 2), max(end[0], first[-1]))
    y = np.insert(np.repeat(second, 2), 0, max(end[1], second[0]))
    return np.column_stack([x, y])


def _rank_ticks(n: int) -> range:
    """Ranks from 1 to ``n``, at most thirteen of them, so that numbers do not touch."""
    return range(1, n + 1, max(1, -(-(n - 1) // 12)))


def _plural(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
