"""ExperimentFeed: the journal of an experiment as rows, curves and events of the dashboard, read on as it grows.

All that a page shows of a journal is a function of the journal's bytes: `ExperimentFeed.since` gives everything that
changed after a byte offset. A page that adds up the answers since 0, since the offset of the first answer, and so on, has
the same content as one that begins now, also if the server was started again in between.
"""

from __future__ import annotations

import gc
import heapq
import math
import os
import re
import stat
import sys
import threading
from bisect import bisect_right, insort
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias, TypedDict, final

import numpy as np

from tunewright.events import (
    ACCEPTED,
    DropEvent,
    EndEvent,
    Event,
    Header,
    PhaseEvent,
    ReportDecision,
    RequestAction,
    RequestEvent,
    ResultEvent,
    ServiceEvent,
    SessionEvent,
    StartEvent,
    decode_line,
    decode_lines,
)
from tunewright.exceptions import JournalError
from tunewright.formatting import messages
from tunewright.metric import Constraint, Goal, Metric
from tunewright.trial import KNOWN, TrialStatus
from tunewright.types import ConfigValue

Number: TypeAlias = float | str
"""A number of a document; the texts ``"nan"``, ``"inf"`` and ``"-inf"`` stand for those that JSON lacks."""

MOST_CURVES: Final = 2000
"""Trials from which on curves are sampled."""
BEST_CURVES: Final = 500
"""Further trials with a curve: those that are or were among so many best ones."""
_SAMPLE: Final = 250
"""Further trials with a curve each time that the number of trials doubles, evenly spaced."""
_CHUNK: Final = 256 * 1024  # bytes that are decoded at once: their events stay in the cache of the processor
_OWN: Final = "st_"  # values that reports add themselves
_NEW_WORKERS: Final = RequestAction.SET_WORKERS.encode()
_NEWLINE: Final = 10
_CONTINUE: Final = ReportDecision.CONTINUE  # looked up once
_NAN: Final = math.nan
_MARK: Final = 512  # bytes at the beginning and the end of the part that was read, by which it is recognised


class TrialRow(TypedDict):
    """A trial; times are seconds on the experiment's clock."""

    id: int
    status: str
    config: Mapping[str, ConfigValue]
    resource: int | None
    last: Mapping[str, Number]
    best: Number | None
    """Of the first metric."""
    best_resource: int | None
    cost: float
    started: float
    ended: float | None
    attempts: int
    error: str
    """Last line of the error."""
    is_known: bool
    """Whether its results were known, and not trained."""
    rung: int | None
    """Resource at which the scheduler last paused or stopped it."""


class Curve(TypedDict):
    """Points of a learning curve."""

    resource: list[int]
    values: dict[str, list[Number | None]]
    time: list[float]


class BestStep(TypedDict):
    """A new best value of the first metric."""

    time: float
    n_results: int
    cost: float
    value: float
    trial_id: int


class Phase(TypedDict):
    """Part of a run."""

    name: str
    begin: float
    end: float | None


class RunRow(TypedDict):
    """A run on the timeline of the workers."""

    id: str
    trial_id: int
    worker: str
    begin: float
    end: float | None
    warm: bool | None
    phases: list[Phase]


class EventRow(TypedDict):
    """Something to read in the list of events."""

    offset: int
    wall: float
    time: float
    kind: str
    trial_id: int | None
    text: str
    request: str
    """Id of the request that it answers; empty if none."""
    refusal: str
    """Why the request was refused; empty if it was carried out."""


class MetricBest(TypedDict):
    """The best value of a metric among the results that keep the constraints."""

    metric: str
    value: float
    trial_id: int
    resource: int


class Totals(TypedDict):
    """Counts, as the journal has them: a killed session leaves its trials running."""

    n_trials: int
    n_running: int
    n_paused: int
    n_completed: int
    n_stopped: int
    n_failed: int
    n_results: int
    cost: float


class Summary(TypedDict):
    """The part of a journal that the overview shows: a page has it before the trials."""

    time: float
    wall: float
    best: list[BestStep]
    totals: Totals


class Sampled(TypedDict):
    """Trials whose curves are sent."""

    shown: int
    of: int


class Delta(TypedDict):
    """Everything that changed between two offsets of a journal."""

    after: int
    offset: int
    time: float
    wall: float
    trials: list[TrialRow]
    curves: dict[str, Curve]
    sampled: Sampled | None
    best: list[BestStep]
    runs: list[RunRow]
    events: list[EventRow]
    decisions: list[tuple[int, float]]
    totals: Totals


@dataclass(slots=True)
class FeedTrial:
    """A trial, with the offset after the line that changed it last."""

    id: int
    config: Mapping[str, ConfigValue]
    started: float
    is_known: bool
    begun: int
    """Offset after the line of its first start."""
    changed: int = 0
    status: str = TrialStatus.RUNNING
    resources: list[int] = field(default_factory=list[int])
    values: dict[str, list[float | None]] = field(default_factory=dict[str, list[float | None]])
    """By curve metric, as reported."""
    times: list[float] = field(default_factory=list[float])
    offsets: list[int] = field(default_factory=list[int])
    last: Mapping[str, float] = field(default_factory=dict[str, float])
    best: float | None = None
    best_loss: float = math.inf
    best_resource: int | None = None
    cost: float = 0.0
    cost_of_run: float = 0.0
    ended: float | None = None
    attempts: int = 1
    error: str = ""
    rung: int | None = None
    shown_from: float = math.inf
    """Offset from which on its curve is sent."""
    is_leaving: bool = False
    """Whether it was paused or stopped, and its run has not ended."""

    def row(self) -> TrialRow:
        """The trial's row."""
        return {
            "id": self.id,
            "status": self.status,
            "config": self.config,
            "resource": self.resources[-1] if self.resources else None,
            "last": {name: value for name, value in finite_or_text(self.last).items() if name[:3] != _OWN},
            "best": self.best,
            "best_resource": self.best_resource,
            "cost": self.cost,
            "started": self.started,
            "ended": self.ended,
            "attempts": self.attempts,
            "error": last_line(self.error),
            "is_known": self.is_known,
            "rung": self.rung,
        }

    def curve(self, begin: int) -> Curve:
        """Points from a number on."""
        return {
            "resource": self.resources[begin:],
            "values": {
                # NaN compares as false
                name: [v if v is None or -math.inf < v < math.inf else str(v) for v in values[begin:]]
                for name, values in self.values.items()
            },
            "time": self.times[begin:],
        }


@dataclass(slots=True)
class _Run:
    """A run, with the offset after the line that changed it last."""

    trial_id: int
    attempt: int
    retry: int
    place: int
    begin: float
    changed: int
    end: float | None = None
    warm: bool | None = None
    phases: list[Phase] = field(default_factory=list[Phase])

    def finish(self, time: float, offset: int) -> None:
        self.end, self.changed = time, offset
        self.finish_phase(time)

    def finish_phase(self, time: float) -> None:
        if self.phases and self.phases[-1]["end"] is None:
            self.phases[-1]["end"] = time

    def row(self) -> RunRow:
        return {
            "id": f"{self.trial_id}-{self.attempt}-{self.retry}",
            "trial_id": self.trial_id,
            "worker": str(self.place),
            "begin": self.begin,
            "end": self.end,
            "warm": self.warm,
            "phases": [phase.copy() for phase in self.phases],
        }


@final
class ExperimentFeed:
    """Reads a journal without locking it, and answers what changed; thread-safe.

    Parameters
    ----------
    path
        The journal; it may be missing yet. A link is refused.
    metrics
        Tuned metrics; the first one decides about the best value.
    constraints
        Bounds that the best result keeps.
    n_workers
        Number of workers, each a row of the timeline; 0: unknown, and there are as many rows as runs at one time.
    """

    def __init__(
        self,
        path: Path,
        metrics: Sequence[Metric],
        constraints: Sequence[Constraint] = (),
        n_workers: int = 0,
    ) -> None:
        self.path = path
        self._n_workers = n_workers or sys.maxsize
        self._first = metrics[0].name
        self._is_maximised = metrics[0].goal is Goal.MAXIMIZE
        self._other_metrics = tuple(metrics[1:])
        self._names = tuple(dict.fromkeys([*(m.name for m in metrics), *(c.name for c in constraints)]))
        self._constraints = tuple(constraints)
        self._lock = threading.Lock()
        self.generation = 0
        """Increases if the journal was replaced by another one."""
        self._clear()

    def _clear(self) -> None:
        self.offset = 0
        """Bytes that were read."""
        self.problem = ""
        """Why the rest cannot be read; empty if it can."""
        self._head = self._tail = b""
        self.n_lines = 0
        self.time = 0.0
        self.wall = 0.0
        self.header: Header | None = None
        self.trials: list[FeedTrial] = []
        self._runs: list[_Run] = []
        self._open: dict[int, _Run] = {}
        self._free: list[int] = []
        self._n_places = 0
        self._best: list[BestStep] = []
        self._best_offsets: list[int] = []
        self._best_loss = math.inf
        self._other_bests: dict[str, MetricBest] = {}
        self.events: list[EventRow] = []
        self._event_offsets: list[int] = []
        self.note = ""
        """The newest journaled note on the experiment."""
        self._decisions: list[tuple[int, float]] = []
        self._decision_offsets: list[int] = []
        self._counts = dict.fromkeys(TrialStatus, 0)
        self._n_results = 0
        self.n_known_trials = 0
        self.n_known_results = 0
        self._cost = 0.0
        self._n_shown = 0
        self._top: list[float] | None = None
        """The lowest losses of trials, once curves are sampled."""
        self._in_session = False

    # --- reading

    def refresh(self) -> bool:
        """Read the whole lines that were added; return whether anything changed.

        A journal that was replaced by another one, or is shorter, is read from its beginning as the next generation.
        """
        with self._lock:
            before = (self.generation, self.offset, self.problem)
            self.problem = ""
            try:
                with open_regular(self.path) as file, _without_garbage_collection():
                    self._read(file)
            except FileNotFoundError:
                self._begin_again()
            except (OSError, JournalError) as error:
                self.problem = str(error)
            return before != (self.generation, self.offset, self.problem)

    def _read(self, file: BinaryIO) -> None:
        if not self._continues(file):
            self._begin_again()
        file.seek(self.offset)
        rest = b""
        while chunk := file.read(_CHUNK):
            data = rest + chunk
            end = data.rfind(b"\n") + 1
            self._fold(data[:end])
            rest = data[end:]

    def _continues(self, file: BinaryIO) -> bool:
        """Whether the part that was read is still there: its first and last bytes are."""
        if file.read(len(self._head)) != self._head:
            return False
        file.seek(self.offset - len(self._tail))
        return file.read(len(self._tail)) == self._tail

    def _begin_again(self) -> None:
        if self.offset:
            self.generation += 1
            self._clear()

    def _fold(self, data: bytes) -> None:
        """Take whole lines; those before a damaged one."""
        if not data:
            return
        damage = ""
        try:
            events = decode_lines(data)
        except ValueError:
            events, damage = _until_damage(data)
        if _NEW_WORKERS in data:
            self._n_workers = sys.maxsize  # the number of workers was another one before
        begin = self.offset
        ends = (np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == _NEWLINE) + (begin + 1)).tolist()
        n_taken = 0
        try:
            for event, end in zip(events, ends, strict=False):
                if type(event) is ResultEvent:
                    self._result(event, end)
                else:
                    self._take(event, end)
                n_taken += 1
        except (LookupError, ValueError, TypeError) as error:
            damage = f"it does not fit the lines before it ({error!r})"
        if n_taken:
            self.offset = ends[n_taken - 1]
            if not isinstance(last := events[n_taken - 1], Header):
                self.time, self.wall = last.t, last.wall
        self.n_lines += n_taken
        read = data[: self.offset - begin]
        self._head = self._head or read[:_MARK]
        self._tail = (self._tail + read[-_MARK:])[-_MARK:]
        if damage:
            raise JournalError(
                f"{self.path.name}, line {self.n_lines + 1}: {damage}. The lines before it are shown; see tunewright repair"
            )

    def _take(self, event: Header | Event, offset: int) -> None:
        """Take an event of a rare kind."""
        if isinstance(event, StartEvent):
            self._start(event, offset)
        elif isinstance(event, EndEvent):
            self._end(event, offset)
        elif isinstance(event, PhaseEvent):
            self._phase(event, offset)
        elif isinstance(event, SessionEvent):
            self._session(event, offset)
        elif isinstance(event, RequestEvent):
            self._request(event, offset)
        elif isinstance(event, DropEvent):
            text = f"The checkpoint of resource {event.resource} was given up"
            self._note(event, offset, "drop", event.trial_id, text)
        elif isinstance(event, ServiceEvent):
            self._note(event, offset, event.name, event.trial_id, event.text)
        elif isinstance(event, Header):
            self.header = event

    # --- events

    def _start(self, event: StartEvent, offset: int) -> None:
        trial_id = event.trial_id
        known = event.note.get(KNOWN)
        if trial_id == len(self.trials):
            trial = FeedTrial(trial_id, event.config, event.t, is_known=bool(known), begun=offset)
            trial.values = {name: [] for name in self._names}
            self.trials.append(trial)
            self.n_known_trials += trial.is_known
            if _is_sampled(trial_id):
                trial.shown_from = offset
                self._n_shown += 1
            elif self._top is None:
                self._top = sorted(one.best_loss for one in self.trials)[:BEST_CURVES]
        else:
            trial = self.trials[trial_id]
            trial.attempts = event.attempt + 1
            trial.ended = None
            self._counts[TrialStatus(trial.status)] -= 1
        trial.status = TrialStatus.RUNNING
        self._counts[TrialStatus.RUNNING] += 1
        trial.cost_of_run = 0.0
        trial.is_leaving = False
        trial.changed = offset
        if not known:
            self._begin_run(event, offset)
        if event.suggest_time is not None:
            self._decisions.append((trial_id, event.suggest_time))
            self._decision_offsets.append(offset)
        for text in messages(event.note):
            self._note(event, offset, "note", trial_id, text)

    def _begin_run(self, event: StartEvent, offset: int) -> None:
        if event.trial_id in self._open:  # the session that ran it was killed
            self._finish_run(event.trial_id, event.t, offset)
        if not self._free:
            # A backend may give a worker away before the end of its last run is journaled.
            leaving = next((one for one in self._open if self.trials[one].is_leaving), None)
            if leaving is None and self._open and self._n_places >= self._n_workers:
                leaving = next(iter(self._open))  # the oldest: its last report is not journaled yet either
            if leaving is not None:
                self._finish_run(leaving, event.t, offset)
        if not self._free:
            self._free.append(self._n_places)
            self._n_places += 1
        place = heapq.heappop(self._free)
        run = _Run(event.trial_id, event.attempt, 0, place, event.t, offset)
        self._open[event.trial_id] = run
        self._runs.append(run)

    def _finish_run(self, trial_id: int, time: float, offset: int) -> None:
        run = self._open.pop(trial_id, None)
        if run is not None:
            run.finish(time, offset)
            heapq.heappush(self._free, run.place)

    def _retry(self, event: ResultEvent | PhaseEvent, offset: int) -> None:
        """Another try of an interrupted run: another segment in its place."""
        run = self._open[event.trial_id]
        run.finish(event.t, offset)
        again = _Run(run.trial_id, run.attempt, event.retry, run.place, event.t, offset)
        self._open[event.trial_id] = again
        self._runs.append(again)
        self._note(
            event,
            offset,
            "retried",
            event.trial_id,
            f"Run {run.attempt} was started again: try {event.retry}",
        )

    def _phase(self, event: PhaseEvent, offset: int) -> None:
        run = self._open.get(event.trial_id)
        if run is None or run.attempt != event.attempt:
            return
        if event.retry > run.retry:
            self._retry(event, offset)
            run = self._open[event.trial_id]
        run.changed = offset
        if event.warm is not None:
            run.warm = event.warm
        run.finish_phase(event.t)
        run.phases.append({"name": str(event.name), "begin": event.t, "end": None})

    def _result(self, event: ResultEvent, offset: int) -> None:
        trial = self.trials[event.trial_id]
        trial.changed = offset
        if event.cost > trial.cost_of_run:
            self._add_cost(trial, event.cost)
        if event.retry and (run := self._open.get(trial.id)) is not None and event.retry > run.retry:
            self._retry(event, offset)
        if event.decision is not _CONTINUE:
            if event.decision not in ACCEPTED:
                return
            trial.is_leaving = True
            trial.rung = event.resource
        metrics = trial.last = event.metrics
        trial.resources.append(event.resource)
        trial.times.append(event.t)
        trial.offsets.append(offset)
        for name, values in trial.values.items():
            values.append(metrics.get(name))
        self._n_results += 1
        if trial.is_known:
            self.n_known_results += 1
        value = metrics.get(self._first, _NAN)
        loss = -value if self._is_maximised else value
        if loss < trial.best_loss:
            self._improve(trial, loss, event, offset)
        for other in self._other_metrics:
            self._improve_other(other, event)

    def _improve_other(self, metric: Metric, event: ResultEvent) -> None:
        """Keep the best value of a metric other than the first."""
        value = event.metrics.get(metric.name, math.nan)
        known = self._other_bests.get(metric.name)
        if not math.isfinite(value) or (known and metric.loss(value) >= metric.loss(known["value"])):
            return
        if all(bound.is_met(event.metrics) for bound in self._constraints):
            self._other_bests[metric.name] = {
                "metric": metric.name,
                "value": value,
                "trial_id": event.trial_id,
                "resource": event.resource,
            }

    def _improve(self, trial: FeedTrial, loss: float, event: ResultEvent, offset: int) -> None:
        if loss == -math.inf:
            return
        if self._constraints and not all(bound.is_met(event.metrics) for bound in self._constraints):
            return
        value = event.metrics[self._first]
        if self._top is not None and loss < self._top[-1]:
            place = bisect_right(self._top, trial.best_loss) - 1
            is_in = place >= 0 and self._top[place] == trial.best_loss
            del self._top[place if is_in else -1]
            insort(self._top, loss)
            if trial.shown_from == math.inf:
                trial.shown_from = offset
                self._n_shown += 1
        trial.best, trial.best_loss, trial.best_resource = value, loss, event.resource
        if loss < self._best_loss:
            self._best_loss = loss
            self._best.append(
                {
                    "time": event.t,
                    "n_results": self._n_results,
                    "cost": self._cost,
                    "value": value,
                    "trial_id": trial.id,
                }
            )
            self._best_offsets.append(offset)

    def _add_cost(self, trial: FeedTrial, cost_of_run: float) -> None:
        self._cost += cost_of_run - trial.cost_of_run
        trial.cost += cost_of_run - trial.cost_of_run
        trial.cost_of_run = cost_of_run

    def _end(self, event: EndEvent, offset: int) -> None:
        trial = self.trials[event.trial_id]
        if event.cost > trial.cost_of_run:
            self._add_cost(trial, event.cost)
        self._counts[TrialStatus(trial.status)] -= 1
        self._counts[event.status] += 1
        trial.status = event.status
        trial.error = event.error
        trial.ended = event.t
        trial.changed = offset
        self._finish_run(trial.id, event.t, offset)
        if event.status is TrialStatus.FAILED:
            self._note(event, offset, "failed", trial.id, last_line(event.error) or "The trial failed")

    def _session(self, event: SessionEvent, offset: int) -> None:
        if event.is_end:
            kind = "interrupted" if event.outcome == "interrupted" else "session"
            self._note(event, offset, kind, None, f"Session ended: {event.outcome or 'unknown'}")
        else:
            if self._in_session:
                self._note(event, offset, "interrupted", None, "The session before it ended without a line")
            where = f" on {event.host}" if event.host else ""
            self._note(event, offset, "session", None, f"Session began{where}, process {event.pid}")
        self._in_session = not event.is_end

    def _request(self, event: RequestEvent, offset: int) -> None:
        if event.trial_id is not None and event.trial_id < len(self.trials):
            self.trials[event.trial_id].changed = offset
        remark = f" ({event.reason})" if event.reason else ""
        text = event.arguments.get("text")
        kind, shown = "request", f"{_words(event)}{'' if event.done else ': refused'}{remark}"
        if event.action == RequestAction.NOTE and event.done and isinstance(text, str):
            kind, shown = "note", text
            if event.trial_id is None:
                self.note = text
        self._note(event, offset, kind, event.trial_id, shown)
        self.events[-1]["request"] = str(event.arguments.get("request", ""))
        self.events[-1]["refusal"] = "" if event.done else event.reason or "no reason is given"

    def _note(self, event: Event, offset: int, kind: str, trial_id: int | None, text: str) -> None:
        self.events.append(
            {
                "offset": offset,
                "wall": event.wall,
                "time": event.t,
                "kind": kind,
                "trial_id": trial_id,
                "text": text,
                "request": "",
                "refusal": "",
            }
        )
        self._event_offsets.append(offset)

    # --- answers

    @property
    def curve_names(self) -> Sequence[str]:
        """Metrics of the curves: the tuned ones, and those of constraints."""
        return self._names

    @property
    def best(self) -> BestStep | None:
        """The best value so far; None without one."""
        return self._best[-1] if self._best else None

    @property
    def bests(self) -> list[MetricBest]:
        """The best value of each tuned metric that has one, in the order of the metrics."""
        found = [
            self._other_bests[metric.name]
            for metric in self._other_metrics
            if metric.name in self._other_bests
        ]
        if (first := self.best) is None:
            return found
        resource = self.trials[first["trial_id"]].best_resource or 0
        name, value = self._first, first["value"]
        return [
            {"metric": name, "value": value, "trial_id": first["trial_id"], "resource": resource},
            *found,
        ]

    @property
    def totals(self) -> Totals:
        """Counts so far."""
        counts = self._counts
        return {
            "n_trials": len(self.trials),
            "n_running": counts[TrialStatus.RUNNING],
            "n_paused": counts[TrialStatus.PAUSED],
            "n_completed": counts[TrialStatus.COMPLETED],
            "n_stopped": counts[TrialStatus.STOPPED],
            "n_failed": counts[TrialStatus.FAILED],
            "n_results": self._n_results,
            "cost": self._cost,
        }

    @property
    def n_running_known(self) -> int:
        """Running trials whose results are known."""
        return sum(trial.is_known and trial.status == TrialStatus.RUNNING for trial in self.trials)

    @property
    def rungs(self) -> list[int]:
        """Resources at which trials were paused or stopped, ascending."""
        return sorted({trial.rung for trial in self.trials if trial.rung is not None})

    @property
    def decision_times(self) -> list[float]:
        """Seconds of each decision."""
        return [seconds for _, seconds in self._decisions]

    def is_boundary(self, offset: int) -> bool:
        """Return whether an offset is the end of a line that was read, or 0."""
        if not 0 < offset <= self.offset:
            return offset == 0
        try:
            with open_regular(self.path) as file:
                file.seek(offset - 1)
                return file.read(1) == b"\n"
        except OSError:
            return False

    def since(self, after: int) -> Delta:
        """Everything that changed after an offset.

        Parameters
        ----------
        after
            Bytes of the journal that the receiver knows, the offset of an earlier answer; 0: none.
        """
        with self._lock:
            changed = [trial for trial in self.trials if trial.changed > after]
            curves: dict[str, Curve] = {}
            for trial in changed:
                begin = 0 if trial.shown_from > after else bisect_right(trial.offsets, after)
                if trial.shown_from < math.inf and begin < len(trial.offsets):
                    curves[str(trial.id)] = trial.curve(begin)
            is_all = self._n_shown == len(self.trials)
            return {
                "after": after,
                "offset": self.offset,
                "time": self.time,
                "wall": self.wall,
                "trials": [trial.row() for trial in changed],
                "curves": curves,
                "sampled": None if is_all else {"shown": self._n_shown, "of": len(self.trials)},
                "best": self._best[bisect_right(self._best_offsets, after) :],
                "runs": [run.row() for run in self._runs if run.changed > after],
                "events": self.events[bisect_right(self._event_offsets, after) :],
                "decisions": self._decisions[bisect_right(self._decision_offsets, after) :],
                "totals": self.totals,
            }

    def summary(self) -> Summary:
        """The totals and all steps of the best value."""
        with self._lock:
            return {
                "time": self.time,
                "wall": self.wall,
                "best": self._best.copy(),
                "totals": self.totals,
            }

    def events_of(self, trial_id: int) -> list[Event]:
        """Read the events of a trial after its first start from the journal, in order.

        Raises
        ------
        OSError, ValueError
            The journal cannot be read, or is damaged.
        """
        trial = self.trials[trial_id]
        with open_regular(self.path) as file:
            file.seek(trial.begun)
            data = file.read(trial.changed - trial.begun)
        mark = re.compile(rb'"trial_id": ?%d\b' % trial_id)
        lines = [line + b"\n" for line in data.split(b"\n") if mark.search(line)]
        events = [event for event in decode_lines(b"".join(lines)) if not isinstance(event, Header)]
        return [event for event in events if getattr(event, "trial_id", None) == trial_id]

    def curves(self, trial_ids: Sequence[int]) -> dict[str, Curve]:
        """Whole curves by trial; unknown trials are left out."""
        with self._lock:
            return {
                str(trial_id): self.trials[trial_id].curve(0)
                for trial_id in trial_ids
                if 0 <= trial_id < len(self.trials)
            }


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading; a link or a device is refused.

    Raises
    ------
    OSError
        It is missing, not a regular file, or not readable.
    """
    number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    file = os.fdopen(number, "rb")
    if not stat.S_ISREG(os.fstat(number).st_mode):
        file.close()
        raise OSError(f"{path.name} is not a regular file")
    return file


@contextmanager
def _without_garbage_collection() -> Generator[None]:
    """Do not look for garbage while many records are made: it takes a fifth of the time, and finds none."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def finite_or_text(numbers: Mapping[str, float]) -> dict[str, Number]:
    """Numbers by name, as documents have them."""
    return {name: value if math.isfinite(value) else str(value) for name, value in numbers.items()}


def last_line(text: str) -> str:
    """The last line of a text that is not empty."""
    return text.strip().rpartition("\n")[2]


def _words(event: RequestEvent) -> str:
    """A request in words: ``change limits: max_cost 3``, ``try config: lr 0.1, width 64``."""
    given = {name: value for name, value in event.arguments.items() if name != "request"}
    config = given.pop("config", None)
    if isinstance(config, dict):
        given = config | given
    details = ", ".join(f"{name} {value}" for name, value in given.items())
    return event.action.replace("_", " ") + (f": {details}" if details else "")


def _is_sampled(trial_id: int) -> bool:
    """Whether the curve of a trial is sent from its start on: the first ones, then an even sample that thins out."""
    if trial_id < MOST_CURVES:
        return True
    octave = (trial_id // MOST_CURVES).bit_length() - 1
    return trial_id % (MOST_CURVES // _SAMPLE * 2**octave) == 0


def _until_damage(data: bytes) -> tuple[list[Header | Event], str]:
    """The events before a damaged line, and the damage."""
    events: list[Header | Event] = []
    for line in data.split(b"\n")[:-1]:
        try:
            events.append(decode_line(line))
        except ValueError as error:
            return events, str(error)
    return events, ""
