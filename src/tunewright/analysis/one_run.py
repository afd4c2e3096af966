"""One experiment in full: its trials, their runs and reports, as figures of a single run need them."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import final

import numpy as np

from tunewright.analysis.columns import Columns, Floats
from tunewright.analysis.load import load
from tunewright.analysis.results import ExperimentInfo
from tunewright.backends.simulated.backend import WarmPools
from tunewright.backends.simulated.config import PROFILES, Delays
from tunewright.events import (
    EndEvent,
    Event,
    PhaseEvent,
    ReportDecision,
    RequestAction,
    RequestEvent,
    ResultEvent,
    StartEvent,
)
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.journal import is_locked, read_events
from tunewright.metadata import ExperimentMetadata
from tunewright.metric import Metric
from tunewright.space import SearchSpace
from tunewright.state import replay_history
from tunewright.storage import ExperimentFolder, find_experiment
from tunewright.trial import KNOWN, Decision, PhaseName
from tunewright.types import Config


@final
@dataclass(slots=True, kw_only=True)
class TrialRecord:
    """A trial and its accepted reports."""

    id: int
    config: Config
    status: str = "running"
    resources: list[int] = field(default_factory=list[int])
    values: list[float] = field(default_factory=list[float])
    """Of the metric that is looked at."""
    decisions: list[str] = field(default_factory=list[str])
    is_valid: list[bool] = field(default_factory=list[bool])
    """Whether a report keeps the constraints."""

    def best(self, metric: Metric) -> float:
        """The best loss of a report that keeps the constraints; inf where there is none."""
        pairs = zip(self.values, self.is_valid, strict=True)
        return min((metric.loss(value) for value, is_valid in pairs if is_valid), default=math.inf)


@final
@dataclass(slots=True, kw_only=True)
class RunRecord:
    """One run of a trial."""

    trial_id: int
    worker: int
    """Place on the timeline: the free one of the lowest number."""
    begin: float
    end: float
    """Seconds; the experiment's end where the run has none."""
    status: str = "running"
    ready: float | None = None
    """Seconds at which the script began to train, journaled or estimated; None: unknown."""
    uploads: float | None = None
    """Seconds at which the script had ended and its output was being stored; None: unknown."""
    is_warm: bool | None = None
    """Whether an earlier run had left the worker prepared; None: unknown or meaningless."""

    @property
    def training(self) -> tuple[float, float]:
        """Begin and end of the training, in seconds; the whole run if it has no phases."""
        begin = self.begin if self.ready is None else min(self.ready, self.end)
        return begin, max(begin, self.end if self.uploads is None else min(self.uploads, self.end))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OneRun:
    """An experiment in full."""

    info: ExperimentInfo
    metric: Metric
    trials: Sequence[TrialRecord]
    runs: Sequence[RunRecord]
    space: SearchSpace | None
    """None where the metadata do not hold one."""
    columns: Columns
    """All its reports."""
    history: History
    worker_changes: Sequence[tuple[float, int]] = ()
    """Times at which a request changed the number of workers, and the new numbers."""

    @property
    def n_workers(self) -> int:
        """Number of workers, at most; of an experiment that does not say it, the most runs at one time."""
        used = max((run.worker for run in self.runs), default=0) + 1
        record = self.info.record
        return used if record is None else max(used, record.benchmark.n_workers or 0)

    def worker_seconds(self, end: float) -> float:
        """Time of all workers until the end; before the first change there were as many workers as runs at one time."""
        if not self.worker_changes:
            return end * self.n_workers
        first = self.worker_changes[0][0]
        steps = [(0.0, self._most_runs(first)), *self.worker_changes, (end, 0)]
        return sum(n * max(0.0, later - begin) for (begin, n), (later, _) in pairwise(steps))

    def _most_runs(self, end: float) -> int:
        """Runs at one time before a time, at most."""
        most, ends = 1, list[float]()
        for run in sorted(self.runs, key=lambda one: one.begin):
            while ends and ends[0] <= run.begin:
                heapq.heappop(ends)
            if run.begin < end:
                heapq.heappush(ends, run.end)
                most = max(most, len(ends))
        return most

    @property
    def rungs(self) -> list[int]:
        """Resources at which trials were paused or stopped, ascending."""
        return sorted(
            {
                resource
                for trial in self.trials
                for resource, decision in zip(trial.resources, trial.decisions, strict=True)
                if decision != Decision.CONTINUE
            }
        )

    def losses(self) -> Floats:
        """The best loss of every trial, of reports that keep the constraints; inf where it has none."""
        return np.array([trial.best(self.metric) for trial in self.trials])


def one_run(experiment: str | Path | ExperimentFolder, *, metric: str | None = None) -> OneRun:
    """Read one experiment in full.

    Parameters
    ----------
    experiment
        As `tunewright.storage.find_experiment` takes it.
    metric
        Another reported value than the first tuned metric.

    Raises
    ------
    UnknownNameError, SettingsError
        There is no such experiment or metric, or it has no results.
    JournalError
        The journal is damaged.
    """
    folder = experiment if isinstance(experiment, ExperimentFolder) else find_experiment(str(experiment))
    results = load(folder)
    (info,) = results.infos
    if not results.n_results:
        raise SettingsError(f"{info.name} has no results yet")
    chosen = results.metric(info.benchmark, metric)
    events = list(read_events(folder.journal_path))
    has_phases = any(isinstance(event, PhaseEvent) for event in events)
    changes = [
        (event.t, int(str(event.arguments["n_workers"])))
        for event in events
        if isinstance(event, RequestEvent) and event.done == RequestAction.SET_WORKERS
    ]
    reader = _Reader(chosen, info, None if has_phases else _delays(info.record), has_places=bool(changes))
    for event in events:
        reader.take(event)
    if not is_locked(folder.journal_path):  # as in `Outcome.counts`: left running by the last session
        for record in (*reader.trials, *reader.runs):
            record.status = "stopped" if record.status == "running" else record.status
    return OneRun(
        info=info,
        metric=chosen,
        trials=reader.trials,
        runs=reader.runs,
        space=_space(info.record),
        columns=results.columns[0],
        history=replay_history(events),
        worker_changes=changes,
    )


def _space(record: ExperimentMetadata | None) -> SearchSpace | None:
    return record.space if record is not None and record.has_space else None


@final
class _StartDelays:
    """Start delays of simulated runs, cold or warm, for journals without phase events: those of version 0.1."""

    def __init__(self, delays: Delays, keep_alive: float) -> None:
        self._delays = delays
        self._pools = WarmPools(keep_alive)

    def start(self, trial_id: int, attempt: int, time: float) -> tuple[float, bool]:
        """Seconds from a run's start to its script's first line, and whether the start was warm."""
        is_warm = self._pools.take(trial_id, attempt, time)
        return (self._delays.warm_start if is_warm else self._delays.start), is_warm

    def end(self, time: float) -> None:
        """A run ended: its instance waits."""
        self._pools.release(time)


def _delays(record: ExperimentMetadata | None) -> _StartDelays | None:
    if record is None or record.clock != "simulated":
        return None
    config = record.backend.get("config", {})
    if "profile" not in config:
        return None
    return _StartDelays(PROFILES[config["profile"]], config.get("keep_alive", 0.0))


@final
class _Reader:
    """Takes the events of a journal."""

    def __init__(
        self, metric: Metric, info: ExperimentInfo, delays: _StartDelays | None, *, has_places: bool
    ) -> None:
        self._metric = metric
        self._constraints = info.constraints
        self._end = info.totals.end_time
        self._open: dict[int, RunRecord] = {}
        n_workers = info.record.benchmark.n_workers if info.record is not None else None
        self._free = list(range(n_workers or 0))
        self._places = count(n_workers or 0)
        self._has_places = has_places or n_workers is None
        """Whether there are as many places as runs at one time: the number of workers changed, or is not known."""
        self._leaving: set[int] = set()
        """Trials that were told to end; the backend may give their worker away before their end is journaled."""
        self._given: dict[int, RunRecord] = {}
        """Runs whose worker was given away before their end."""
        self._delays = delays
        self.trials: list[TrialRecord] = []
        self.runs: list[RunRecord] = []

    def take(self, event: Event) -> None:
        """Take one event; only starts, training phases, accepted results and ends count."""
        if isinstance(event, StartEvent):
            self._start(event)
        elif isinstance(event, ResultEvent) and event.is_accepted:
            self._result(event)
        elif isinstance(event, PhaseEvent):
            self._enter(event)
        elif isinstance(event, EndEvent):
            self._finish(event)

    def _start(self, event: StartEvent) -> None:
        trial_id, time = event.trial_id, event.t
        if trial_id == len(self.trials):
            self.trials.append(TrialRecord(id=trial_id, config=event.config))
        self.trials[trial_id].status = "running"
        if KNOWN in event.note:
            return  # its results are known: no worker runs it
        if trial_id in self._open:  # the session that ran it was killed
            self._give_away(trial_id, time)
        if not self._free and not self._has_places and self._open:
            self._give_away(
                min(self._open, key=lambda one: (one not in self._leaving, self._open[one].begin)), time
            )
        self._leaving.discard(trial_id)
        worker = heapq.heappop(self._free) if self._free else next(self._places)
        run = RunRecord(trial_id=trial_id, worker=worker, begin=time, end=self._end)
        if self._delays is not None:
            delay, run.is_warm = self._delays.start(trial_id, event.attempt, time)
            run.ready = time + delay
        self.runs.append(run)
        self._open[trial_id] = run

    def _give_away(self, trial_id: int, time: float) -> None:
        """End a run on the timeline; its own end, if there is one, says only how."""
        run = self._open.pop(trial_id)
        run.end = time
        heapq.heappush(self._free, run.worker)
        self._given[trial_id] = run

    def _enter(self, event: PhaseEvent) -> None:
        run = self._open.get(event.trial_id)
        if run is None:
            return
        if event.warm is not None:
            run.is_warm = event.warm
        if event.name is PhaseName.TRAINING and run.ready is None:
            run.ready = event.t
        elif event.name is PhaseName.UPLOADING:
            run.uploads = event.t

    def _result(self, event: ResultEvent) -> None:
        trial, metrics = self.trials[event.trial_id], event.metrics
        trial.resources.append(event.resource)
        trial.values.append(metrics.get(self._metric.name, math.nan))
        trial.decisions.append(str(event.decision))
        trial.is_valid.append(all(bound.is_met(metrics) for bound in self._constraints))
        if event.decision is not ReportDecision.CONTINUE:
            self._leaving.add(trial.id)
        run = self._open.get(trial.id)
        if run is not None and run.ready is None and "st_worker_time" in metrics:
            run.ready = max(run.begin, event.t - metrics["st_worker_time"])

    def _finish(self, event: EndEvent) -> None:
        self.trials[event.trial_id].status = str(event.status)
        given = self._given.pop(event.trial_id, None)
        run = None if given else self._open.pop(event.trial_id, None)
        if given is not None:
            given.status = str(event.status)
        if run is not None:
            run.end, run.status = event.t, str(event.status)
            heapq.heappush(self._free, run.worker)
            if self._delays is not None:
                self._delays.end(run.end)
