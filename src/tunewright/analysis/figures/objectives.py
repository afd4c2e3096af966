"""Figures of several objectives."""

# Adapter of matplotlib, whose stubs are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from tunewright.analysis.columns import Floats
from tunewright.analysis.figures.style import (
    COLOURS,
    GREY,
    legend_of_lines,
    look_of,
    new_figure,
    plain,
    wrapped,
)
from tunewright.analysis.objectives import ParetoSets, attainment_surface, losses_of, pareto_mask
from tunewright.analysis.one_run import OneRun
from tunewright.exceptions import SettingsError
from tunewright.metric import Goal, Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_WIDE: Final = 100.0
"""Ratio of highest and lowest value above which an axis is logarithmic."""


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
        _panel(axis, sets, labels, shares)
    legend_of_lines(figure, axes, labels)
    low, high = (f"{100 * share:.0f} %" for share in shares)
    figure.supxlabel(
        f"line: attained by half of the runs; band: by {low} to {high} of them; dots: Pareto sets of the runs",
        fontsize=8,
        color=GREY,
    )
    return figure


def _panel(axis: Axes, sets: ParetoSets, labels: Sequence[str], shares: tuple[float, float]) -> None:
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
    _name_axes(axis, sets.metrics)


def _stairs(surface: Floats, end: Floats) -> Floats:
    """Line along a surface, from the worst second loss to the worst first one; empty without a surface."""
    if not len(surface):
        return surface
    first, second = surface.T
    x = np.append(np.repeat(first, 2), max(end[0], first[-1]))
    y = np.insert(np.repeat(second, 2), 0, max(end[1], second[0]))
    return np.column_stack([x, y])


def plot_pareto(run: OneRun) -> Figure:
    """All reports of one experiment in the plane of its first two objectives, and the Pareto set of all its objectives.

    Raises
    ------
    SettingsError
        The experiment tunes one metric.
    MissingExtraError
        matplotlib is not installed.
    """
    metrics: Sequence[Metric] = run.info.metrics
    if len(metrics) < 2:
        raise SettingsError(f"{run.info.name} tunes {run.metric.name!r} alone: there is no Pareto set")
    losses = losses_of(run.columns, metrics)
    values = losses * np.array([metric.loss(1.0) for metric in metrics])
    front = np.unique(values[pareto_mask(losses)], axis=0)
    figure, (axis,) = new_figure(width=6.4, height=4.2)
    shown = values[np.isfinite(values).all(axis=1)]
    axis.plot(shown[:, 0], shown[:, 1], ".", color=GREY, alpha=0.45, markersize=5, label="reports")
    axis.plot(
        front[:, 0],
        front[:, 1],
        "o",
        color=COLOURS[1],
        markersize=6,
        label=f"Pareto set ({len(front)} points)",
    )
    notice = " (surrogate values)" if run.info.values == "surrogate" else ""
    axis.set_title(
        plain(f"{run.info.method} on {run.info.benchmark}, seed {run.info.seed}{notice}"), fontsize=10
    )
    _name_axes(axis, metrics)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure


def _name_axes(axis: Axes, metrics: Sequence[Metric]) -> None:
    names = [
        f"{plain(m.name)} ({'higher' if m.goal is Goal.MAXIMIZE else 'lower'} is better)" for m in metrics[:2]
    ]
    axis.set_xlabel(names[0])
    axis.set_ylabel(names[1])
