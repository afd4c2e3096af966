"""The contracts: Searcher, Scheduler, Backend, StoppingCriterion, Callback, CheckpointPolicy. Nothing else.

``tunewright.testing`` holds a suite for each of them that every implementation passes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import IntEnum
from typing import TypeAlias, final

from tunewright.clock import Clock
from tunewright.history import History
from tunewright.trial import (
    BackendSummary,
    Checkpoint,
    Ended,
    ExperimentStatus,
    OpenRun,
    PhaseChange,
    Reported,
    Result,
    Resume,
    Run,
    Start,
    Suggestion,
    TrialStatus,
    Verdict,
)
from tunewright.types import Config


class Searcher(ABC):
    """Chooses which configuration comes next."""

    @abstractmethod
    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        """Propose the configuration of trial number ``history.n_trials``.

        A query: the same history gives the same answer, and asking changes nothing.

        Parameters
        ----------
        history
            Everything observed so far, pending trials included.
        until
            The resource up to which the trial will run first; None: to the end.

        Returns
        -------
        Suggestion or None
            None when the space holds no further configuration.
        """


class Scheduler(ABC):
    """Decides which trial runs, and for how long.

    ``suggest`` is a query. State changes in the ``on_*`` handlers only; they never fit a model, and a resume replays
    them from the journal, in the same order.
    """

    @abstractmethod
    def suggest(self, history: History) -> Start | Resume | None:
        """Propose what a free worker should do; None: nothing until something happens.

        Whether the proposal is carried out is seen in :meth:`on_trial_start`; it may be refused by a stopping
        criterion. Asked again with the same history, the answer is the same.
        """

    @abstractmethod
    def on_trial_start(self, history: History, run: Run) -> None:
        """A run has been begun: ``history`` holds it, and its note as ``history.note(run.trial_id)``."""

    @abstractmethod
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """A result was accepted: it is the last of ``history.results(trial_id)``. Say how the trial goes on."""

    @abstractmethod
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """The trial's run is over and ``history`` has its new status.

        PAUSED: its checkpoint is whole, it may be resumed. COMPLETED: its last result counts for the rung that it
        was running to, and it is never resumed. STOPPED, FAILED: it never runs again.
        """

    @abstractmethod
    def resumable(self, history: History) -> Collection[int]:
        """Paused trials that may still be resumed: their checkpoints are kept. A live view."""


BackendEvent: TypeAlias = Reported | Ended | PhaseChange
"""An event that :meth:`Backend.wait` returns."""


class Backend(ABC):
    """Runs trials. The number of workers, grace periods and the like are settings of the implementation.

    An implementation sets :attr:`clock` and implements the seven abstract methods.
    """

    clock: Clock
    """Seconds of the experiment."""

    @abstractmethod
    def start(self, run: Run, config: Config) -> None:
        """Start a run on a free worker. Never blocks, never raises for infrastructure."""

    @abstractmethod
    def attach(self, runs: Sequence[OpenRun]) -> None:
        """Carry on with all these runs after a crash of the tuner, as if nothing had been.

        Called once, before anything else; with an empty sequence for a new experiment. Carries out pending
        verdicts, adopts what still runs, starts what is absent, and begins a retry of a run that was cut without
        a verdict. Reports that the tuner has seen already may be delivered again.
        """

    @abstractmethod
    def pause(self, trial_id: int) -> None:
        """End the trial's run and keep its checkpoint. ``Ended`` follows. Nothing to do if it ended already."""

    @abstractmethod
    def stop(self, trial_id: int) -> None:
        """End the trial's run. ``Ended`` follows. Nothing to do if it ended already."""

    @abstractmethod
    def free_workers(self) -> int:
        """Workers on which a run may be started now; starting, stopping and queued runs keep theirs busy."""

    @abstractmethod
    def wait(self, timeout: float) -> Sequence[BackendEvent]:
        """Block until something happened, at most ``timeout`` seconds of :attr:`clock`.

        Returns
        -------
        sequence of Reported, Ended and PhaseChange
            In time order; empty after a time-out. An ``Ended`` is the last event of its run, and comes once. A
            ``PhaseChange`` is optional: it is journaled for timelines and changes nothing else, and it may come again
            after a restart of the tuner.
        """

    @abstractmethod
    def close(self) -> None:
        """End the runs (checkpoints stay, so that a later session continues them) and release all resources."""

    def delete_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint; no effect if it is absent. By default nothing is removed."""

    def summary(self) -> BackendSummary:
        """Jobs, calls, seconds and cost so far; by default an empty summary."""
        return BackendSummary()

    def logs(self, trial_id: int) -> str:
        """The output of the trial's runs, oldest first; by default empty."""
        del trial_id
        return ""


class StopDecision(IntEnum):
    """The answer of a stopping criterion; ``|`` of criteria is the maximum, ``&`` the minimum."""

    CONTINUE = 0
    NO_NEW_TRIALS = 1
    """No new trials; paused ones may be resumed and running ones go on."""
    STOP = 2
    """End the experiment now."""


class StoppingCriterion(ABC):
    """Decides when an experiment ends."""

    def __or__(self, other: StoppingCriterion) -> StoppingCriterion:
        """Combine: the strictest of both."""
        return _Combined(max, (self, other))

    def __and__(self, other: StoppingCriterion) -> StoppingCriterion:
        """Combine: what both agree to."""
        return _Combined(min, (self, other))

    @abstractmethod
    def check(self, history: History, now: float) -> StopDecision:
        """Say how the experiment goes on.

        Parameters
        ----------
        history
            Everything observed so far.
        now
            Seconds on the experiment's clock.
        """

    def deadline(self) -> float:
        """Experiment time at which it will say STOP whatever happens; ``inf`` where there is none."""
        return math.inf


@final
class _Combined(StoppingCriterion):
    """Two criteria: the maximum of what they say ends at the earlier deadline, the minimum at the later one."""

    def __init__(
        self, choose: Callable[[Iterable[StopDecision]], StopDecision], both: Sequence[StoppingCriterion]
    ) -> None:
        self._choose = choose
        self._both = both

    def check(self, history: History, now: float) -> StopDecision:
        first, second = self._both
        return self._choose((first.check(history, now), second.check(history, now)))

    def deadline(self) -> float:
        first, second = self._both
        ends = first.deadline(), second.deadline()
        return min(ends) if self._choose is max else max(ends)


class Callback(ABC):  # noqa: B024 - every hook is optional
    """Watches an experiment. A callback that raises is reported once and switched off; the experiment goes on."""

    def on_experiment_start(self, history: History) -> None:
        """The experiment begins, or goes on after a resume; ``history`` holds what was replayed."""

    def on_trial_start(self, history: History, run: Run) -> None:
        """A run was started."""

    def on_trial_result(self, history: History, trial_id: int, result: Result, verdict: Verdict) -> None:
        """A result was accepted and judged."""

    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """A trial's run is over."""

    def on_wait(self, history: History, now: float, summary: BackendSummary) -> None:
        """The Tuner looks round: after each wait, at most about once a second of real time."""

    def on_experiment_end(self, history: History, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        """The experiment's session is over.

        Parameters
        ----------
        history
            Everything observed.
        outcome
            COMPLETED, STOPPED, INTERRUPTED or FAILED.
        summary
            The backend's summary after it was closed.
        """


class CheckpointPolicy(ABC):  # noqa: B024 - both methods have a default
    """Decides which checkpoints are deleted. The Tuner asks after the end of each run and after a resume.

    A policy that raises is reported once and switched off. Checkpoints that are not selected by any policy are kept.
    """

    def select_unneeded(self, history: History, unneeded: Sequence[Checkpoint]) -> Iterable[Checkpoint]:
        """Select from the checkpoints that no running, resumable or copied trial needs; by default none."""
        del history, unneeded
        return ()

    def select_paused(self, history: History, paused: Sequence[Checkpoint]) -> Iterable[Checkpoint]:
        """Select from the newest checkpoints of paused trials that may be resumed; by default none.

        A trial whose checkpoint is deleted starts from scratch if it is resumed.
        """
        del history, paused
        return ()
