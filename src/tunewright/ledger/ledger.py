"""What the Tuner and AskTell do with suggestions and events: filter, judge, journal, replay.

For each event the order is: History, handler, journal line (then the caller does what the verdict asks for). A killed
process therefore loses at most an effect, never a fact: the backend delivers again what has no line, and the replay
gives the scheduler back what has one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, final

from tunewright.exceptions import IllegalTransitionError, SettingsError
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.journal import Journal
from tunewright.ledger.book import Book, TrialRecord
from tunewright.ledger.replay import Replay
from tunewright.ledger.reports import checkpoint_line, clean_metrics, missing_metric, numbers_only
from tunewright.metric import Metric
from tunewright.trial import (
    Checkpoint,
    Decision,
    Ended,
    OpenRun,
    PhaseChange,
    Reported,
    Result,
    Resume,
    Run,
    Start,
    TrialStatus,
    Verdict,
)

_log = logging.getLogger(__name__)


class Kind(StrEnum):
    """What became of a report. The values of a journal line's ``decision`` where the scheduler was not asked."""

    ACCEPTED = "accepted"
    REPEAT = "repeat"
    """Its resource is not above the highest accepted one: counted, and its cost."""
    LATE = "late"
    """It came after a PAUSE or STOP."""
    INVALID = "invalid"
    """It lacks a tuned metric: the trial is ended as failed."""


# Looked up once: in Python 3.11 a member of an Enum costs ten times what a global name does, and each report needs several.
_ACCEPTED = Kind.ACCEPTED
_CONTINUE = Decision.CONTINUE
_RUNNING = TrialStatus.RUNNING


class Handled(NamedTuple):
    """What the ledger made of a report."""

    kind: Kind
    result: Result
    verdict: Verdict


@final
class Ledger:
    """The only writer of History.

    Parameters
    ----------
    scheduler
        Who is asked.
    journal
        Where every line goes; what it holds already is replayed by :meth:`replay`.
    metrics
        The tuned metrics, which every report must hold.

    Examples
    --------
    One trial, driven by hand::

        ledger = Ledger(scheduler, MemoryJournal(), (Metric("loss"),))
        run = ledger.begin(Start(config={"lr": 0.1}), now=0.0)
        handled = ledger.report(Reported(trial_id=0, attempt=0, seq=1, resource=1, metrics={"loss": 2.0}), now=1.0)
        handled.verdict.decision  # Decision.CONTINUE
        ledger.end(Ended(trial_id=0, attempt=0, exit=0), now=2.0)  # TrialStatus.COMPLETED
    """

    def __init__(self, scheduler: Scheduler, journal: Journal, metrics: Sequence[Metric]) -> None:
        if not metrics:
            raise SettingsError("At least one metric is needed: what should be tuned?")
        self._scheduler = scheduler
        self._journal = journal
        self._metrics = tuple(metrics)
        self._book = Book()
        self._records = self._book.records
        self._checkpoints: dict[Checkpoint, None] = {}
        self._warned: set[str] = set()

    @property
    def history(self) -> History:
        """Everything observed so far."""
        return self._book

    @property
    def book(self) -> Book:
        """The same, for those who write it."""
        return self._book

    @property
    def checkpoints(self) -> Sequence[Checkpoint]:
        """Checkpoints that runs have left and that were not forgotten."""
        return tuple(self._checkpoints)

    def forget(self, checkpoint: Checkpoint) -> None:
        """Take a removed checkpoint off the list."""
        self._checkpoints.pop(checkpoint, None)

    def drop(self, checkpoint: Checkpoint, now: float) -> None:
        """Write that a paused trial's checkpoint is given up: the trial begins from scratch, should it be resumed."""
        self.forget(checkpoint)
        record = self._book.record(checkpoint.trial_id)
        if record.checkpoint == checkpoint:
            record.checkpoint = None
        self._write("drop", now, {"trial_id": checkpoint.trial_id, "resource": checkpoint.resource})

    def replay(self) -> float:
        """Read the journal into History and through the scheduler's handlers; return the last line's time."""
        replay = Replay(self._book, self._scheduler)
        for line in self._journal.lines():
            replay.apply(line)
        self._checkpoints.update(dict.fromkeys(replay.checkpoints))
        return replay.time

    def open_runs(self) -> Sequence[OpenRun]:
        """Runs that were begun and have not ended, in the order of their trials' ids."""
        return [
            _open_run(self._book.record(trial_id)) for trial_id in sorted(self._book.ids(TrialStatus.RUNNING))
        ]

    def phase(self, event: PhaseChange, now: float) -> None:
        """Journal that a run entered a phase; History does not change."""
        line = {
            "trial_id": event.trial_id,
            "attempt": event.attempt,
            "retry": event.retry,
            "worker": event.worker,
            "name": str(event.name),
            "warm": event.warm,
        }
        self._write("phase", now, line)

    def session(self, event: str, now: float, facts: Mapping[str, Any]) -> None:
        """Journal that a process begins (``"begin"``) or ends (``"end"``) its work on the experiment."""
        self._write("session", now, {"event": event, **facts})

    def begin(self, suggestion: Start | Resume, now: float, suggest_time: float = 0.0) -> Run:
        """Begin the run that a scheduler suggested.

        Raises
        ------
        IllegalTransitionError
            A trial was to be resumed that is not paused.
        """
        run = self._next_run(suggestion)
        if isinstance(suggestion, Start):
            self._book.begin_trial(suggestion.config)
        else:
            self._book.move(run.trial_id, TrialStatus.RUNNING)
        self._book.begin_run(run, suggestion.note, now)
        line = {
            "trial_id": run.trial_id,
            "attempt": run.attempt,
            "config": dict(self._book.trial(run.trial_id).config),
            "until": run.until,
            "from_checkpoint": checkpoint_line(run.from_checkpoint),
            "note": dict(suggestion.note),
            "suggest_time": suggest_time,
        }
        self._write("start", now, line)
        self._scheduler.on_trial_start(self._book, run)
        return run

    def _next_run(self, suggestion: Start | Resume) -> Run:
        if isinstance(suggestion, Start):
            trial_id, attempt, source = self._book.n_trials, 0, suggestion.from_checkpoint
        else:
            trial_id = suggestion.trial_id
            record = self._book.record(trial_id)
            if record.status is not TrialStatus.PAUSED:
                raise IllegalTransitionError(trial_id, record.status, TrialStatus.RUNNING)
            attempt, source = len(record.runs), record.checkpoint
        return Run(
            trial_id=trial_id,
            attempt=attempt,
            until=suggestion.until,
            resume_from=source.resource if source else 0,
            from_checkpoint=source,
        )

    def report(self, event: Reported, now: float) -> Handled | None:
        """Take in a report.

        Returns
        -------
        Handled or None
            None where it is of an older attempt or was delivered before: nothing happened.
        """
        record = self._current(event.trial_id, event.attempt)
        if record is None or event.seq <= record.seen.get(event.retry, 0):
            return None
        record.seen[event.retry] = event.seq
        if event.cost:
            self._book.add_cost(event.trial_id, event.cost)
        kind, result, verdict = handled = self._judge(record, event, now)
        self._journal.append(
            {
                "kind": "result",
                "t": now,
                "wall": time.time(),
                "trial_id": event.trial_id,
                "attempt": event.attempt,
                "retry": event.retry,
                "seq": event.seq,
                "resource": event.resource,
                "metrics": result.metrics,
                "decision": str(verdict.decision if kind is _ACCEPTED else kind),
                "reason": verdict.reason,
                "cost": event.cost,
            }
        )
        return handled

    def _judge(self, record: TrialRecord, event: Reported, now: float) -> Handled:
        metrics = clean_metrics(event.metrics)
        if metrics is None:
            metrics = numbers_only(event.metrics, self._warn_once)
        result = Result(metrics=metrics, resource=event.resource, time=now)
        if record.pending is not None:
            record.late.append(result)
            return Handled(Kind.LATE, result, record.pending)
        if event.resource <= record.highest:
            return Handled(Kind.REPEAT, result, Verdict(decision=Decision.CONTINUE))
        missing = missing_metric(self._metrics, metrics, event.metrics)
        if missing:
            record.invalid = missing
            record.pending = Verdict(decision=Decision.STOP, reason=missing)
            record.pending_at = now
            return Handled(Kind.INVALID, result, record.pending)
        self._book.add_result(event.trial_id, result)
        verdict = self._scheduler.on_trial_result(self._book, event.trial_id, result)
        record.decision = verdict.decision
        if verdict.decision is not _CONTINUE:
            record.pending, record.pending_at = verdict, now
        return Handled(_ACCEPTED, result, verdict)

    def end(self, event: Ended, now: float) -> TrialStatus | None:
        """Take in the end of a run.

        Returns
        -------
        TrialStatus or None
            The trial's new status; None where the run is not its newest one: nothing happened.
        """
        record = self._current(event.trial_id, event.attempt)
        if record is None:
            return None
        status, error = _judge_end(record, event)
        record.error = error
        if event.checkpoint is not None:
            record.checkpoint = event.checkpoint
            self._checkpoints[event.checkpoint] = None
        self._book.add_cost(event.trial_id, event.cost)
        self._book.move(event.trial_id, status)
        self._scheduler.on_trial_end(self._book, event.trial_id, status)
        line = {
            "trial_id": event.trial_id,
            "attempt": event.attempt,
            "status": str(status),
            "error": error,
            "cost": event.cost,
            "checkpoint": checkpoint_line(event.checkpoint),
        }
        self._write("end", now, line)
        return status

    def _current(self, trial_id: int, attempt: int) -> TrialRecord | None:
        if trial_id >= len(self._records):
            return None
        record = self._records[trial_id]
        is_current = record.status is _RUNNING and record.runs[-1].attempt == attempt
        return record if is_current else None

    def _write(self, kind: str, now: float, facts: Mapping[str, Any]) -> None:
        self._journal.append({"kind": kind, "t": now, "wall": time.time(), **facts})

    def _warn_once(self, key: str, text: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            _log.warning("%s", text)


def _judge_end(record: TrialRecord, event: Ended) -> tuple[TrialStatus, str]:
    """The status that an end leads to, and the error where it is FAILED."""
    if record.invalid:
        return TrialStatus.FAILED, record.invalid
    if record.pending is not None:
        paused = record.pending.decision is Decision.PAUSE
        return (TrialStatus.PAUSED if paused else TrialStatus.STOPPED), ""
    if event.exit != 0:
        return TrialStatus.FAILED, event.error or f"The script ended with exit code {event.exit}"
    if not record.results:
        cause = "The script ended without a single report of its metrics: does it call Reporter?"
        return TrialStatus.FAILED, f"{cause}\n{event.error}".rstrip()
    return TrialStatus.COMPLETED, ""


def _open_run(record: TrialRecord) -> OpenRun:
    retry = max(record.seen, default=0)
    return OpenRun(
        run=record.runs[-1],
        config=record.trial.config,
        started_at=record.started_at,
        retry=retry,
        seen=record.seen.get(retry, 0),
        seen_resource=record.highest,
        verdict=record.pending,
        verdict_at=record.pending_at,
    )
