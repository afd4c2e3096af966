"""History as arrays: read once, result by result, for all model-based searchers."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, cast, final

import numpy as np

from tunewright.history import History
from tunewright.metric import Metric
from tunewright.models.arrays import Array, Indices
from tunewright.space import SearchSpace
from tunewright.trial import Result, TrialStatus
from tunewright.types import Note

_MOST_NEEDED: Final = 10


class Failures(StrEnum):
    """Treatment of failed trials and of losses that are not finite."""

    IMPUTE = "impute"
    """They count with the worst finite loss at their level so far, and models of success learn from them."""
    DROP = "drop"
    """They are left out: the model knows nothing of them."""


class Stopped(StrEnum):
    """Treatment of trials that a scheduler stopped, where a trial counts once."""

    FANTASISE = "fantasise"
    """Their final losses are unknown, as those of running trials."""
    COUNT = "count"
    """Their last losses count as final ones."""


class Needed(StrEnum):
    """Number of results with which a model learns from a level."""

    HYPERPARAMETERS = "hyperparameters"
    """One more than there are hyperparameters, at most 10."""
    COLUMNS = "columns"
    """One more than there are columns of the encoded space: a category of five values has five."""

    def results(self, space: SearchSpace) -> int:
        """The number for a space."""
        if self is Needed.COLUMNS:
            return space.n_columns + 1
        return min(len(space.domains) + 1, _MOST_NEEDED)


def no_indices() -> Indices:
    """An empty array of indices."""
    return np.empty(0, dtype=np.intp)


@final
@dataclass(frozen=True, slots=True)
class Rows:
    """Finite losses of trials, oldest first."""

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
    """Trials that are still to report, by id: running ones, and stopped ones whose final losses are unknown."""
    pending_levels: Indices
    """The level that each of them will reach next."""
    fits: Mapping[str, Fit]
    """The newest hyperparameters in the notes, by model."""
    objectives: Array = field(default_factory=lambda: np.empty((0, 0)))
    """(n, k): the losses of all k metrics that are read, a row for each of ``rows``; that of ``rows`` comes first."""
    failed: Indices = field(default_factory=no_indices)
    """Trials that failed or whose newest loss is not finite, by id, ascending; empty if failures are dropped."""
    succeeded: Indices = field(default_factory=no_indices)
    """The other trials of ``rows``, by id, ascending; empty if none has failed."""

    def target_level(self, enough: int) -> int | None:
        """The highest level with the losses of at least ``enough`` trials that did not fail; None if there is none ([Falkner2018]_).

        References
        ----------
        .. [Falkner2018] Falkner, Klein, Hutter: BOHB. ICML 2018.
        """
        levels = self.rows.levels
        if len(self.failed):
            levels = levels[~np.isin(self.rows.trials, self.failed)]
        found = np.flatnonzero(np.bincount(levels) >= enough)
        return int(found[-1]) if len(found) else None

    def succeeded_at(self, level: int) -> Rows:
        """Rows of a level without those of failed trials."""
        rows = self.rows.at_level(level)
        return rows.chosen(np.flatnonzero(~np.isin(rows.trials, self.failed))) if len(self.failed) else rows

    def note_of(self, fits: Mapping[str, Fit]) -> Note:
        """Return the note of the hyperparameters that earlier notes do not hold."""
        return fits_note({name: fit for name, fit in fits.items() if self.fits.get(name) is not fit})


@final
class Observations:
    """Reads History into arrays, incrementally.

    Without levels a trial counts once, with its newest loss, as soon as it does not run any more. With levels each
    trial counts at every level that a report of it reached; a report that reaches several counts at the highest.

    With ``failures=impute`` a loss that is not finite counts with the worst finite one at its level so far, and so do all
    losses of a failed trial; it also counts at the level on the way to which it failed. At a level without a finite loss
    nothing counts. Of several metrics each has its own worst value. With ``failures=drop`` failed trials and losses that
    are not finite never enter. What is remembered is a function of History, so that a new object gives the same answer.

    Parameters
    ----------
    space, metric
        The space and the metric to tune.
    levels
        Resources, strictly increasing; empty: a trial counts once.
    others
        Further metrics whose losses are read; a result is finite only if all are.
    failures
        Treatment of failed trials and of losses that are not finite.
    stopped
        Treatment of stopped trials without levels.
    """

    def __init__(
        self,
        space: SearchSpace,
        metric: Metric,
        levels: Sequence[int] = (),
        others: Sequence[Metric] = (),
        *,
        failures: Failures = Failures.DROP,
        stopped: Stopped = Stopped.COUNT,
    ) -> None:
        self._space = space
        self._metrics = (metric, *others)
        self._imputes = failures is Failures.IMPUTE
        self._awaits_stopped = stopped is Stopped.FANTASISE and not levels
        self.levels = tuple(levels)
        self._history: History | None = None
        self._points = np.empty((0, space.n_columns))

    def read(self, history: History) -> Snapshot:
        """Return the observations so far; the same object if nothing has happened."""
        if history is not self._history:
            self._forget(history)
        self._read_trials(history)
        self._read_notes(history)
        results = history.results_since(self._n_results)
        for trial_id, result in results:
            self._read_result(trial_id, result)
        self._n_results += len(results)
        running, crashed = _ids(history, TrialStatus.RUNNING), _ids(history, TrialStatus.FAILED)
        if self._awaits_stopped:
            stopped = _ids(history, TrialStatus.STOPPED)
            if len(stopped):
                diverged = np.array(list(self._diverged), dtype=np.intp)
                running = np.concatenate([running, stopped[~np.isin(stopped, diverged)]])
        seen = (self._n_results, self._n_runs, running.tobytes(), crashed.tobytes())
        if self._snapshot is None or self._seen != seen:
            self._snapshot, self._seen = self._made(running, crashed), seen
        return self._snapshot

    def _made(self, running: Indices, crashed: Indices) -> Snapshot:
        reached = np.array([self._reached[trial_id] for trial_id in running], dtype=np.intp)
        top = max(len(self.levels) - 1, 0)
        is_pending = reached <= top
        rows, objectives = self._table_of(running)
        failed = no_indices()
        if self._imputes:
            if len(crashed) or self._diverged:
                failed = np.union1d(crashed, np.array(list(self._diverged), dtype=np.intp))
            rows, objectives = self._imputed(rows, objectives, crashed)
        else:
            counts = np.isfinite(objectives).all(axis=1) & ~np.isin(rows.trials, crashed)
            rows, objectives = rows.chosen(np.flatnonzero(counts)), objectives[counts]
        return Snapshot(
            self._points,
            rows,
            running[is_pending],
            np.minimum(reached, top)[is_pending],
            self._fits,
            objectives,
            failed,
            np.setdiff1d(rows.trials, failed) if len(failed) else failed,
        )

    def _forget(self, history: History) -> None:
        self._history = history
        self._snapshot: Snapshot | None = None
        self._points = np.empty((0, self._space.n_columns))
        self._fits: dict[str, Fit] = {}
        self._n_runs = 0
        self._n_results = 0
        self._reached: list[int] = []
        self._trials: list[int] = []
        self._at_levels: list[int] = []
        self._losses: list[tuple[float, ...]] = []
        self._newest: dict[int, tuple[float, ...]] = {}
        self._diverged: set[int] = set()

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
        self._newest.pop(trial_id, None)
        self._newest[trial_id] = losses
        if all(map(math.isfinite, losses)):
            self._diverged.discard(trial_id)
        else:
            self._diverged.add(trial_id)
        reached = self._reached[trial_id]
        while reached < len(self.levels) and self.levels[reached] <= result.resource:
            reached += 1
        if reached > self._reached[trial_id]:
            self._reached[trial_id] = reached
            self._trials.append(trial_id)
            self._at_levels.append(reached - 1)
            self._losses.append(losses)

    def _table_of(self, running: Indices) -> tuple[Rows, Array]:
        """All reported rows with their losses, finite or not."""
        if self.levels:
            objectives = self._table(self._losses)
            trials = np.array(self._trials, dtype=np.intp)
            return Rows(trials, np.array(self._at_levels, dtype=np.intp), objectives[:, 0]), objectives
        trials = np.array(list(self._newest), dtype=np.intp)
        objectives = self._table(self._newest.values())
        rows = Rows(trials, np.zeros(len(trials), dtype=np.intp), objectives[:, 0])
        ended = np.flatnonzero(~np.isin(trials, running))
        return rows.chosen(ended), objectives[ended]

    def _imputed(self, rows: Rows, objectives: Array, crashed: Indices) -> tuple[Rows, Array]:
        """Failures with the worst finite losses of their level; trials that failed on the way to a level come first."""
        is_failed = ~np.isfinite(objectives).all(axis=1)
        if not (len(crashed) or is_failed.any()):
            return rows, objectives
        is_failed |= np.isin(rows.trials, crashed)
        top = len(self.levels) - 1
        if self.levels:
            missed = np.array([trial for trial in crashed if self._reached[trial] <= top], dtype=np.intp)
            at = np.array([self._reached[trial] for trial in missed], dtype=np.intp)
        else:
            missed = np.setdiff1d(crashed, rows.trials)
            at = np.zeros_like(missed)
        if not (is_failed.any() or len(missed)):
            return rows, objectives
        trials, levels = np.concatenate([missed, rows.trials]), np.concatenate([at, rows.levels])
        filled = np.concatenate([np.full((len(missed), objectives.shape[1]), math.inf), objectives])
        is_failed = np.concatenate([np.ones(len(missed), dtype=bool), is_failed])
        counts = np.ones(len(trials), dtype=bool)
        for level in np.unique(levels[is_failed]):
            here = levels == level
            known = filled[here & ~is_failed]
            if len(known):
                filled[here & is_failed] = known.max(axis=0)
            else:
                counts[here] = False
        filled = filled[counts]
        return Rows(trials[counts], levels[counts], filled[:, 0]), filled

    def _table(self, losses: Collection[tuple[float, ...]]) -> Array:
        return np.array(list(losses), dtype=np.float64).reshape(len(losses), len(self._metrics))


def _ids(history: History, status: TrialStatus) -> Indices:
    return np.array(list(history.ids(status)), dtype=np.intp)


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


def final_loss(history: History, trial_id: int, metric: Metric) -> float | None:
    """The newest loss of a trial that will not run again; infinite if it failed or diverged, None if it may still report."""
    status = history.status(trial_id)
    if status is TrialStatus.FAILED:
        return math.inf
    if status not in {TrialStatus.COMPLETED, TrialStatus.STOPPED}:
        return None
    last = history.last(trial_id)
    loss = math.inf if last is None else metric.loss_of(last.metrics)
    return loss if math.isfinite(loss) else math.inf
