"""History as arrays: read once, result by result, for all model-based searchers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, final

import numpy as np

from tunewright.history import History
from tunewright.metric import Metric
from tunewright.models.arrays import Array, Indices
from tunewright.space import SearchSpace
from tunewright.trial import Result, TrialStatus
from tunewright.types import Note


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """Finite losses of trials that did not fail, oldest first."""

    trials: Indices
    """(n,)"""
    levels: Indices
    """(n,): the number of the level at which each was reported; zeros if there are none."""
    losses: Array
    """(n,)"""

    def __len__(self) -> int:
        return len(self.losses)

    def at_level(self, level: int) -> Rows:
        """Rows of one level."""
        return self.chosen(np.flatnonzero(self.levels == level))

    def chosen(self, indices: Indices) -> Rows:
        """Rows at the given positions."""
        return Rows(self.trials[indices], self.levels[indices], self.losses[indices])


@final
@dataclass(frozen=True, slots=True)
class Fit:
    """Hyperparameters, and how many rows had been seen when they were found."""

    n_rows: int
    theta: Array


@final
@dataclass(frozen=True, slots=True)
class Snapshot:
    """The observations of a model at one instant."""

    points: Array
    """(trials, d): all configurations in the unit cube."""
    rows: Rows
    """The observed losses."""
    pending: Indices
    """Running trials that are still to report, by id."""
    pending_levels: Indices
    """The level that each of them will reach next."""
    fits: Mapping[str, Fit]
    """The newest hyperparameters in the notes, by model."""
    objectives: Array = field(default_factory=lambda: np.empty((0, 0)))
    """(n, k): the losses of all k metrics that are read, a row for each of ``rows``; that of ``rows`` comes first."""

    def note_of(self, fits: Mapping[str, Fit]) -> Note:
        """Return the note of the hyperparameters that earlier notes do not hold."""
        return fits_note({name: fit for name, fit in fits.items() if self.fits.get(name) is not fit})


@final
class Observations:
    """Reads History into arrays, incrementally.

    Without levels a trial counts once, with its newest loss, as soon as it does not run any more. With levels each
    trial counts at every level that a report of it reached; a report that reaches several counts at the highest.

    Failed trials and non-finite losses never enter. What is remembered is a function of History, so that a new object
    gives the same answer.

    Parameters
    ----------
    space, metric
        The space and the metric to tune.
    levels
        Resources, strictly increasing; empty: a trial counts once.
    others
        Further metrics whose losses are read; a result counts only if all are finite.
    """

    def __init__(
        self, space: SearchSpace, metric: Metric, levels: Sequence[int] = (), others: Sequence[Metric] = ()
    ) -> None:
        self._space = space
        self._metrics = (metric, *others)
        self.levels = tuple(levels)
        self._history: History | None = None
        self._points = np.empty((0, space.n_columns))

    def read(self, history: History) -> Snapshot:
        """Return the observations so far."""
        if history is not self._history:
            self._forget(history)
        self._read_trials(history)
        self._read_notes(history)
        results = history.results_since(self._n_results)
        for trial_id, result in results:
            self._read_result(trial_id, result)
        self._n_results += len(results)
        running = np.array(list(history.ids(TrialStatus.RUNNING)), dtype=np.intp)
        failed = np.array(list(history.ids(TrialStatus.FAILED)), dtype=np.intp)
        reached = np.array([self._reached[trial_id] for trial_id in running], dtype=np.intp)
        top = max(len(self.levels) - 1, 0)
        is_pending = reached <= top
        rows, objectives = self._rows_at_levels(failed) if self.levels else self._newest_rows(running, failed)
        return Snapshot(
            self._points,
            rows,
            running[is_pending],
            np.minimum(reached, top)[is_pending],
            self._fits,
            objectives,
        )

    def _forget(self, history: History) -> None:
        self._history = history
        self._points = np.empty((0, self._space.n_columns))
        self._fits: dict[str, Fit] = {}
        self._n_runs = 0
        self._n_results = 0
        self._reached: list[int] = []
        self._trials: list[int] = []
        self._at_levels: list[int] = []
        self._losses: list[tuple[float, ...]] = []
        self._newest: dict[int, tuple[float, ...]] = {}

    def _read_trials(self, history: History) -> None:
        new = range(len(self._points), history.n_trials)
        if not new:
            return
        encoded = self._space.encode([history.trial(trial_id).config for trial_id in new])
        self._points = np.concatenate([self._points, encoded])
        self._reached.extend([0] * len(new))

    def _read_notes(self, history: History) -> None:
        for run in history.runs[self._n_runs :]:
            self._fits = self._fits | _fits_of(history.note(run.trial_id, run.attempt).get("searcher"))
        self._n_runs = history.n_runs

    def _read_result(self, trial_id: int, result: Result) -> None:
        losses = tuple(metric.loss_of(result.metrics) for metric in self._metrics)
        if not self.levels:
            self._newest.pop(trial_id, None)
            self._newest[trial_id] = losses
            return
        reached = self._reached[trial_id]
        while reached < len(self.levels) and self.levels[reached] <= result.resource:
            reached += 1
        if reached > self._reached[trial_id]:
            self._reached[trial_id] = reached
            if all(map(math.isfinite, losses)):
                self._trials.append(trial_id)
                self._at_levels.append(reached - 1)
                self._losses.append(losses)

    def _rows_at_levels(self, failed: Indices) -> tuple[Rows, Array]:
        trials = np.array(self._trials, dtype=np.intp)
        levels = np.array(self._at_levels, dtype=np.intp)
        objectives = self._table(self._losses)
        if len(failed):
            counts = ~np.isin(trials, failed)
            trials, levels, objectives = trials[counts], levels[counts], objectives[counts]
        return Rows(trials, levels, objectives[:, 0]), objectives

    def _newest_rows(self, running: Indices, failed: Indices) -> tuple[Rows, Array]:
        trials = np.array(list(self._newest), dtype=np.intp)
        objectives = self._table(self._newest.values())
        is_finite = np.isfinite(objectives).all(axis=1)
        counts = is_finite & ~np.isin(trials, running) & ~np.isin(trials, failed)
        objectives = objectives[counts]
        return Rows(trials[counts], np.zeros(len(objectives), dtype=np.intp), objectives[:, 0]), objectives

    def _table(self, losses: Collection[tuple[float, ...]]) -> Array:
        return np.array(list(losses), dtype=np.float64).reshape(len(losses), len(self._metrics))


def fits_note(fits: Mapping[str, Fit]) -> Note:
    """Hyperparameters as they travel in a searcher's note."""
    return {"fits": {name: [fit.n_rows, *fit.theta.tolist()] for name, fit in fits.items()}} if fits else {}


def _fits_of(note: Any) -> dict[str, Fit]:
    if not isinstance(note, Mapping):
        return {}
    found = cast("Mapping[str, Mapping[str, list[float]]]", note).get("fits", {})
    return {
        name: Fit(int(n_rows), np.array(theta, dtype=np.float64)) for name, (n_rows, *theta) in found.items()
    }


def limited(rows: Rows, most: int, top_fraction: float = 0.25) -> Rows:
    """At most ``most`` rows: those at the highest levels, of the last level that fits in part the best and an even choice.

    Parameters
    ----------
    rows
        All of them.
    most
        Maximum rows of a model.
    top_fraction
        Which part of the places that the last level gets go to its best rows; the others are spread evenly over the
        order of arrival.
    """
    if len(rows) <= most:
        return rows
    kept: list[Indices] = []
    left = most
    for level in range(int(rows.levels.max()), -1, -1):
        here = np.flatnonzero(rows.levels == level)
        if len(here) > left:
            best = here[np.argsort(rows.losses[here], kind="stable")[: round(left * top_fraction)]]
            others = np.setdiff1d(here, best)
            places = np.linspace(0, len(others) - 1, left - len(best)).round().astype(np.intp)
            kept += [best, others[places]]
            break
        kept.append(here)
        left -= len(here)
    return rows.chosen(np.sort(np.concatenate(kept)))
