"""Documents that take longer: importance, contours of two hyperparameters, Pareto front and hypervolume."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Final, TypedDict

import numpy as np
from numpy.typing import NDArray

from tunewright.analysis.columns import Totals as ColumnTotals
from tunewright.analysis.columns import columns_of
from tunewright.analysis.importance import MOST_TRIALS, Importance, importance
from tunewright.analysis.one_run import OneRun, TrialRecord
from tunewright.analysis.results import info_from
from tunewright.dashboard.feed import ExperimentFeed, FeedTrial
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.formatting import percent
from tunewright.metadata import ExperimentMetadata
from tunewright.metric import Metric
from tunewright.models.pareto import dominated_volume, pareto_mask
from tunewright.space import Domain
from tunewright.state import State
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus
from tunewright.types import ConfigValue

Floats = NDArray[np.float64]

_GRID: Final = 30
_BANDWIDTHS: Final = (0.03, 0.06, 0.1, 0.15, 0.25, 0.4)
"""Widths of the kernel, in parts of a range."""
_MOST_FOLDS: Final = 500  # trials by which the width is chosen
_LEAST_WEIGHT: Final = 0.05
"""Sum of kernel weights below which no trial is near enough for a value."""
_LEAST_TRIALS: Final = 5
_MOST_POINTS: Final = 5000


class Share(TypedDict):
    """Importance of a hyperparameter."""

    name: str
    share: float
    """Part of the importance of all, 0 to 1."""
    deviation: float
    """Standard deviation over shuffles, in the same unit."""


class ImportanceDocument(TypedDict):
    """Importance of the hyperparameters, the most important first."""

    values: list[Share]
    text: str


class Contour(TypedDict):
    """A surface over two hyperparameters."""

    x: list[ConfigValue]
    y: list[ConfigValue]
    z: list[list[float | None]]
    """Of each value of y, a row over x; None where no trial is near."""
    points: list[tuple[ConfigValue, ConfigValue, float, int]]
    """Of each trial x, y, its best value and its number."""
    x_log: bool
    y_log: bool
    text: str


class ParetoPoint(TypedDict):
    """A result in the plane of the metrics."""

    trial_id: int
    values: Mapping[str, float]
    is_front: bool


class Pareto(TypedDict):
    """All results that no other dominates, and one of each other trial."""

    metrics: list[str]
    points: list[ParetoPoint]


class Hypervolume(TypedDict):
    """The dominated part of the space of the metrics over time."""

    time: list[float]
    value: list[float]
    """Part of the box between the best values and the reference, 0 to 1."""
    reference: list[float]
    """Worst value of each metric."""
    pareto: Pareto
    text: str


def estimate_importance(
    folder: ExperimentFolder, metadata: ExperimentMetadata, feed: ExperimentFeed
) -> Importance:
    """Importance of the hyperparameters, by `tunewright.analysis.importance.importance`.

    Raises
    ------
    SettingsError
        There are too few trials, or no search space is known.
    MissingExtraError
        scikit-learn is not installed.
    """
    return importance(_one_run(folder, metadata, feed))


def importance_document(found: Importance) -> ImportanceDocument:
    """Importance of the hyperparameters, in parts of that of all."""
    total = math.fsum(max(0.0, value) for value in found.mean.values()) or 1.0
    trust = "Uncertain: the model explains only" if found.is_weak else "The model explains"
    return {
        "values": [
            {"name": name, "share": max(0.0, value) / total, "deviation": found.spread[name] / total}
            for name, value in found.mean.items()
        ],
        "text": (
            f"{trust} {percent(max(0.0, found.explained))} of the variance of {found.n_trials:,} trials. Permutation importance "
            "in a random forest that also knows the resource that a trial reached."
        ),
    }


def _one_run(folder: ExperimentFolder, metadata: ExperimentMetadata, feed: ExperimentFeed) -> OneRun:
    """The trials with their best results, as the analysis of one experiment takes them."""
    trials = [
        TrialRecord(
            id=trial.id,
            config=trial.config,
            status=trial.status,
            resources=trial.resources[-1:],
            values=[] if trial.best is None else [trial.best],
            decisions=[],
            is_valid=[True],
        )
        for trial in sampled([one for one in feed.trials if one.best is not None])
    ]
    totals = ColumnTotals(
        status=ExperimentStatus.INTERRUPTED,
        end_time=feed.time,
        n_trials=len(trials),
        n_runs=len(trials),
        suggest_time=0.0,
        cost=0.0,
    )
    return OneRun(
        info=info_from(folder.path, folder.metadata(), totals),
        metric=metadata.metrics[0],
        trials=trials,
        runs=[],
        space=metadata.space if metadata.has_space else None,
        columns=columns_of([]),
        history=State(),
    )


def sampled(trials: Sequence[FeedTrial]) -> Sequence[FeedTrial]:
    """An even sample of at most 2,000 trials."""
    step = -(-len(trials) // MOST_TRIALS) or 1
    return trials[::step]


# --- contour


def contour(metadata: ExperimentMetadata, feed: ExperimentFeed, x: str, y: str) -> Contour:
    """The best value of trials as a surface over two hyperparameters.

    The value at a place is a mean of the trials' values with a Gaussian kernel of the distance in parts of the ranges
    (Nadaraya, 1964, On Estimating Regression, equation 2; Watson, 1964); its width leaves the least squared error at each
    trial without that trial. Categories are not smoothed.

    Raises
    ------
    UnknownNameError
        There is no such tuned hyperparameter.
    SettingsError
        They are the same, or there are too few trials.
    """
    domains = metadata.space.domains
    for name in (x, y):
        if name not in domains:
            raise UnknownNameError("hyperparameter", name[:100], domains)
    if x == y:
        raise SettingsError("A contour needs two different hyperparameters")
    trials = [t for t in feed.trials if t.best is not None and x in t.config and y in t.config]
    trials = sampled(trials)
    if len(trials) < _LEAST_TRIALS:
        raise SettingsError(f"A contour needs {_LEAST_TRIALS} trials with results, not {len(trials)}")
    places = np.array([[_place(domains[name], t.config[name]) for name in (x, y)] for t in trials])
    values = np.array([trial.best for trial in trials], dtype=np.float64)
    grid_x, grid_y = domains[x].grid(_GRID), domains[y].grid(_GRID)
    grid = np.array([[_place(domains[x], a), _place(domains[y], b)] for b in grid_y for a in grid_x])
    width = _best_width(places, values)
    means, weights = _kernel_means(grid, places, values, width)
    cells = [float(m) if w >= _LEAST_WEIGHT else None for m, w in zip(means, weights, strict=True)]
    n = len(grid_x)
    return {
        "x": grid_x,
        "y": grid_y,
        "z": [cells[row * n : (row + 1) * n] for row in range(len(grid_y))],
        "points": [(t.config[x], t.config[y], float(v), t.id) for t, v in zip(trials, values, strict=True)],
        "x_log": _is_log(domains[x]),
        "y_log": _is_log(domains[y]),
        "text": (
            f"Mean of the best values of {len(trials):,} trials with a Gaussian kernel of {percent(width)} of each range, chosen by "
            "leaving each trial out; empty where no trial is near."
        ),
    }


def _place(domain: Domain, value: ConfigValue) -> float:
    """Place of a value in its range, 0 to 1; categories lie too far apart to be smoothed."""
    if domain.width == 1:
        return float(domain.encode(value)[0])
    return 100.0 * [domain.at(index) for index in range(domain.size or 0)].index(value)


def _is_log(domain: Domain) -> bool:
    return bool(domain.to_json().get("log", False))


def _best_width(places: Floats, values: Floats) -> float:
    """The bandwidth with the least error at trials that are left out; on a tie the widest."""
    step = -(-len(values) // _MOST_FOLDS)
    chosen, truth = places[::step], values[::step]
    errors: list[float] = []
    for width in _BANDWIDTHS:
        weights = _weights(chosen, places, width)
        weights[np.arange(len(chosen)), np.arange(0, len(values), step)] = 0.0
        total = weights.sum(axis=1)
        means = np.where(total > 0, weights @ values / np.where(total > 0, total, 1.0), values.mean())
        errors.append(float(np.square(means - truth).sum()))
    return _BANDWIDTHS[len(errors) - 1 - int(np.argmin(errors[::-1]))]


def _kernel_means(at: Floats, places: Floats, values: Floats, width: float) -> tuple[Floats, Floats]:
    """Means at places, and sums of their weights."""
    weights = _weights(at, places, width)
    total = weights.sum(axis=1)
    return weights @ values / np.where(total > 0, total, 1.0), total


def _weights(at: Floats, places: Floats, width: float) -> Floats:
    """Gaussian kernel: shape (len(at), len(places))."""
    squared = sum(np.square(at[:, None, i] - places[None, :, i]) for i in range(places.shape[1]))
    return np.exp(-0.5 * np.asarray(squared) / width**2)


# --- several metrics


def hypervolume_document(metadata: ExperimentMetadata, feed: ExperimentFeed) -> Hypervolume:
    """The Pareto front, and the volume that it dominates over time.

    Results are those that are finite in all metrics and keep the constraints. The reference is the worst value of each
    metric so far; the volume is a part of the box between it and the best values.

    Raises
    ------
    SettingsError
        There is one metric only, or no result.
    """
    metrics = metadata.metrics
    if len(metrics) < 2:
        raise SettingsError("Pareto front and hypervolume need two metrics; the experiment tunes one")
    times, trial_ids, losses = _results(metadata, feed)
    if not len(times):
        raise SettingsError("There is no result yet with finite values that keep the constraints")
    low, high = losses.min(axis=0), losses.max(axis=0)
    scaled = (losses - low) / np.where(high > low, high - low, 1.0)
    reference = np.ones(len(metrics))
    front = scaled[:0]
    steps: list[tuple[float, float]] = []
    for time, point in zip(times.tolist(), scaled, strict=True):
        if bool((front <= point).all(axis=1).any()):
            continue
        front = np.vstack([front[~(point <= front).all(axis=1)], point])
        steps.append((time, dominated_volume(front, reference)))
    is_front = pareto_mask(losses)
    signs = np.array([metric.loss(1.0) for metric in metrics])
    return {
        "time": [time for time, _ in steps],
        "value": [value for _, value in steps],
        "reference": (signs * high).tolist(),
        "pareto": _pareto(metrics, trial_ids, signs * losses, is_front),
        "text": (
            "Part of the box between the best values and the reference, the worst value of each metric, that the results "
            "dominate."
        ),
    }


def _results(metadata: ExperimentMetadata, feed: ExperimentFeed) -> tuple[Floats, Floats, Floats]:
    """Times, trials and losses of the results that count, in their order."""
    metrics, bounds = metadata.metrics, metadata.bounds
    rows: list[tuple[float, int, int, list[float]]] = []
    for trial in feed.trials:
        for place, (time, offset) in enumerate(zip(trial.times, trial.offsets, strict=True)):
            values = {
                name: value for name, column in trial.values.items() if (value := column[place]) is not None
            }
            if all(bound.is_met(values) for bound in bounds):
                rows.append((time, offset, trial.id, [metric.loss_of(values) for metric in metrics]))
    rows.sort(key=lambda row: row[1])
    losses = np.array([row[3] for row in rows], dtype=np.float64).reshape(len(rows), len(metrics))
    kept = np.isfinite(losses).all(axis=1)
    times = np.array([row[0] for row in rows], dtype=np.float64)[kept]
    trial_ids = np.array([row[2] for row in rows], dtype=np.float64)[kept]
    return times, trial_ids, losses[kept]


def _pareto(
    metrics: Sequence[Metric], trial_ids: Floats, values: Floats, is_front: NDArray[np.bool_]
) -> Pareto:
    names = [metric.name for metric in metrics]
    last = {int(trial_id): place for place, trial_id in enumerate(trial_ids)}
    on_front = {int(trial_ids[place]) for place in np.flatnonzero(is_front)}
    others = [place for trial_id, place in last.items() if trial_id not in on_front]
    step = -(-len(others) // _MOST_POINTS) or 1
    shown = [*np.flatnonzero(is_front).tolist(), *others[::step]]
    return {
        "metrics": names,
        "points": [
            {
                "trial_id": int(trial_ids[place]),
                "values": dict(zip(names, values[place].tolist(), strict=True)),
                "is_front": bool(is_front[place]),
            }
            for place in shown
        ],
    }
