"""EngineBackend: the Backend contract on a job service and a channel."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tunewright.backends.engine.context import EngineContext
from tunewright.backends.engine.event_queue import EventQueue
from tunewright.backends.engine.job_service import JobStatus, name_taken
from tunewright.backends.engine.outcomes import Outcome, Outcomes
from tunewright.backends.engine.tracked_run import RunPhase, TrackedRun
from tunewright.clock import Clock, WallClock
from tunewright.exceptions import BackendError, RequestError
from tunewright.interfaces import BackendEvent
from tunewright.runner.channel import PAUSE, RELEASE, STOP
from tunewright.trial import BackendSummary, Checkpoint, OpenRun, Run, ServiceNotice
from tunewright.types import Config


class Dispatcher(ABC):
    """Carries runs out: a job each, or workers that take run after run.

    It changes the runs that it is given, by their own methods, and returns nothing else: results come through the channel.
    """

    capacity: int
    """Runs at the same time."""
    n_instances: int
    """Instances wanted at the same time."""

    @abstractmethod
    def queue(self, run: Run, config: Config) -> TrackedRun:
        """A new run, queued."""

    @abstractmethod
    def attach(self, runs: Sequence[OpenRun], statuses: Mapping[str, JobStatus]) -> list[TrackedRun]:
        """The runs that an earlier session left open, with the jobs and messages that exist of them.

        Parameters
        ----------
        runs
            From the journal.
        statuses
            All jobs of the experiment, by key.

        Raises
        ------
        BackendError
            The runs cannot be listed.
        """

    @abstractmethod
    def step(self, runs: Collection[TrackedRun]) -> None:
        """Begin queued runs, send requests, and look at jobs and messages, as far as it is time.

        Raises
        ------
        BackendError
            No job can be created or seen.
        """

    @abstractmethod
    def next_at(self, runs: Collection[TrackedRun]) -> float:
        """Monotonic second of the next step."""

    @abstractmethod
    def set_capacity(self, n_runs: int) -> None:
        """Change the number of runs at the same time."""

    @abstractmethod
    def is_free(self, run: TrackedRun) -> bool:
        """Whether the worker of a run that ends can take the next one."""

    @abstractmethod
    def ended(self, run: TrackedRun, outcome: Outcome) -> None:
        """Take note of a run's outcome."""

    @abstractmethod
    def costs(self, runs: Collection[TrackedRun]) -> Mapping[str, float]:
        """Billed seconds so far of the jobs that have not ended, by key."""

    @abstractmethod
    def wind_down(self, *, is_late: bool) -> bool:
        """End the jobs that outlive runs; whether any is left.

        Parameters
        ----------
        is_late
            Whether to stop them by force.
        """

    @abstractmethod
    def release(self, runs: Sequence[TrackedRun]) -> None:
        """Send the requests of runs, and let jobs that outlive runs end, without waiting for anything."""

    @abstractmethod
    def open_jobs(self, runs: Collection[TrackedRun]) -> list[str]:
        """Full names of the jobs that may be running."""

    def close(self) -> None:
        """Free what the dispatcher holds; no request is sent. Default: nothing."""


class EngineBackend(ABC):  # noqa: B024 - of no use without the constructor of an engine's backend
    """Runs trials as jobs of an engine. Everything happens in the calling thread, in :meth:`wait`.

    It implements all methods of :class:`~tunewright.interfaces.Backend`; the backend of an engine inherits from both, and
    has nothing but a constructor.

    Parameters
    ----------
    context
        Jobs, channel and costs of the experiment; closed with the backend.
    dispatcher
        Carries the runs out.
    """

    def __init__(self, context: EngineContext[Any], dispatcher: Dispatcher) -> None:
        self.clock: Clock = WallClock()
        self._context = context
        self._dispatcher = dispatcher
        self._queue = EventQueue(context.inbox)
        self._outcomes = Outcomes(context)
        self._earlier_job = ""
        """Full name of a job that was there at :meth:`attach`."""
        self._taken = ""
        """Error of a new experiment whose name is taken."""
        self._is_interrupted = False
        self._is_closed = False

    def attach(self, runs: Sequence[OpenRun]) -> None:
        """Prepare the engine, then find the runs' jobs and messages with one listing each.

        Raises
        ------
        BackendError
            The storage or the jobs cannot be used, or another experiment has jobs of this name.
        """
        statuses = self._context.open(self._dispatcher.n_instances)
        self._check_age(runs, statuses)
        for run in self._dispatcher.attach(runs, statuses):
            self._queue.add(run)
            self._withdraw_unbegun(run)

    def start(self, run: Run, config: Config) -> None:
        """Queue the run; it begins in :meth:`wait`, as soon as the engine has room for it."""
        if self._earlier_job and _is_first(run):
            self._taken = name_taken(self._earlier_job)
        self._queue.add(self._dispatcher.queue(run, config))

    def pause(self, trial_id: int) -> None:
        """Ask the run to end; its checkpoint is kept."""
        self._request(trial_id, PAUSE)

    def stop(self, trial_id: int) -> None:
        """Ask the run to end."""
        self._request(trial_id, STOP)

    def free_workers(self) -> int:
        """Workers without a run; a run keeps its worker until its job has ended."""
        return max(0, self._dispatcher.capacity - len(self._queue.runs))

    def set_workers(self, n_workers: int) -> None:
        """Change the number of runs at the same time."""
        self._dispatcher.set_capacity(n_workers)

    def wait(self, timeout: float) -> Sequence[BackendEvent]:
        """Begin runs, send requests, and look at messages and jobs until there are events.

        Raises
        ------
        BackendError
            Credentials, permissions or a quota of zero make all work impossible, jobs fail one after the other, or the
            experiment's name is taken.
        KeyboardInterrupt
            It was interrupted: from then on :meth:`close` does not wait for anything.
        """
        if self._taken:
            raise BackendError(self._taken)
        deadline = time.monotonic() + timeout
        try:
            while True:
                self._step()
                if self._queue.has_events or time.monotonic() >= deadline:
                    return self._queue.take_events()
                self._sleep(deadline)
        except KeyboardInterrupt:
            self._is_interrupted = True
            raise

    def delete_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Remove a checkpoint; a failure is a notice, not an error."""
        try:
            self._context.channel.checkpoints.delete(checkpoint)
        except RequestError as error:
            self._context.notices.add(
                f"A checkpoint of trial {checkpoint.trial_id} cannot be deleted ({error})"
            )

    def service_notices(self) -> Sequence[ServiceNotice]:
        """Throttling, retries, interruptions and waiting since the last call, at most one of a kind in a minute."""
        return self._context.notices.take_events()

    def summary(self) -> BackendSummary:
        """Jobs, calls, seconds and dollars; after :meth:`close` as the engine billed them."""
        return self._context.costs.summary(self._dispatcher.costs(self._queue.runs))

    def close(self) -> None:
        """End all jobs so that their runs can be continued, release idle instances, settle the bill.

        After an interruption of :meth:`wait` the requests to end are only sent; an interruption of this method ends it at
        once as well. A notice then names the jobs that are left running.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._is_interrupted:
                self._leave()
            else:
                self._end_all()
                self._context.settle_costs()
        except KeyboardInterrupt:
            self._note_left("WARNING: closed at once, before these jobs have ended")
            raise
        except (BackendError, RequestError) as error:
            self._context.notices.add(f"WARNING: jobs or warm pools may be left running ({error})")
        finally:
            self._dispatcher.close()
            self._context.jobs.close()

    def _check_age(self, runs: Sequence[OpenRun], statuses: Mapping[str, JobStatus]) -> None:
        """Raise an error for jobs that are older than the experiment's first run: another experiment has created them."""
        if not statuses:
            return
        oldest = min(statuses, key=lambda key: statuses[key].created)
        self._earlier_job = self._context.jobs.full_name(oldest)
        first = next((one for one in runs if _is_first(one.run)), None)
        if first and statuses[oldest].created < first.started_wall - self._context.channel.skew:
            raise BackendError(name_taken(self._earlier_job))

    def _request(self, trial_id: int, request: str) -> None:
        """Note a request; a run that has not begun ends at once."""
        run = self._queue.find(trial_id)
        if run is not None:
            run.ask(request)
            self._withdraw_unbegun(run)

    def _withdraw_unbegun(self, run: TrackedRun) -> None:
        if run.request and run.phase is RunPhase.QUEUED:
            run.withdraw()
            self._queue.finish(run, run.never_began())

    def _step(self) -> None:
        """Everything that is due now; data flows from the channel through the queue to the outcomes."""
        self._dispatcher.step(self._queue.runs)
        self._queue.read()
        if overdue := self._queue.overdue():
            with self._context.suppress_transient():
                self._queue.search(overdue)
        for run in self._queue.ending():
            if self._dispatcher.is_free(run):
                with self._context.suppress_transient():
                    self._settle(run)

    def _settle(self, run: TrackedRun) -> None:
        outcome = self._outcomes.resolve(run)
        self._dispatcher.ended(run, outcome)
        self._queue.finish(run, outcome.result)

    def _sleep(self, deadline: float) -> None:
        """Sleep until the next step, not beyond ``deadline``."""
        now = time.monotonic()
        next_at = min(deadline, now + self.clock.max_wait, self._dispatcher.next_at(self._queue.runs))
        time.sleep(max(0.0, next_at - now))

    def _end_all(self) -> None:
        """Ask all runs to end so that they can be continued, and wait for their jobs a bounded time."""
        for run in list(self._queue.runs):
            if run.phase is RunPhase.QUEUED:
                self._queue.drop(run)
            else:
                run.ask(RELEASE)
        patience = self._context.time.patience(self._context.settings.close_seconds, answers=2)
        deadline = time.monotonic() + patience
        is_left = self._dispatcher.wind_down(is_late=False)
        while (self._queue.runs or is_left) and time.monotonic() < deadline:
            self._step()
            is_left = self._dispatcher.wind_down(is_late=time.monotonic() > deadline - patience / 2)
            if self._queue.runs or is_left:
                self._sleep(deadline)
        if self._queue.runs or is_left:
            self._note_left("WARNING: these jobs have not ended")

    def _leave(self) -> None:
        """Send requests to end to all jobs, without waiting for anything."""
        try:
            runs = [run for run in self._queue.runs if run.may_run]
            for run in runs:
                run.ask(RELEASE)
            self._dispatcher.release(runs)
        finally:
            self._note_left("WARNING: closed at once, before these jobs have ended, which were asked to end")

    def _note_left(self, text: str) -> None:
        """Add a notice that names the jobs that may be running, and be billed."""
        left = self._dispatcher.open_jobs(self._queue.runs)
        settings = self._context.settings
        pools = (
            " Warm pools are kept, and billed, until their time is over." if settings.keeps_instances else ""
        )
        if left or pools:
            self._context.notices.add(f"{text}: {', '.join(left) or 'none'}.{pools} {settings.cleanup_hint}")


def _is_first(run: Run) -> bool:
    """Whether a run is the first one of its experiment."""
    return (run.trial_id, run.attempt) == (0, 0)
