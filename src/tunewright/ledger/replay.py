"""From journal lines back to History, and through a scheduler's handlers to its state."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import final

from tunewright.exceptions import IllegalTransitionError, JournalError
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.journal import Line
from tunewright.ledger.book import Book
from tunewright.ledger.reports import checkpoint_of
from tunewright.trial import Checkpoint, Decision, Result, Run, TrialStatus, Verdict

_log = logging.getLogger(__name__)


@final
class Replay:
    """Applies journal lines in their order.

    The recorded verdict wins over what the scheduler says now; a difference is a warning, once.

    Parameters
    ----------
    book
        Where History is written; empty at first.
    scheduler
        Whose handlers are called; None to rebuild History alone.
    """

    def __init__(self, book: Book, scheduler: Scheduler | None) -> None:
        self._book = book
        self._scheduler = scheduler
        self._differed = False
        self.checkpoints: list[Checkpoint] = []
        """All that were left by ended runs."""
        self.time = 0.0
        """Experiment time of the last line."""

    def apply(self, line: Line) -> None:
        """Apply one line.

        Raises
        ------
        JournalError
            The line does not fit the ones before it.
        """
        try:
            self.time = max(self.time, float(line["t"]))
            if line["kind"] == "start":
                self._start(line)
            elif line["kind"] == "result":
                self._result(line)
            elif line["kind"] == "end":
                self._end(line)
            elif line["kind"] == "drop":
                self._drop(Checkpoint(trial_id=line["trial_id"], resource=line["resource"]))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, IllegalTransitionError) as error:
            raise JournalError(
                f"A journal line of kind {line['kind']!r}, at {line.get('t')} s, does not fit: {error!r}. The file was changed "
                "or damaged: restore it from a copy, or keep the lines before this one and resume"
            ) from error

    def _start(self, line: Line) -> None:
        source = checkpoint_of(line["from_checkpoint"])
        run = Run(
            trial_id=line["trial_id"],
            attempt=line["attempt"],
            until=line["until"],
            resume_from=source.resource if source else 0,
            from_checkpoint=source,
        )
        if run.attempt == 0:
            self._book.begin_trial(line["config"])
        else:
            self._book.move(run.trial_id, TrialStatus.RUNNING)
        self._book.begin_run(run, line["note"], float(line["t"]))
        if self._scheduler is not None:
            self._scheduler.on_trial_start(self._book, run)

    def _result(self, line: Line) -> None:
        trial_id, decision = line["trial_id"], line["decision"]
        record = self._book.record(trial_id)
        record.seen[line["retry"]] = line["seq"]
        self._book.add_cost(trial_id, float(line["cost"]))
        metrics = {name: float(value) for name, value in line["metrics"].items()}
        result = Result(metrics=metrics, resource=line["resource"], time=float(line["t"]))
        if decision == "late":
            record.late.append(result)
        elif decision == "invalid":
            record.invalid = line["reason"]
            record.pending = Verdict(decision=Decision.STOP, reason=line["reason"])
            record.pending_at = result.time
        elif decision != "repeat":
            self._accepted(trial_id, result, Verdict(decision=Decision(decision), reason=line["reason"]))

    def _accepted(self, trial_id: int, result: Result, recorded: Verdict) -> None:
        self._book.add_result(trial_id, result)
        if self._scheduler is not None:
            self._compare(trial_id, self._scheduler.on_trial_result(self._book, trial_id, result), recorded)
        record = self._book.record(trial_id)
        record.decision = recorded.decision
        if recorded.decision is not Decision.CONTINUE:
            record.pending, record.pending_at = recorded, result.time

    def _compare(self, trial_id: int, verdict: Verdict, recorded: Verdict) -> None:
        if verdict.decision is not recorded.decision and not self._differed:
            self._differed = True
            _log.warning(
                "The scheduler says %s to a report of trial %d, the journal says %s: was the method changed? "
                "The journal wins.",
                verdict.decision,
                trial_id,
                recorded.decision,
            )

    def _end(self, line: Line) -> None:
        trial_id, status = line["trial_id"], TrialStatus(line["status"])
        record = self._book.record(trial_id)
        record.error = line["error"]
        checkpoint = checkpoint_of(line["checkpoint"])
        if checkpoint is not None:
            record.checkpoint = checkpoint
            self.checkpoints.append(checkpoint)
        self._book.add_cost(trial_id, float(line["cost"]))
        self._book.move(trial_id, status)
        if self._scheduler is not None:
            self._scheduler.on_trial_end(self._book, trial_id, status)

    def _drop(self, checkpoint: Checkpoint) -> None:
        """It stays on the list: if the process died before it was removed, it is removed now, as nobody needs it."""
        record = self._book.record(checkpoint.trial_id)
        if record.checkpoint == checkpoint:
            record.checkpoint = None


def replay_history(lines: Iterable[Line]) -> History:
    """Rebuild History from journal lines (the header, if among them, is passed over).

    Raises
    ------
    JournalError
        The lines do not fit together.
    """
    book = Book()
    replay = Replay(book, None)
    for line in lines:
        if line.get("kind") != "experiment":
            replay.apply(line)
    return book
