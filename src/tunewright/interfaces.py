"""The contracts: Searcher, Scheduler, Backend, StoppingCriterion, Callback, CheckpointPolicy. Nothing else.

``tunewright.testing`` holds a suite for each of them that every implementation passes.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import IntEnum
from typing import TypeAlias, final

from typing_extensions import override

from tunewright.clock import Clock
from tunewright.events import RequestEvent
from tunewright.exceptions import SettingsError
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
    ServiceNotice,
    Start,
    Suggestion,
    TrialStatus,
    Verdict,
)
from tunewright.types import Config


class Searcher(ABC):
    """Chooses the configuration of the next trial."""

    @abstractmethod
    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        """Propose the configuration of trial number ``history.n_trials``.

        A query: the same history gives the same answer, and asking changes nothing.

        Parameters
        ----------
        history
            Everything observed so far, pending trials included.
        until
            Resource of the trial's first rung, in the benchmark's units; None: the trial runs to its end.

        Returns
        -------
        Suggestion or None
            None if the space is exhausted.
        """


class Scheduler(ABC):
    """Decides which trial runs, and for how long.

    ``suggest`` is a query. State changes in the ``on_*`` handlers only; they never fit a model, and a resume replays
    them from the journal, in the same order.

    Examples
    --------
    Successive halving with one rung: each trial pauses after one epoch, and the better half of the paused trials runs on.
    The state is a set of trials, which follows from the handlers' calls; a resume rebuilds it by the same calls::

        class Halving(Scheduler):
            def __init__(self, searcher: Searcher, metric: Metric) -> None:
                self._searcher = searcher
                self._metric = metric
                self._waiting = {}  # losses of paused trials

            def suggest(self, history: History) -> Start | Resume | None:
                best = sorted(self._waiting, key=self._waiting.__getitem__)[: len(self._waiting) // 2]
                if best:
                    return Resume(trial_id=best[0])  # no state changes here: on_trial_start follows
                suggestion = self._searcher.suggest(history, until=1)
                if suggestion is None:
                    return None
                return Start(config=suggestion.config, until=1, note={"searcher": dict(suggestion.note)})

            def on_trial_start(self, history: History, run: Run) -> None:
                self._waiting.pop(run.trial_id, None)

            def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
                at_rung = history.until(trial_id) is not None and result.resource >= 1
                return Verdict(decision=Decision.PAUSE, reason="rung 1") if at_rung else CONTINUE

            def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
                if status is TrialStatus.PAUSED:  # the checkpoint is whole now
                    self._waiting[trial_id] = self._metric.loss_of(history.last(trial_id).metrics)

            def resumable(self, history: History) -> Collection[int]:
                return self._waiting.keys()

    The Tuner calls, for two trials on one worker: ``suggest`` (Start), ``on_trial_start``, ``on_trial_result`` (PAUSE),
    ``on_trial_end`` (PAUSED), the same for the second trial, then ``suggest`` (Resume of the better one),
    ``on_trial_start``, ``on_trial_result`` (CONTINUE) for each further epoch, ``on_trial_end`` (COMPLETED).

    **Requests of a user.** A running trial that a user pauses ends as STOPPED for its scheduler: it keeps the places that it
    has, but no rung waits for it, and it is not resumable. ``history.status`` is PAUSED meanwhile, and
    ``history.is_withdrawn`` is true. When the user resumes it, :meth:`resume_requested` says how the scheduler takes it back; by
    default it does not. A configuration that a user adds begins as :meth:`start_requested` says; by default it is refused.
    """

    @abstractmethod
    def suggest(self, history: History) -> Start | Resume | None:
        """Propose the next run for a free worker; None: nothing to run until the next event.

        :meth:`on_trial_start` follows if the proposal is carried out; a stopping criterion may refuse it. With the same
        history the answer is the same. The Tuner does not ask if no new trial may start and no trial is :meth:`resumable`.
        """

    @abstractmethod
    def on_trial_start(self, history: History, run: Run) -> None:
        """A run begins: ``history`` holds it, and its note as ``history.note(run.trial_id)``."""

    @abstractmethod
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """Judge an accepted result, the last of ``history.results(trial_id)``."""

    @abstractmethod
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """The trial's run is over and ``history`` has the trial's new status.

        PAUSED: its checkpoint is whole, and it may be resumed. COMPLETED: its last result counts for the rung that it
        was running to, and it is never resumed. STOPPED, FAILED: it never runs again.
        """

    @abstractmethod
    def resumable(self, history: History) -> Collection[int]:
        """Paused trials that may still be resumed: their checkpoints are kept. A live view."""

    def start_requested(self, history: History, config: Config) -> Start | None:
        """Propose how a configuration that a user has added begins as the next trial. A query, as :meth:`suggest`.

        Returns
        -------
        Start or None
            None (the default): the method has no place for it.
        """
        del history, config
        return None

    def resume_requested(self, history: History, trial_id: int) -> Resume | None:
        """Propose how a trial that a user had paused goes on, now that the user resumes it. A query, as :meth:`suggest`.

        Returns
        -------
        Resume or None
            None (the default): the trial has lost its place. It runs to the script's own end, and no handler is called for
            this run; its results are in ``history``.
        """
        del history, trial_id
        return None


BackendEvent: TypeAlias = Reported | Ended | PhaseChange
"""An event that :meth:`Backend.wait` returns."""


class Backend(ABC):
    """Runs trials. The number of workers, grace periods and the like are settings of the implementation.

    An implementation sets :attr:`clock` and implements the seven abstract methods. The output of trials is read through
    the backend's plugin (:meth:`tunewright.backends.plugin.BackendPlugin.logs`), also while no backend exists.
    """

    clock: Clock
    """Seconds of the experiment."""

    @abstractmethod
    def start(self, run: Run, config: Config) -> None:
        """Start a run on a free worker. Never blocks; an infrastructure error is reported by ``Ended``, not raised."""

    @abstractmethod
    def attach(self, runs: Sequence[OpenRun]) -> None:
        """Continue all these runs after a crash of the tuner.

        Called once, before all other methods; with an empty sequence for a new experiment. Carries out pending
        verdicts, adopts live runs, starts absent ones, and begins a retry of a run that was cut without a verdict.
        Reports that the tuner has handled already may be delivered again.
        """

    @abstractmethod
    def pause(self, trial_id: int) -> None:
        """End the trial's run and keep its checkpoint. ``Ended`` follows. No effect if the run ended already."""

    @abstractmethod
    def stop(self, trial_id: int) -> None:
        """End the trial's run. ``Ended`` follows. No effect if the run ended already."""

    @abstractmethod
    def free_workers(self) -> int:
        """Workers on which a run may be started now; starting, stopping and queued runs keep theirs busy."""

    @abstractmethod
    def wait(self, timeout: float) -> Sequence[BackendEvent]:
        """Block until there is an event, at most ``timeout`` seconds of :attr:`clock`.

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

    def set_workers(self, n_workers: int) -> None:
        """Change the number of workers, >= 1. Running runs go on; fewer or more are started from now on.

        Raises
        ------
        SettingsError
            It cannot be changed while the backend works; the default.
        """
        raise SettingsError(f"This backend cannot change its number of workers to {n_workers} while it works")

    def service_notices(self) -> Sequence[ServiceNotice]:
        """Events of the service since the last call, for the journal's readers; none by default."""
        return ()

    def summary(self) -> BackendSummary:
        """Jobs, calls, seconds and cost so far; by default an empty summary."""
        return BackendSummary()


class StopDecision(IntEnum):
    """The answer of a stopping criterion; ``|`` of criteria is the maximum, ``&`` the minimum."""

    CONTINUE = 0
    NO_NEW_TRIALS = 1
    """Start no new trial; paused ones may be resumed and running ones continue."""
    STOP = 2
    """End the experiment now."""


class StoppingCriterion(ABC):
    """Decides when an experiment ends."""

    def __or__(self, other: StoppingCriterion) -> StoppingCriterion:
        """Combine: the strictest decision of both."""
        return _Combined(max, (self, other))

    def __and__(self, other: StoppingCriterion) -> StoppingCriterion:
        """Combine: the mildest decision of both."""
        return _Combined(min, (self, other))

    @abstractmethod
    def check(self, history: History, now: float) -> StopDecision:
        """Decide whether the experiment continues.

        Parameters
        ----------
        history
            Everything observed so far.
        now
            Seconds on the experiment's clock.
        """

    def deadline(self) -> float:
        """Experiment time, in seconds, from which on the decision is STOP in any case; ``inf`` if there is none."""
        return math.inf


@final
class _Combined(StoppingCriterion):
    """Two criteria: their maximum ends at the earlier deadline, their minimum at the later one."""

    def __init__(
        self, choose: Callable[[Iterable[StopDecision]], StopDecision], both: Sequence[StoppingCriterion]
    ) -> None:
        self._choose = choose
        self._both = both

    @override
    def check(self, history: History, now: float) -> StopDecision:
        first, second = self._both
        return self._choose((first.check(history, now), second.check(history, now)))

    @override
    def deadline(self) -> float:
        first, second = self._both
        ends = first.deadline(), second.deadline()
        return min(ends) if self._choose is max else max(ends)


class Callback(ABC):  # noqa: B024 - every hook is optional
    """Watches an experiment. A callback that raises is reported once and switched off; the experiment continues."""

    def on_experiment_start(self, history: History) -> None:
        """The experiment begins or is resumed; ``history`` holds the replayed events."""

    def on_trial_start(self, history: History, run: Run) -> None:
        """A run has started."""

    def on_trial_result(self, history: History, trial_id: int, result: Result, verdict: Verdict) -> None:
        """A result was accepted and judged."""

    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """A trial's run is over."""

    def on_request(self, history: History, request: RequestEvent) -> None:
        """A user's request from outside was carried out or refused."""

    def on_wait(self, history: History, now: float, summary: BackendSummary) -> None:
        """Called after a wait of the Tuner, at most about once a second of real time."""

    def on_interrupt(self, history: History) -> None:
        """Ctrl-C or SIGTERM was seen; the running trials are ended now, which may take their grace."""

    def on_experiment_end(self, history: History, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        """The experiment's session is over.

        Parameters
        ----------
        history
            All events.
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
        return ()

    def select_paused(self, history: History, paused: Sequence[Checkpoint]) -> Iterable[Checkpoint]:
        """Select from the newest checkpoints of paused trials that may be resumed; by default none.

        A trial whose checkpoint is deleted starts from scratch if it is resumed.
        """
        return ()
