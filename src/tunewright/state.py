"""The state behind History, and the only code that changes it: :meth:`State.apply`.

A tuner decides, writes the event's line, and applies it; a resume applies the lines. Both go through the same methods, so
that History after a resume equals History before it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, cast, final

from typing_extensions import override

from tunewright.events import (
    ACCEPTED,
    DropEvent,
    EndEvent,
    Event,
    ReportDecision,
    RequestAction,
    RequestEvent,
    ResultEvent,
    StartEvent,
)
from tunewright.exceptions import IllegalTransitionError, JournalError
from tunewright.history import History
from tunewright.trial import (
    LEGAL_TRANSITIONS,
    OUTSIDE,
    REQUEST,
    Checkpoint,
    Decision,
    OpenRun,
    Result,
    Run,
    Trial,
    TrialStatus,
    Verdict,
)
from tunewright.types import Config, Note

# Looked up once: in Python 3.11 a member of an Enum costs ten times what a global name does.
_RUNNING: Final = TrialStatus.RUNNING
_CONTINUE, _LATE, _INVALID = ReportDecision.CONTINUE, ReportDecision.LATE, ReportDecision.INVALID

_ENDING: Final[Mapping[str, Decision]] = {
    RequestAction.STOP_TRIAL: Decision.STOP,
    RequestAction.PAUSE_TRIAL: Decision.PAUSE,
}
"""Verdict on a running trial by the request of a user."""


@dataclass(slots=True)
class TrialRecord:
    """Everything about one trial. Written by :class:`State` alone."""

    trial: Trial
    status: TrialStatus
    runs: list[Run] = field(default_factory=list[Run])
    notes: list[Note] = field(default_factory=list[Note])
    started_at: float = 0.0
    started_wall: float = 0.0
    """Experiment time of the newest run's start."""
    results: list[Result] = field(default_factory=list[Result])
    late: list[Result] = field(default_factory=list[Result])
    decision: Decision | None = None
    highest: int = 0
    """Highest accepted resource."""
    seen: dict[int, int] = field(default_factory=dict[int, int])
    """Of the newest run: retry -> highest seq."""
    pending: Verdict | None = None
    """PAUSE or STOP that the newest run has not ended with yet."""
    pending_at: float | None = None
    invalid: str = ""
    """Why the newest run is being ended as failed."""
    is_withdrawn: bool = False
    """A user has paused or stopped it, and the scheduler has not taken it back."""
    is_outside: bool = False
    """The newest run is not judged by the scheduler."""
    cost_of_run: float = 0.0
    checkpoint: Checkpoint | None = None
    error: str = ""


def config_key(config: Config) -> frozenset[tuple[str, object]]:
    """Equal for equal configurations."""
    return frozenset(config.items())


@final
class State(History):
    """History, with the methods that change it; only the ledger calls these."""

    def __init__(self) -> None:
        self._records: list[TrialRecord] = []
        self._runs: list[Run] = []
        self._ids: dict[TrialStatus, dict[int, None]] = {status: {} for status in TrialStatus}
        self._configs: set[frozenset[tuple[str, object]]] = set()
        self._results: list[tuple[int, Result]] = []
        self._wanted: dict[str, int | Config] = {}
        self._n_added = 0
        self._cost = 0.0
        self._time = 0.0

    # --- reading: History

    @property
    @override
    def n_trials(self) -> int:
        return len(self._records)

    @property
    @override
    def n_suggested(self) -> int:
        return len(self._records) - self._n_added

    @property
    @override
    def n_runs(self) -> int:
        return len(self._runs)

    @property
    @override
    def n_results(self) -> int:
        return len(self._results)

    @property
    @override
    def runs(self) -> Sequence[Run]:
        return self._runs

    @property
    @override
    def cost(self) -> float:
        return self._cost

    @override
    def trial(self, trial_id: int) -> Trial:
        return self._records[trial_id].trial

    @override
    def status(self, trial_id: int) -> TrialStatus:
        return self._records[trial_id].status

    @override
    def ids(self, status: TrialStatus) -> Collection[int]:
        return self._ids[status].keys()

    @override
    def is_withdrawn(self, trial_id: int) -> bool:
        return self._records[trial_id].is_withdrawn

    @override
    def run(self, trial_id: int) -> Run:
        return self._records[trial_id].runs[-1]

    @override
    def until(self, trial_id: int) -> int | None:
        return self._records[trial_id].runs[-1].until

    @override
    def note(self, trial_id: int, attempt: int | None = None) -> Note:
        return self._records[trial_id].notes[-1 if attempt is None else attempt]

    @override
    def results(self, trial_id: int) -> Sequence[Result]:
        return self._records[trial_id].results

    @override
    def late(self, trial_id: int) -> Sequence[Result]:
        return self._records[trial_id].late

    @override
    def last(self, trial_id: int) -> Result | None:
        results = self._records[trial_id].results
        return results[-1] if results else None

    @override
    def decision(self, trial_id: int) -> Decision | None:
        return self._records[trial_id].decision

    @override
    def checkpoint(self, trial_id: int) -> Checkpoint | None:
        return self._records[trial_id].checkpoint

    @override
    def error(self, trial_id: int) -> str:
        return self._records[trial_id].error

    @override
    def contains(self, config: Config) -> bool:
        return config_key(config) in self._configs

    @override
    def results_since(self, k: int) -> Sequence[tuple[int, Result]]:
        return self._results[k:]

    # --- reading: the ledger

    @property
    def time(self) -> float:
        """Experiment time of the newest event."""
        return self._time

    @property
    def wanted(self) -> Mapping[str, int | Config]:
        """Runs that users asked for and that have not begun, oldest first: request -> trial to resume, or configuration to try."""
        return self._wanted

    def record(self, trial_id: int) -> TrialRecord:
        """The record of a trial, for reading."""
        return self._records[trial_id]

    def current(self, trial_id: int, attempt: int) -> TrialRecord | None:
        """The record of a trial if this attempt is its newest run and has not ended, else None."""
        if trial_id >= len(self._records):
            return None
        record = self._records[trial_id]
        is_current = record.status is _RUNNING and record.runs[-1].attempt == attempt
        return record if is_current else None

    def open_runs(self) -> Sequence[OpenRun]:
        """Runs that have begun and not ended, in the order of their trials' ids."""
        return [_open_run(self._records[trial_id]) for trial_id in sorted(self._ids[_RUNNING])]

    # --- writing

    def apply(self, event: Event) -> None:
        """Change History by an event as it stands in the journal.

        Raises
        ------
        IllegalTransitionError
            The trial's status does not allow the event.
        ValueError, IndexError
            The event does not fit the ones before it.
        """
        self.observe(event)
        self.settle(event)

    def observe(self, event: Event) -> None:
        """Take in the facts of an event: everything but a verdict.

        Between this and :meth:`settle` the scheduler is asked about a result; for other events nothing is left.
        """
        self._time = max(self._time, event.t)
        kind = type(event)
        if kind is ResultEvent:
            self._observe_report(cast("ResultEvent", event))
        elif kind is StartEvent:
            self._start(cast("StartEvent", event))
        elif kind is EndEvent:
            self._end(cast("EndEvent", event))
        elif kind is DropEvent:
            self._drop(cast("DropEvent", event).checkpoint)

    def settle(self, event: Event) -> None:
        """Apply the verdict of an observed event: a result's decision, or a request of a user."""
        if isinstance(event, ResultEvent):
            self._settle_report(event)
        elif isinstance(event, RequestEvent) and event.done:
            self._settle_request(event)

    def _settle_request(self, event: RequestEvent) -> None:
        number, trial_id, action = str(event.arguments.get("request", "")), event.trial_id, event.done
        if action == RequestAction.TRY_CONFIG:
            self._wanted[number] = cast("Config", event.arguments["config"])
        elif trial_id is not None and action == RequestAction.RESUME_TRIAL:
            self._wanted[number] = trial_id
        elif trial_id is not None and action in _ENDING:
            record = self._records[trial_id]
            record.is_withdrawn = True
            self._await_end(record, _ENDING[action], event.reason, event.t)

    def _start(self, event: StartEvent) -> None:
        source = event.from_checkpoint
        run = Run(
            trial_id=event.trial_id,
            attempt=event.attempt,
            until=event.until,
            resume_from=source.resource if source else 0,
            from_checkpoint=source,
        )
        if run.attempt == 0:
            self._add_trial(run.trial_id, event.config)
        else:
            self._move(run.trial_id, _RUNNING)
        record = self._records[run.trial_id]
        record.runs.append(run)
        record.notes.append(event.note)
        record.started_at = event.t
        record.started_wall = event.wall
        record.seen = {}
        record.pending = record.pending_at = None
        record.invalid = ""
        record.is_outside = record.is_withdrawn = OUTSIDE in event.note
        record.cost_of_run = 0.0
        self._runs.append(run)
        if REQUEST in event.note:
            self._n_added += run.attempt == 0
            self._wanted.pop(str(event.note[REQUEST]), None)

    def _add_trial(self, trial_id: int, config: Config) -> None:
        if trial_id != len(self._records):
            raise ValueError(f"trial {trial_id} begins, and the next one is {len(self._records)}")
        trial = Trial(id=trial_id, config=config)
        self._records.append(TrialRecord(trial=trial, status=_RUNNING))
        self._configs.add(config_key(config))
        self._ids[_RUNNING][trial_id] = None

    def _observe_report(self, event: ResultEvent) -> None:
        record = self._records[event.trial_id]
        record.seen[event.retry] = event.seq
        if event.cost:
            self._add_cost(record, event.cost)
        decision = event.decision
        if decision in ACCEPTED:
            result = Result(metrics=event.metrics, resource=event.resource, time=event.t)
            record.results.append(result)
            record.highest = event.resource
            self._results.append((event.trial_id, result))
        elif decision is _LATE:
            record.late.append(Result(metrics=event.metrics, resource=event.resource, time=event.t))

    def _settle_report(self, event: ResultEvent) -> None:
        decision = event.decision
        if decision is _CONTINUE:
            self._records[event.trial_id].decision = Decision.CONTINUE
        elif decision in ACCEPTED:
            record = self._records[event.trial_id]
            record.decision = Decision(decision)
            self._await_end(record, record.decision, event.reason, event.t)
        elif decision is _INVALID:
            record = self._records[event.trial_id]
            record.invalid = event.reason
            self._await_end(record, Decision.STOP, event.reason, event.t)

    def _await_end(self, record: TrialRecord, decision: Decision, reason: str, time: float) -> None:
        record.pending = Verdict(decision=decision, reason=reason)
        record.pending_at = time

    def _end(self, event: EndEvent) -> None:
        record = self._records[event.trial_id]
        record.error = event.error
        if event.checkpoint is not None:
            record.checkpoint = event.checkpoint
        self._add_cost(record, event.cost)
        self._move(event.trial_id, event.status)

    def _drop(self, checkpoint: Checkpoint) -> None:
        record = self._records[checkpoint.trial_id]
        if record.checkpoint == checkpoint:
            record.checkpoint = None

    def _add_cost(self, record: TrialRecord, cost_of_run: float) -> None:
        """Set the cost of the newest run so far; a lower figure than before changes nothing."""
        if cost_of_run > record.cost_of_run:
            self._cost += cost_of_run - record.cost_of_run
            record.cost_of_run = cost_of_run

    def _move(self, trial_id: int, status: TrialStatus) -> None:
        record = self._records[trial_id]
        if status not in LEGAL_TRANSITIONS[record.status]:
            raise IllegalTransitionError(trial_id, record.status, status)
        del self._ids[record.status][trial_id]
        self._ids[status][trial_id] = None
        record.status = status


def _open_run(record: TrialRecord) -> OpenRun:
    retry = max(record.seen, default=0)
    return OpenRun(
        run=record.runs[-1],
        config=record.trial.config,
        started_at=record.started_at,
        started_wall=record.started_wall,
        retry=retry,
        seen=record.seen.get(retry, 0),
        seen_resource=record.highest,
        verdict=record.pending,
        verdict_at=record.pending_at,
    )


def replay_history(events: Iterable[Event]) -> History:
    """Rebuild History from the events of a journal.

    Raises
    ------
    JournalError
        The events do not fit together.
    """
    state = State()
    for event in events:
        with_fit(state.apply, event)
    return state


def with_fit(apply: Callable[[Event], None], event: Event) -> None:
    """Apply a journaled event; report one that does not fit as damage of the journal.

    Raises
    ------
    JournalError
        It does not fit the ones before it.
    """
    try:
        apply(event)
    except (LookupError, TypeError, ValueError, AttributeError, IllegalTransitionError) as error:
        raise JournalError(
            f"A journal line of kind {event.kind!r}, at {event.t} s, does not fit: {error!r}. The file was changed "
            "or damaged: restore it from a copy, or keep the lines before this one and resume (tunewright repair)"
        ) from error
