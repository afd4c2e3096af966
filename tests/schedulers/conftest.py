from __future__ import annotations

from collections.abc import Callable

import pytest

from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.journal import MemoryJournal
from tunewright.ledger import Ledger
from tunewright.metric import Metric
from tunewright.trial import (
    Checkpoint,
    Decision,
    Ended,
    Reported,
    Resume,
    Run,
    Start,
    TrialStatus,
    Verdict,
)


class Hand:
    """Drives a scheduler by hand; the loss is the metric."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self._ledger = Ledger(scheduler, MemoryJournal(), (Metric("loss"),))
        self._seq: dict[int, int] = {}

    @property
    def history(self) -> History:
        return self._ledger.history

    def suggest(self) -> Start | Resume | None:
        return self.scheduler.suggest(self.history)

    def begin(self) -> Run:
        suggestion = self.suggest()
        assert suggestion is not None
        run = self._ledger.begin(suggestion, 0.0)
        self._seq[run.trial_id] = 0
        return run

    def report(self, trial_id: int, resource: int, loss: float) -> Verdict:
        self._seq[trial_id] += 1
        event = Reported(
            trial_id=trial_id,
            attempt=self.history.run(trial_id).attempt,
            seq=self._seq[trial_id],
            resource=resource,
            metrics={"loss": loss},
        )
        handled = self._ledger.report(event, 0.0)
        assert handled is not None
        return handled.verdict

    def end(self, trial_id: int, exit_code: int = 0) -> TrialStatus:
        last = self.history.last(trial_id)
        event = Ended(
            trial_id=trial_id,
            attempt=self.history.run(trial_id).attempt,
            exit=exit_code,
            checkpoint=Checkpoint(trial_id=trial_id, resource=last.resource) if last else None,
        )
        status = self._ledger.end(event, 0.0)
        assert status is not None
        return status

    def pause_at(self, resource: int, *losses: float) -> list[int]:
        """Begin new trials, then let all of them pause at ``resource``."""
        runs = [self.begin() for _ in losses]
        assert all(run.attempt == 0 for run in runs)
        for run, loss in zip(runs, losses, strict=True):
            assert self.report(run.trial_id, resource, loss).decision is Decision.PAUSE
            assert self.end(run.trial_id) is TrialStatus.PAUSED
        return [run.trial_id for run in runs]


@pytest.fixture
def hand() -> Callable[[Scheduler], Hand]:
    return Hand
