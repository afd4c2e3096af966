"""Figures of one experiment."""

# Adapter of matplotlib, whose stubs are partial.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tunewright.analysis.charts import objective_label, time_label, time_scale
from tunewright.analysis.columns import Floats
from tunewright.analysis.extras import need
from tunewright.analysis.figures.style import (
    COLOURS,
    GREY,
    STATUS_COLOURS,
    new_figure,
    plain,
)
from tunewright.analysis.importance import WEAK, Importance, positions
from tunewright.analysis.objectives import losses_of, pareto_mask
from tunewright.analysis.one_run import OneRun
from tunewright.exceptions import SettingsError
from tunewright.metric import Goal, Metric
from tunewright.space import Categorical, Ordinal

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_MAX_CURVES: Final = 400
"""Maximum number of learning curves: the best, and an even choice of the others."""
_MAX_LINES: Final = 200
"""Maximum number of lines of parallel coordinates, chosen likewise."""
_MAX_CATEGORIES: Final = 8
_PHASES: Final = {"starting": "#b0b0b0", "starting warm": "#dcdcdc", "uploading": "#CC79A7"}
"""Colours of the phases of a run besides training."""


def plot_learning_curves(run: OneRun) -> Figure:
    """The metric over the resource, a line per trial; with rungs, pauses and stops.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    figure, (axis,) = new_figure(width=7.0, height=4.0)
    losses = run.losses()
    best = int(np.argmin(losses))
    has_best = bool(np.isfinite(losses[best]))
    order = np.argsort(losses, kind="stable")
    drawn = set(order[np.linspace(0, len(order) - 1, min(_MAX_CURVES, len(order))).astype(int)].tolist())
    for rung in run.rungs:
        axis.axvline(rung, color="#bbbbbb", linewidth=0.8, linestyle=":", zorder=0)
    for trial in run.trials:
        if trial.id in drawn and (trial.id != best or not has_best) and trial.resources:
            colour = STATUS_COLOURS[trial.status]
            axis.plot(trial.resources, trial.values, color=colour, alpha=0.45, linewidth=0.9)
    if has_best:
        champion = run.trials[best]
        axis.plot(
            champion.resources, champion.values, color="black", linewidth=2.2, label=f"trial {best} (best)"
        )
    for decision, marker, colour in (
        ("pause", "|", STATUS_COLOURS["paused"]),
        ("stop", "x", STATUS_COLOURS["stopped"]),
    ):
        _mark(axis, run, drawn, decision, marker=marker, colour=colour)
    for status, n in Counter(trial.status for trial in run.trials).items():
        axis.plot([], [], color=STATUS_COLOURS[status], label=f"{n} {status}")
    _robust_range(axis, run)
    if run.rungs and max(run.rungs) >= 9:
        axis.set_xscale("log")
        ticks = sorted({*run.rungs, max(max(t.resources, default=1) for t in run.trials)})
        axis.set_xticks(ticks if len(ticks) <= 10 else ticks[:: len(ticks) // 8], minor=False)
        axis.set_xticks([], minor=True)
        axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel(f"resource [{plain(run.info.resource)}]" + (" (dotted: rungs)" if run.rungs else ""))
    axis.set_ylabel(_metric_label(run))
    axis.set_title(_title(run))
    axis.legend(fontsize=9, loc="best", framealpha=0.9, edgecolor="none")
    return figure


def plot_history(run: OneRun) -> Figure:
    """The best value of each trial by its number, and the best one so far.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    figure, (axis,) = new_figure(width=7.0, height=4.0)
    losses = run.losses()
    finite = np.flatnonzero(np.isfinite(losses))
    values = losses * run.metric.loss(1.0)
    axis.plot(finite, values[finite], ".", color=COLOURS[0], alpha=0.9, markersize=7, label="trials")
    if len(finite):
        best = np.minimum.accumulate(np.where(np.isfinite(losses), losses, np.inf))[finite[0] :]
        numbers = np.arange(finite[0], len(losses))
        axis.step(
            numbers, best * run.metric.loss(1.0), where="post", color=COLOURS[1], label="best trial so far"
        )
        _limit(axis, values[finite], run.metric.goal)
    failed = [trial.id for trial in run.trials if trial.status == "failed"]
    for number in failed:
        axis.axvline(number, color=STATUS_COLOURS["failed"], linewidth=0.8, alpha=0.5, zorder=0)
    if failed:
        axis.plot([], [], color=STATUS_COLOURS["failed"], linewidth=0.8, label=f"{len(failed)} failed")
    axis.xaxis.set_major_locator(need("matplotlib.ticker", "Figures").MaxNLocator(integer=True))
    axis.set_xlabel("trial")
    axis.set_ylabel(_metric_label(run))
    axis.set_title(_title(run))
    axis.legend(fontsize=9, loc="best", framealpha=0.9, edgecolor="none")
    return figure


def plot_slices(run: OneRun) -> Figure:
    """The best value of each trial over each hyperparameter, a panel each; later trials are darker.

    Raises
    ------
    SettingsError
        No search space is known.
    MissingExtraError
        matplotlib is not installed.
    """
    names, _ = positions(run)
    if run.space is None:
        raise SettingsError(f"The metadata of {run.info.name} do not hold its search space")
    figure, axes = new_figure(len(names), width=3.0, height=2.6)
    losses = run.losses()
    finite = np.flatnonzero(np.isfinite(losses)).tolist()
    values = losses * run.metric.loss(1.0)
    for axis, name in zip(axes, names, strict=True):
        domain = run.space.domains[name]
        shown = [i for i in finite if name in run.trials[i].config]
        config_values = [run.trials[i].config[name] for i in shown]
        if isinstance(domain, (Categorical, Ordinal)):
            labels = [plain(str(domain.at(i))) for i in range(domain.size or 0)]
            places: Sequence[Any] = [labels.index(plain(str(value))) for value in config_values]
            axis.set_xticks(range(len(labels)), labels, fontsize=8, rotation=30 if len(labels) > 3 else 0)
        else:
            places = config_values
            if getattr(domain, "log", False):
                axis.set_xscale("log")
                ticks = [float(domain.quantile(u)) for u in (0.0, 0.5, 1.0)]
                axis.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
                axis.set_xticks([], minor=True)
        axis.scatter(
            places, values[shown], c=shown, cmap="Blues", vmin=-len(losses) / 2, vmax=1.4 * len(losses), s=14
        )
        if shown:
            _limit(axis, values[shown], run.metric.goal)
        axis.set_xlabel(plain(name))
    axes[0].set_ylabel(plain(run.metric.name))
    figure.suptitle(f"{_title(run)}; later trials are darker", fontsize=10)
    return figure


def _mark(axis: Axes, run: OneRun, drawn: set[int], decision: str, *, marker: str, colour: str) -> None:
    points = [
        (resource, value)
        for trial in run.trials
        if trial.id in drawn
        for resource, value, made in zip(trial.resources, trial.values, trial.decisions, strict=True)
        if made == decision
    ]
    if points:
        x, y = zip(*points, strict=True)
        label = {"pause": "paused at a rung", "stop": "stopped at a rung"}[decision]
        axis.plot(x, y, marker, color=colour, markersize=5, alpha=0.8, label=label)


def _robust_range(axis: Axes, run: OneRun) -> None:
    """Choose a range that a few diverging curves do not dominate."""
    _limit(
        axis,
        np.array([v for trial in run.trials for v in trial.values if np.isfinite(v)]),
        run.metric.goal,
    )


def _limit(axis: Axes, values: Floats, goal: Goal) -> None:
    if len(values) < 20:
        return
    low, high = np.quantile(values, [0.02, 0.98])
    low, high = (min(low, values.min()), high) if goal is Goal.MINIMIZE else (low, max(high, values.max()))
    if high > low:
        margin = 0.05 * (high - low)
        axis.set_ylim(low - margin, high + margin)


def plot_workers(run: OneRun) -> Figure:
    """Timeline of each worker: starting cold or warm, training (coloured by the run's end), uploading, idle (blank).

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    n_workers = run.n_workers
    figure, (axis,) = new_figure(width=8.0, height=min(9.0, 1.6 + 0.32 * n_workers))
    end = max(run.info.totals.end_time, *(record.end for record in run.runs))
    factor, unit = time_scale(end)
    trained: dict[str, list[tuple[int, float, float]]] = {}
    other: dict[str, list[tuple[int, float, float]]] = {name: [] for name in _PHASES}
    for record in run.runs:
        begin, over = record.training
        trained.setdefault(record.status, []).append((record.worker, begin, over))
        other["starting warm" if record.is_warm else "starting"].append((record.worker, record.begin, begin))
        other["uploading"].append((record.worker, over, record.end))
    for status, spans in trained.items():
        label = f"{status} ({len(spans)} run{'' if len(spans) == 1 else 's'})"
        _lanes(axis, spans, factor, STATUS_COLOURS[status], label)
    for name, spans in other.items():
        shown = [span for span in spans if span[2] > span[1]]
        if shown:
            _lanes(axis, shown, factor, _PHASES[name], name)
    trains = sum(over - begin for spans in trained.values() for _, begin, over in spans)
    axis.set_title(f"{_title(run)}: {100 * trains / (end * n_workers):.0f} % training")
    axis.set_yticks(range(n_workers) if n_workers <= 16 else range(0, n_workers, n_workers // 8))
    axis.set_ylim(n_workers - 0.4, -0.6)
    axis.set_xlim(0, end / factor)
    axis.set_ylabel("worker")
    axis.set_xlabel(time_label(run.info.clock, unit))
    figure.legend(loc="outside lower center", ncols=6, fontsize=9, frameon=False)
    return figure


def _lanes(
    axis: Axes, spans: Sequence[tuple[int, float, float]], factor: float, colour: str, label: str
) -> None:
    """Draw spans of time, each ``(worker, begin, end)``, in the lanes of their workers."""
    bars: Any = axis.broken_barh
    for worker in sorted({worker for worker, _, _ in spans}):
        mine = [(begin / factor, (end - begin) / factor) for lane, begin, end in spans if lane == worker]
        bars(mine, (worker - 0.38, 0.76), color=colour, linewidth=0.3, edgecolor="white")
    axis.bar([0], [0], color=colour, label=label)


def plot_parallel(run: OneRun) -> Figure:
    """Parallel coordinates: a line per configuration, coloured by its place among all, the best on top and thick.

    Raises
    ------
    SettingsError
        No search space is known.
    MissingExtraError
        matplotlib is not installed.
    """
    names, points = positions(run)
    losses = run.losses()
    figure, (axis,) = new_figure(width=max(5.0, 1.7 * (len(names) + 1)), height=4.0)
    colour_map: Any = need("matplotlib", "Figures").colormaps["viridis"]
    whole = np.argsort(losses, kind="stable")
    chosen = np.unique(np.linspace(0, len(whole) - 1, min(_MAX_LINES, len(whole))).astype(int))
    order, places = whole[chosen], chosen / max(1, len(whole) - 1)
    for place, trial_id in zip(places[::-1].tolist(), order[::-1].tolist(), strict=True):
        line = [*points[trial_id], 1 - place]
        is_best = trial_id == order[0]
        colour, width, alpha = ("black", 2.4, 1.0) if is_best else (colour_map(0.2 + 0.65 * place), 0.9, 0.6)
        axis.plot(range(len(line)), line, color=colour, linewidth=width, alpha=alpha)
    for column, name in enumerate(names):
        axis.axvline(column, color="#999999", linewidth=1)
        _scale(axis, run, name, column)
    axis.axvline(len(names), color="#999999", linewidth=1)
    for height, text in ((1.0, "best"), (0.0, "worst")):
        axis.text(len(names) + 0.06, height, text, fontsize=9, va="center")
    axis.set_xticks(
        range(len(names) + 1), [*map(plain, names), f"rank by\n{plain(run.metric.name)}"], fontsize=9
    )
    axis.set_yticks([])
    axis.grid(visible=False)
    axis.set_xlim(-0.35, len(names) + 0.5)
    axis.spines["left"].set_visible(False)
    axis.spines["bottom"].set_visible(False)
    n_trials = f"{len(run.trials)} configuration{'' if len(run.trials) == 1 else 's'}"
    axis.set_title(f"{_title(run)}: {n_trials}, the best one thick")
    return figure


def _scale(axis: Axes, run: OneRun, name: str, column: int) -> None:
    """Tick values of a hyperparameter's axis."""
    if run.space is None:
        return
    domain = run.space.domains[name]
    if domain.size is not None and domain.size <= _MAX_CATEGORIES:
        values = [domain.at(i) for i in range(domain.size)]
    else:
        values = [domain.quantile(u) for u in (0.0, 0.5, 1.0 - 1e-12)]
    n = max(1, len(values) - 1)
    for place, value in enumerate(values):
        text = f"{value:.3g}" if isinstance(value, float) else plain(str(value))
        box = {"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 1.0}
        axis.text(column - 0.03, place / n, text, fontsize=8, ha="right", va="center", bbox=box)


def plot_importance(found: Importance, run: OneRun) -> Figure:
    """Importance of each hyperparameter for the rank of a trial.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    figure, (axis,) = new_figure(width=6.0, height=1.3 + 0.34 * len(found.mean))
    names = list(map(plain, found.mean))
    axis.barh(
        names,
        list(found.mean.values()),
        xerr=list(found.spread.values()),
        color=COLOURS[0],
        ecolor=GREY,
        capsize=3,
    )
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.set_xlabel("fall of explained variance when shuffled")
    weak = "; too little to trust the order" if found.explained < WEAK else ""
    axis.set_title(
        f"{_title(run)}: {found.n_trials} trials,\n{100 * max(0.0, found.explained):.0f} % of the variance explained{weak}",
        fontsize=10,
    )
    return figure


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
        label=f"Pareto set ({len(front)} point{'' if len(front) == 1 else 's'})",
    )
    notice = " (surrogate values)" if run.info.values == "surrogate" else ""
    axis.set_title(
        plain(f"{run.info.method} on {run.info.benchmark}, seed {run.info.seed}{notice}"), fontsize=10
    )
    axis.set_xlabel(plain(objective_label(metrics[0])))
    axis.set_ylabel(plain(objective_label(metrics[1])))
    figure.legend(*axis.get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    return figure


def _title(run: OneRun) -> str:
    notice = " (surrogate values)" if run.info.values == "surrogate" else ""
    return plain(f"{run.info.method} on {run.info.benchmark}, seed {run.info.seed}{notice}")


def _metric_label(run: OneRun) -> str:
    is_up = run.metric.goal is Goal.MAXIMIZE
    return f"{plain(run.metric.name)} ({'higher' if is_up else 'lower'} is better)"
