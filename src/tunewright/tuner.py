"""The Tuner: the loop between a scheduler and a backend.

One event at a time: History, the scheduler's handler, the journal line, the backend call; then, while a worker is
free, one suggestion at a time. A process that is killed at any instant can be continued by another one with the same
result.
"""

from __future__ import annotations

import os
import platform
import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic, perf_counter
from types import FrameType
from typing import Final, final

from tunewright.callback_runner import CallbackRunner, CheckpointPolicies
from tunewright.events import ReportDecision
from tunewright.exceptions import ExperimentFailedError, SettingsError, SpaceError, TunewrightError
from tunewright.history import History
from tunewright.interfaces import (
    Backend,
    Callback,
    CheckpointPolicy,
    Scheduler,
    StopDecision,
    StoppingCriterion,
)
from tunewright.journal import Journal
from tunewright.ledger import Ledger
from tunewright.metric import Metric
from tunewright.replicates import ReplicateMeans
from tunewright.requests import (
    ChangeLimits,
    FiledRequest,
    PauseTrial,
    RequestInbox,
    SetWorkers,
    StopExperiment,
    StopTrial,
    TryConfig,
)
from tunewright.trial import (
    BackendSummary,
    Decision,
    Ended,
    ExperimentStatus,
    Reported,
    Start,
    TrialStatus,
)
from tunewright.types import Config

# Looked up once: in Python 3.11 a member of an Enum costs ten times what a global name does.
_REPEAT, _LATE = ReportDecision.REPEAT, ReportDecision.LATE
_PAUSE, _STOP = Decision.PAUSE, Decision.STOP
_END = StopDecision.STOP
_LOOK: Final = 0.5  # real seconds between two looks for requests


class ExperimentControl(ABC):
    """The part of an experiment that requests from outside change: its limits and its stored settings."""

    @abstractmethod
    def full_config(self, config: Config) -> Config:
        """Return a configuration to try with the values that it lacks.

        Raises
        ------
        SpaceError
            It is not one of the search space.
        """

    @abstractmethod
    def criterion(self, changes: Mapping[str, float]) -> StoppingCriterion:
        """Return the stopping criterion with other limits, by their names.

        Raises
        ------
        SettingsError
            They cannot be changed so.
        """

    @abstractmethod
    def store(self, request: ChangeLimits | SetWorkers) -> None:
        """Store the new settings for later sessions; a second time changes nothing."""


@final
class Tuner:
    """Runs an experiment to its end, or continues one.

    Parameters
    ----------
    scheduler
        Decides which trials run.
    backend
        Runs them.
    metrics
        The tuned metrics; every report must hold all of them.
    replicates
        Replaces reported values by means over a trial's replicates; None: results have the reported values.
    stop_when
        Stopping criterion.
    journal
        Receives all events; those that it holds already are replayed first.
    callbacks
        Watch the experiment. One that raises is reported once and switched off.
    checkpoint_policies
        Select the checkpoints that are deleted; without one, all are kept.
    max_failures
        Trials that may fail; one more ends the experiment, with every result kept.
    inbox
        Requests from outside, which are taken between events; None: none are.
    control
        Carries out requests that change the experiment's settings and checks configurations; None: those are refused.

    Examples
    --------
    ::

        tuner = Tuner(scheduler, backend, metrics=[Metric("accuracy", Goal.MAXIMIZE)],
                      stop_when=MaxTrialsStarted(30), journal=FileJournal(path))
        history = tuner.run()
    """

    def __init__(
        self,
        scheduler: Scheduler,
        backend: Backend,
        *,
        metrics: Sequence[Metric],
        replicates: ReplicateMeans | None = None,
        stop_when: StoppingCriterion,
        journal: Journal,
        callbacks: Sequence[Callback] = (),
        checkpoint_policies: Sequence[CheckpointPolicy] = (),
        max_failures: int = 3,
        inbox: RequestInbox | None = None,
        control: ExperimentControl | None = None,
    ) -> None:
        self._scheduler = scheduler
        self._backend = backend
        self._stop_when = stop_when
        self._deadline = stop_when.deadline()
        self._journal = journal
        self._ledger = Ledger(scheduler, journal, metrics, replicates)
        self._history: History = self._ledger.history
        self._now = backend.clock.now  # seconds of the experiment
        self._callbacks = CallbackRunner(callbacks)
        self._policies = CheckpointPolicies(checkpoint_policies)
        self._max_failures = max_failures
        self._inbox = inbox
        self._control = control
        self._next_look = 0.0
        self._is_stopped = False
        self._nothing_to_start = False
        self._too_many_failed = False
        self._interrupted = False

    def run(self) -> History:
        """Run until the stopping criterion says so or nothing is left to run.

        Ctrl-C (or SIGTERM) ends it in order: runs are ended with their checkpoints kept, everything is saved, then
        KeyboardInterrupt is raised. A second one ends it at once.

        Returns
        -------
        History
            Everything observed, an earlier session's part included.

        Raises
        ------
        ExperimentFailedError
            More than ``max_failures`` trials failed.
        KeyboardInterrupt
            It was interrupted.
        JournalError, BackendError
            The journal cannot be written; the backend cannot work at all.
        """
        outcome = ExperimentStatus.FAILED
        try:
            self._backend.clock.resume_at(self._ledger.replay())
            self._ledger.begin_session(self._now(), os.getpid(), platform.node())
            self._callbacks.on_experiment_start(self._history)
            with _orderly_signals(self._interrupt):
                self._backend.attach(self._ledger.open_runs())
                self._remove_checkpoints()
                outcome = self._loop()
        except KeyboardInterrupt:
            outcome = ExperimentStatus.INTERRUPTED
            raise
        finally:
            self._finish(outcome)
        if outcome is ExperimentStatus.INTERRUPTED:
            raise KeyboardInterrupt
        self._raise_if_too_many_failures()
        return self._history

    def _interrupt(self) -> None:
        self._interrupted = True

    def _loop(self) -> ExperimentStatus:
        """Handle events until the end; return the outcome."""
        self._count_failures()
        self._take_requests()
        self._fill()
        while True:
            if self._interrupted:
                self._callbacks.on_interrupt(self._history)
                return ExperimentStatus.INTERRUPTED
            if self._too_many_failed:
                return ExperimentStatus.FAILED
            if self._is_stopped or self._stop_decision() is _END:
                return ExperimentStatus.STOPPED
            if self._nothing_to_start and not self._history.ids(TrialStatus.RUNNING):
                return ExperimentStatus.COMPLETED
            events = self._backend.wait(self._patience())
            for event in events:
                if isinstance(event, Reported):
                    self._handle_report(event)
                elif isinstance(event, Ended):
                    self._handle_end(event)
                else:
                    self._ledger.phase(event, self._now())
                    continue
                self._fill()
            if self._take_requests() or not events:
                self._fill()
            for notice in self._backend.service_notices():
                self._ledger.service(notice, self._now())
            self._callbacks.on_tick(self._history, self._now(), self._backend)

    def _stop_decision(self) -> StopDecision:
        return self._stop_when.check(self._history, self._now())

    def _patience(self) -> float:
        """How long to wait for the next event, in seconds of the backend's clock."""
        left = self._deadline - self._now()
        return min(left, self._backend.clock.max_wait) if left > 0 else 0.0

    def _fill(self) -> None:
        """Begin runs while a worker is free; after nothing was suggested, ask no more until an event."""
        while not self._nothing_to_start and not self._interrupted and self._backend.free_workers() > 0:
            decision = self._stop_decision()
            if decision is _END or self._too_many_failed or self._is_stopped:
                return
            before = perf_counter()
            may_start = decision is not StopDecision.NO_NEW_TRIALS
            suggestion = self._ledger.next_requested(may_start=may_start)
            if suggestion is None and (may_start or self._scheduler.resumable(self._history)):
                suggestion = self._scheduler.suggest(self._history)
            suggest_time = perf_counter() - before
            self._backend.clock.charge(suggest_time)
            refused = isinstance(suggestion, Start) and not may_start
            if suggestion is None or refused:
                self._nothing_to_start = True
                return
            run = self._ledger.begin(suggestion, self._now(), suggest_time)
            self._backend.start(run, self._history.trial(run.trial_id).config)
            self._callbacks.on_trial_start(self._history, run)
            self._take_requests()  # such as fewer workers, while very many are filled

    def _handle_report(self, event: Reported) -> None:
        handled = self._ledger.report(event, self._now())
        if handled is None:
            return
        self._nothing_to_start = False
        decision, result, verdict = handled
        if decision is _REPEAT or decision is _LATE:
            return
        if verdict.decision is _PAUSE:
            self._backend.pause(event.trial_id)
        elif verdict.decision is _STOP:
            self._backend.stop(event.trial_id)
        if result is not None:
            self._callbacks.on_trial_result(self._history, event.trial_id, result, verdict)

    def _handle_end(self, event: Ended) -> None:
        status = self._ledger.end(event, self._now())
        if status is None:
            return
        self._nothing_to_start = False
        self._count_failures()
        self._callbacks.on_trial_end(self._history, event.trial_id, status)
        self._remove_checkpoints()

    def _take_requests(self) -> bool:
        """Carry out the requests from outside that wait, at most every half a second; return whether there was one."""
        if self._inbox is None or monotonic() < self._next_look:
            return False
        self._next_look = monotonic() + _LOOK
        requests = self._inbox.read()
        for filed in requests:
            self._take(filed)
            self._inbox.remove(filed)
        if requests:
            self._nothing_to_start = False
        return bool(requests)

    def _take(self, filed: FiledRequest) -> None:
        """Journal a request, then carry it out; of one that an earlier session has journaled only the settings are left."""
        event = self._ledger.taken(filed.id)
        is_new = event is None
        criterion: StoppingCriterion | None = None
        refusal = ""
        if event is None or event.done:
            try:
                filed, criterion = self._prepared(filed)
            except (SettingsError, SpaceError) as error:
                refusal = str(error)
        if event is None:
            event = self._ledger.request(filed, self._now(), refusal)
        if event.done and not refusal:
            self._carry_out(filed, criterion, is_new=is_new)
        if is_new:
            self._callbacks.on_request(self._history, event)

    def _prepared(self, filed: FiledRequest) -> tuple[FiledRequest, StoppingCriterion | None]:
        """A request with a full configuration, and the stopping criterion of new limits; nothing is started by it."""
        request, control = filed.request, self._control
        if not isinstance(request, TryConfig | ChangeLimits | SetWorkers):
            return filed, None
        if control is None:
            raise SettingsError("The tuner cannot change the experiment's settings")
        if isinstance(request, TryConfig):
            if self._stop_decision() is not StopDecision.CONTINUE:
                raise SettingsError("The limits allow no further trial: raise them first")
            config = dict(control.full_config(request.config))
            return filed._replace(request=TryConfig(config=config, reason=request.reason)), None
        if isinstance(request, ChangeLimits):
            return filed, control.criterion(request.changes)
        self._backend.set_workers(request.n_workers)
        return filed, None

    def _carry_out(self, filed: FiledRequest, criterion: StoppingCriterion | None, *, is_new: bool) -> None:
        request = filed.request
        if criterion is not None:
            self._stop_when = criterion
            self._deadline = criterion.deadline()
        if isinstance(request, ChangeLimits | SetWorkers) and self._control is not None:
            self._control.store(request)
        if not is_new:
            return  # a resume has carried out the verdict on the trial already
        if isinstance(request, StopTrial):
            self._backend.stop(request.trial_id)
        elif isinstance(request, PauseTrial):
            self._backend.pause(request.trial_id)
        elif isinstance(request, StopExperiment):
            self._is_stopped = True

    def _remove_checkpoints(self) -> None:
        """Delete the checkpoints that the policies select."""
        if self._policies.is_empty:
            return
        history, running = self._history, self._history.ids(TrialStatus.RUNNING)
        sources = {history.run(trial_id).from_checkpoint for trial_id in running}
        resumable = [history.checkpoint(trial_id) for trial_id in sorted(self._scheduler.resumable(history))]
        paused = [c for c in resumable if c is not None and c not in sources]
        withdrawn = [i for i in history.ids(TrialStatus.PAUSED) if history.is_withdrawn(i)]
        needed = {*sources, *paused, *map(history.checkpoint, (*running, *withdrawn))}
        unneeded = [c for c in self._ledger.checkpoints if c not in needed]
        for checkpoint in self._policies.select_unneeded(history, unneeded):
            self._backend.delete_checkpoint(checkpoint)
            self._ledger.forget(checkpoint)
        for checkpoint in self._policies.select_paused(history, paused):
            self._ledger.drop(checkpoint, self._now())
            self._backend.delete_checkpoint(checkpoint)

    def _count_failures(self) -> None:
        self._too_many_failed = len(self._history.ids(TrialStatus.FAILED)) > self._max_failures

    def _raise_if_too_many_failures(self) -> None:
        if self._too_many_failed:
            failed = list(self._history.ids(TrialStatus.FAILED))
            raise ExperimentFailedError(len(failed), self._max_failures, self._history.error(failed[-1]))

    def _finish(self, outcome: ExperimentStatus) -> None:
        """Close the backend, notify the callbacks, close the journal, each also after an error of another."""
        try:
            self._backend.close()
        finally:
            try:
                summary = self._backend.summary()
                self._flush(outcome)
                self._callbacks.on_experiment_end(self._history, outcome, summary)
                self._close_session(outcome, summary)
            finally:
                self._journal.close()

    def _flush(self, outcome: ExperimentStatus) -> None:
        """Write held-back lines, so that callbacks read a whole journal."""
        try:
            self._journal.flush()
        except TunewrightError:
            if outcome is not ExperimentStatus.FAILED:
                raise

    def _close_session(self, outcome: ExperimentStatus, summary: BackendSummary) -> None:
        try:
            self._ledger.end_session(self._now(), outcome, summary)
        except TunewrightError:
            if outcome is not ExperimentStatus.FAILED:
                raise


@contextmanager
def _orderly_signals(interrupt: Callable[[], None]) -> Generator[None]:
    """Let the first SIGINT or SIGTERM call ``interrupt`` and the second raise KeyboardInterrupt.

    Only the main thread may do that; elsewhere signals stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    seen: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if seen:
            raise KeyboardInterrupt
        seen.append(number)
        interrupt()

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
