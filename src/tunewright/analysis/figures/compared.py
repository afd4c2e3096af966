"""Figures that compare setups over seeds: the charts of `tunewright.analysis.charts`, and findings."""

# Adapter of matplotlib, whose stubs are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tunewright.analysis.aggregate import Aggregate
from tunewright.analysis.charts import (
    Axis,
    Line,
    LineChart,
    Numbers,
    area_chart,
    attainment_chart,
    critical_chart,
    curve_chart,
    rank_chart,
)
from tunewright.analysis.claims import Finding, Verdict
from tunewright.analysis.columns import Floats
from tunewright.analysis.comparison import Ranks
from tunewright.analysis.curves import Curves
from tunewright.analysis.figures.style import (
    GREY,
    legend_of_lines,
    look_of,
    new_figure,
    plain,
    wrapped,
)
from tunewright.analysis.objectives import ParetoSets
from tunewright.analysis.significance import CriticalDifference

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_curves(
    every: Sequence[Curves], *, kind: Aggregate | str = Aggregate.IQM, log_time: bool = False
) -> Figure:
    """Best value so far over time, a panel per benchmark, a line with its interval per setup.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    return _draw_lines(curve_chart(every, kind=kind, log_time=log_time))


def plot_ranks(ranks: Ranks) -> Figure:
    """Mean rank over benchmarks and seeds at equal shares of the time.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    figure = _draw_lines(rank_chart(ranks), width=6.0, height=3.6)
    # some of the ranked setups may have been left out
    most = max(len(ranks.bands), math.ceil(max(float(np.nanmax(band.high)) for band in ranks.bands.values())))
    figure.axes[0].set_yticks(_rank_ticks(most))
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
    return _draw_lines(attainment_chart(every, shares=shares), height=3.8)


def _draw_lines(chart: LineChart, *, width: float | None = None, height: float = 3.2) -> Figure:
    n_panels = len(chart.panels)
    figure, axes = new_figure(n_panels, width=width or (6.4 if n_panels == 1 else 4.4), height=height)
    for panel, axis in zip(chart.panels, axes, strict=True):
        for line in panel.lines:
            _draw(axis, line, chart.labels)
        axis.set_title(wrapped(panel.title) + (f"\n({panel.subtitle})" if panel.subtitle else ""))
        axis.set_xlabel(plain(panel.x.label))
        axis.set_ylabel(plain(panel.y.label))
        _set_scales(axis, panel.x, panel.y)
    legend_of_lines(figure, axes, chart.labels)
    figure.supxlabel(chart.text, fontsize=8, color=GREY)
    return figure


def _draw(axis: Axes, line: Line, labels: Sequence[str]) -> None:
    """A line with its band and its dots; markers of different lines are offset."""
    look, shade = look_of(labels, line.label), _shade(len(labels))
    x, y = _floats(line.x), _floats(line.y)
    if line.dots:
        axis.plot(*np.array(line.dots).T, ".", color=look["color"], alpha=0.25, markersize=4)
    if line.area:
        axis.fill(*np.array(line.area).T, color=look["color"], alpha=0.18, linewidth=0)
    if len(x):
        every = max(1, len(x) // 8)
        marks = (int(labels.index(line.label) / len(labels) * every), every)
        axis.plot(x, y, linewidth=1.8, markersize=5, markevery=marks, label=plain(line.label), **look)
    if line.low:
        axis.fill_between(
            x, _floats(line.low), _floats(line.high), color=look["color"], alpha=shade, linewidth=0
        )


def _set_scales(axis: Axes, x: Axis, y: Axis) -> None:
    if x.log:
        axis.set_xscale("log")
    if y.log:
        axis.set_yscale("log")
    if y.low is not None and y.high is not None:
        axis.set_ylim(y.low, y.high)
    if y.inverted:
        axis.invert_yaxis()


def _floats(values: Numbers) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _shade(n_lines: int) -> float:
    """Opacity of intervals, lower for many lines."""
    return 0.18 if n_lines <= 5 else 0.09


def plot_critical_difference(found: CriticalDifference) -> Figure:
    """Mean ranks on a line; a bar joins setups that do not differ significantly.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    chart = critical_chart(found)
    ranks = {setup.label: setup.rank for setup in chart.setups}
    n = len(ranks)
    half = -(-n // 2)
    height = 1.25 + 0.28 * (half + len(chart.groups))
    figure, (axis,) = new_figure(width=7.0, height=height)
    axis.set_axis_off()
    top = 0.35 + 0.3 * len(chart.groups)
    axis.set_xlim(1 - 0.42 * (n - 1), n + 0.42 * (n - 1))
    axis.set_ylim(-(top + 0.5 * half + 0.2), 0.9)
    axis.plot([1, n], [0, 0], color="black", linewidth=1.2)
    for rank in _rank_ticks(n):
        axis.plot([rank, rank], [0, 0.12], color="black", linewidth=1.2)
        axis.text(rank, 0.22, str(rank), ha="center", va="bottom", fontsize=10)
    for place, setup in enumerate(chart.setups):
        is_left = place < half
        row = place if is_left else n - 1 - place
        y = -(top + 0.5 * row)
        edge = 1 - 0.04 * (n - 1) if is_left else n + 0.04 * (n - 1)
        axis.plot([setup.rank, setup.rank, edge], [0, y, y], color="black", linewidth=1)
        side = "right" if is_left else "left"
        shift = -0.015 * (n - 1) if is_left else 0.015 * (n - 1)
        text = f"{plain(setup.name)}  ({setup.rank:.2f})"
        axis.text(edge + shift, y, text, ha=side, va="center", fontsize=10)
    for number, group in enumerate(chart.groups):
        ends = [ranks[label] for label in group]
        y = -0.25 - 0.3 * number
        pad = 0.02 * (n - 1)
        axis.plot(
            [min(ends) - pad, max(ends) + pad], [y, y], color="#D55E00", linewidth=4, solid_capstyle="butt"
        )
    axis.set_title(chart.text, fontsize=9, color=GREY)
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
    chart = area_chart(areas)
    figure, axes = new_figure(len(chart.panels), height=0.7 + 0.42 * len(chart.labels) + 0.5)
    for axis, panel in zip(axes, chart.panels, strict=True):
        for place, row in enumerate(panel.rows):
            look = look_of(chart.labels, row.label)
            low, centre, high = _floats([row.low, row.centre, row.high])
            values = _floats(row.values)
            axis.plot(values, np.full(len(values), place), "|", color=look["color"], alpha=0.45, markersize=9)
            axis.plot([low, high], [place, place], color=look["color"], linewidth=3, alpha=0.9)
            axis.plot([centre], [place], look["marker"], color=look["color"], markersize=7)
        axis.set_yticks(range(len(panel.rows)), [plain(row.label) for row in panel.rows])
        axis.invert_yaxis()
        axis.set_title(wrapped(panel.title))
        axis.set_xlabel(panel.x.label)
    figure.supxlabel(chart.text, fontsize=8, color=GREY)
    return figure


def _rank_ticks(n: int) -> range:
    """Ranks from 1 to ``n``, at most thirteen of them, so that numbers do not touch."""
    return range(1, n + 1, max(1, -(-(n - 1) // 12)))
