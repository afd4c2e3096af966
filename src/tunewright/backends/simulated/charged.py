"""Real seconds of deciding, counted on the simulated clock."""

from __future__ import annotations

from collections.abc import Collection
from time import perf_counter
from typing import final

from tunewright.clock import SimulatedClock
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.trial import Result, Resume, Run, Start, TrialStatus, Verdict


@final
class ChargedScheduler(Scheduler):
    """A scheduler whose suggestions cost simulated time: as many seconds as they really take.

    Meanwhile nothing is handled, as in a real experiment, where one process decides. Runs cannot be repeated exactly
    any more, since a machine never takes the same time twice.

    Parameters
    ----------
    scheduler
        Decides.
    clock
        Of the backend.
    """

    def __init__(self, scheduler: Scheduler, clock: SimulatedClock) -> None:
        self._scheduler = scheduler
        self._clock = clock

    def suggest(self, history: History) -> Start | Resume | None:
        """The scheduler's suggestion; the clock moves by the time that it took."""
        before = perf_counter()
        suggestion = self._scheduler.suggest(history)
        self._clock.advance_to(self._clock.now() + perf_counter() - before)
        return suggestion

    def on_trial_start(self, history: History, run: Run) -> None:
        """Pass it on."""
        self._scheduler.on_trial_start(history, run)

    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """Pass it on."""
        return self._scheduler.on_trial_result(history, trial_id, result)

    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Pass it on."""
        self._scheduler.on_trial_end(history, trial_id, status)

    def resumable(self, history: History) -> Collection[int]:
        """Those of the scheduler."""
        return self._scheduler.resumable(history)
