"""One run in a backend, from its start to its end: its phase, its stop request and its cost so far.

The phases and their transitions::

    QUEUED <-> UNCONFIRMED -> RUNNING <-> ENDING -> OVER -> CLOSED
       |            |            |                 ^          ^
       +------------+------------+--> WITHDRAWN ---+----------+
       +------------+---------------> REJECTED ---------------+

:class:`TrackedRun` is the only code that changes them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from enum import Enum, IntEnum
from typing import Final, final

from tunewright.backends.engine.job_service import JobName, JobOrder, JobState, JobStatus
from tunewright.backends.engine.run_meter import Overheads, RunMeter
from tunewright.exceptions import TunewrightError
from tunewright.runner.channel import EXITED, PAUSE, RELEASE, STOP, TERMINATED, UNTIL, End, Report
from tunewright.trial import Checkpoint, Decision, Ended, OpenRun, PhaseChange, PhaseName, Reported, Run

_FINAL_CAUSES: Final = frozenset({EXITED, UNTIL, PAUSE, STOP})
"""Causes of an end after which no retry follows."""


_ORDER: Final = {name: number for number, name in enumerate(PhaseName)}


class RunPhase(Enum):
    """Phase of a run in its backend."""

    QUEUED = "queued"
    """It has no job, and no worker was offered it."""
    UNCONFIRMED = "unconfirmed"
    """It may have a job: the request to create it got no answer."""
    RUNNING = "running"
    """It has a job, or was offered to workers."""
    ENDING = "ending"
    """Its end message arrived; its job has not ended yet."""
    OVER = "over"
    """Its job has ended, or no worker has it any more."""
    WITHDRAWN = "withdrawn"
    """It was taken back before it began."""
    REJECTED = "rejected"
    """The engine will never accept its job."""
    CLOSED = "closed"
    """Its outcome is known: an end, or a retry, which is another TrackedRun."""


TRANSITIONS: Final[Mapping[RunPhase, frozenset[RunPhase]]] = {
    RunPhase.QUEUED: frozenset(
        {RunPhase.UNCONFIRMED, RunPhase.RUNNING, RunPhase.REJECTED, RunPhase.WITHDRAWN}
    ),
    RunPhase.UNCONFIRMED: frozenset(
        {RunPhase.QUEUED, RunPhase.RUNNING, RunPhase.REJECTED, RunPhase.WITHDRAWN}
    ),
    RunPhase.RUNNING: frozenset({RunPhase.ENDING, RunPhase.OVER, RunPhase.WITHDRAWN}),
    RunPhase.ENDING: frozenset({RunPhase.RUNNING, RunPhase.OVER}),
    RunPhase.OVER: frozenset({RunPhase.CLOSED}),
    RunPhase.WITHDRAWN: frozenset({RunPhase.OVER, RunPhase.CLOSED}),
    RunPhase.REJECTED: frozenset({RunPhase.CLOSED}),
    RunPhase.CLOSED: frozenset(),
}
"""The phases that may follow each phase."""


class StopProgress(IntEnum):
    """Progress of a request to stop a run."""

    NONE = 0
    REQUESTED = 1
    """Not sent yet."""
    SENT = 2
    """The runner can read it."""
    FORCED = 3
    """The job was stopped by force."""


@final
class TrackedRun:
    """A run that occupies a worker of its backend.

    Parameters
    ----------
    order
        The run and its retry.
    speed
        Service seconds per second.
    overheads
        Billed time beside the training; None: training alone is billed.
    first_retry
        The oldest retry whose reports are not all known.
    n_retries
        Number of lost jobs of this session that this one replaces; those that reached their time limit are not lost.
    n_idle
        Number of jobs just before this one that reached their time limit without a new checkpoint.
    """

    def __init__(
        self,
        order: JobOrder,
        *,
        speed: float,
        overheads: Overheads | None,
        first_retry: int = 0,
        n_retries: int = 0,
        n_idle: int = 0,
    ) -> None:
        self._order = order
        self._speed = speed
        self._overheads = overheads
        self._first_retry = first_retry
        self.n_retries: Final = n_retries
        self.n_idle: Final = n_idle
        self._newest_retry = max(order.retry, first_retry)
        self._phase = RunPhase.QUEUED
        self._meter = self._new_meter(order)
        self._created = time.time()
        self._has_job = False
        """Whether it ever had a job, or was offered to workers."""
        self._is_attached = False
        self._status: JobStatus | None = None
        self._heard_at = time.monotonic()
        self._over_since: float | None = None
        self._was_searched = False
        self._end: End | None = None
        self._is_at_until = False
        self._request = ""
        self._requested_at = 0.0
        self._stop = StopProgress.NONE
        self._rejection = ""
        self._worker = ""
        self._has_own_job = False
        """Whether its worker is a job of its own."""
        self._is_warm: bool | None = None
        self._progress: list[PhaseName] = []
        """Phases of the newest restart that were entered, in order."""
        self._changes: list[PhaseChange] = []
        """Those that were not handed out."""

    @property
    def phase(self) -> RunPhase:
        """The present phase."""
        return self._phase

    @property
    def order(self) -> JobOrder:
        """The run and its retry."""
        return self._order

    @property
    def run(self) -> Run:
        """The run."""
        return self._order.run

    @property
    def name(self) -> JobName:
        """The run and its retry, as in its job's name."""
        return self._order.name

    @property
    def names(self) -> list[JobName]:
        """All retries whose reports count, oldest first."""
        return [replace(self.name, retry=retry) for retry in range(self._first_retry, self._newest_retry + 1)]

    @property
    def created(self) -> float:
        """Seconds since 1970 at which the job was created, or the run queued."""
        return self._created

    @property
    def is_attached(self) -> bool:
        """Whether the job was created by an earlier session, which may have stopped it."""
        return self._is_attached

    @property
    def status(self) -> JobStatus | None:
        """The job's newest status; None: never listed."""
        return self._status

    @property
    def heard_at(self) -> float:
        """Monotonic second of the newest message or listing of the job, or of its creation."""
        return self._heard_at

    @property
    def end(self) -> End | None:
        """The end message of the newest restart."""
        return self._end

    @property
    def has_reported(self) -> bool:
        """Whether a report of this job arrived."""
        return bool(self._meter.reported_at)

    @property
    def rejection(self) -> str:
        """Reason of REJECTED."""
        return self._rejection

    @property
    def is_queued(self) -> bool:
        """Whether a job is still to be created, as far as is known."""
        return self._phase in {RunPhase.QUEUED, RunPhase.UNCONFIRMED}

    @property
    def is_under_way(self) -> bool:
        """Whether it has or had a job or a worker, and its outcome is not known yet."""
        return self._has_job and self._phase is not RunPhase.CLOSED

    @property
    def is_over(self) -> bool:
        """Whether its job has ended."""
        return self._phase is RunPhase.OVER

    @property
    def is_quiet(self) -> bool:
        """Whether it runs, and nothing is to be done about it before its next message or request."""
        return (
            self._phase is RunPhase.RUNNING
            and not self._request
            and not self._changes
            and self._over_since is None
        )

    @property
    def may_run(self) -> bool:
        """Whether a job of it may exist that has not ended."""
        return self._phase in {RunPhase.UNCONFIRMED, RunPhase.RUNNING, RunPhase.ENDING}

    @property
    def is_cut(self) -> bool:
        """Whether the job has ended and its script did not end by itself."""
        return (
            self.is_over and not self._request and (self._end is None or self._end.cause not in _FINAL_CAUSES)
        )

    @property
    def reached_time_limit(self) -> bool:
        """Whether the engine ended the job after its longest time, or asked it to end shortly before, or its worker handed it over."""
        if self._status is None:
            return self._end is not None and self._end.cause in {RELEASE, TERMINATED}
        has_obeyed = self._end is not None and self._end.cause == TERMINATED
        is_in_order = has_obeyed and self._status.state is JobState.COMPLETED
        return is_in_order or self._status.state is JobState.TIMED_OUT

    @property
    def is_silent(self) -> bool:
        """Whether no worker and no job has the run any more, and its end message is neither known nor searched for."""
        has_end = self._end is not None and self._end.cause != TERMINATED
        return self._over_since is not None and not has_end and not self._was_searched

    @property
    def has_ended(self) -> bool:
        """Whether no worker and no job has the run any more."""
        return self._over_since is not None

    @property
    def ended_seconds(self) -> float:
        """Real seconds since that was first known; 0 before."""
        return 0.0 if self._over_since is None else time.monotonic() - self._over_since

    @property
    def request(self) -> str:
        """PAUSE, STOP or RELEASE once it was requested; else empty."""
        return self._request

    @property
    def request_seconds(self) -> float:
        """Real seconds since the request."""
        return time.monotonic() - self._requested_at

    @property
    def needs_request_sent(self) -> bool:
        """Whether a request is to be sent: the run is under way, and not all its instances are about to end by themselves.

        At ``until`` the reporting instance ends by itself; the others of its job hear of it by the request alone.
        """
        is_ending = self._is_at_until or self._phase is RunPhase.ENDING
        ends_itself = is_ending and self._order.n_instances == 1
        return self._is_stoppable and self._stop is StopProgress.REQUESTED and not ends_itself

    @property
    def needs_force(self) -> bool:
        """Whether a run with a request is under way that was not stopped by force."""
        return self._is_stoppable and self._stop < StopProgress.FORCED

    @property
    def is_forced(self) -> bool:
        """Whether the job was stopped by force."""
        return self._stop is StopProgress.FORCED

    @property
    def _is_stoppable(self) -> bool:
        return bool(self._request) and self._phase in {RunPhase.RUNNING, RunPhase.ENDING}

    def assign(self, order: JobOrder) -> None:
        """Replace the order of a queued run by one with an instance type and its price."""
        self._order = order
        self._meter = self._new_meter(order)

    def submit(self) -> None:
        """A request to create the job is being sent: from here on it may exist."""
        self._enter(RunPhase.UNCONFIRMED)

    def requeue(self) -> None:
        """The request to create the job was refused for now."""
        self._enter(RunPhase.QUEUED)

    def begin(self, wall: float, *, worker: str = "", is_warm: bool | None = None) -> None:
        """The job was created, or the run offered to workers.

        Parameters
        ----------
        wall
            Seconds since 1970.
        worker
            Full name of the job; empty if the run waits for a worker.
        is_warm
            Whether the job starts on instances that another one left; None: not known yet.
        """
        self._enter(RunPhase.RUNNING)
        self._heard_at = time.monotonic()
        self._worker, self._is_warm = worker, is_warm
        self._has_own_job = bool(worker)
        if worker:
            self._reach(PhaseName.STARTING)
        self._has_job = True
        self._created = wall
        self._meter.start(wall)

    def adopt(self, status: JobStatus | None, *, worker: str = "") -> None:
        """The job of an earlier session was found."""
        self._enter(RunPhase.RUNNING)
        self._worker = worker
        self._has_own_job = bool(worker)
        self._has_job = self._is_attached = True
        if status is not None:
            self.observe(status)

    def reject(self, reason: str) -> None:
        """The engine will never accept the job."""
        self._rejection = reason
        self._enter(RunPhase.REJECTED)

    def withdraw(self) -> None:
        """The run was taken back before it began."""
        self._enter(RunPhase.WITHDRAWN)
        self._over_since = time.monotonic()

    def ask(self, request: str) -> None:
        """Note the first request to stop; later ones change nothing."""
        if not self._request:
            self._request = request
            self._requested_at = time.monotonic()
            self._stop = StopProgress.REQUESTED

    def request_sent(self) -> None:
        """The request was sent to the runner."""
        self._stop = max(self._stop, StopProgress.SENT)

    def forced(self) -> None:
        """The job was stopped by force."""
        self._stop = StopProgress.FORCED

    def observe(self, status: JobStatus, *, is_warm: bool = False) -> None:
        """Take over a listing of the job; one that is older than the job's end is ignored."""
        self._heard_at = time.monotonic()
        if self.is_over and not status.is_terminal:
            return
        self._status = status
        self._created = status.created
        if is_warm:
            self._meter.is_warm = self._is_warm = True
        self._meter.start(status.created)
        if status.state is JobState.STARTING:
            self._meter.start(time.time())
        if status.phase is not None:
            self._reach(status.phase)
        if status.is_terminal and not self.is_over:
            self.lose()

    def lose(self) -> None:
        """The job has ended, or no worker has the run any more."""
        self._enter(RunPhase.OVER)
        self._over_since = time.monotonic()

    def searched(self) -> None:
        """All messages of the ended job were searched for."""
        self._was_searched = True

    def restart(self, retry: int) -> None:
        """Messages of a newer retry arrived: the engine started the job again, and the end before was not its end."""
        if retry <= self._newest_retry:
            return
        self._newest_retry = retry
        self._meter.restart(self._end)
        self._end = None
        self._progress.clear()
        if self._phase is RunPhase.ENDING:
            self._enter(RunPhase.RUNNING)

    def report(self, retry: int, seq: int, report: Report) -> Reported:
        """Take a report; its event."""
        self._heard_at = time.monotonic()
        if self.run.until is not None and report.resource >= self.run.until:
            self._is_at_until = True
        if retry == self._newest_retry:
            if report.worker:
                self._worker, self._is_warm = report.worker, report.is_warm
            self._reach(PhaseName.TRAINING)
            self._meter.report(report, is_over=self.is_over)
        return Reported(
            trial_id=self.run.trial_id,
            attempt=self.run.attempt,
            retry=retry,
            seq=seq,
            resource=report.resource,
            metrics=report.metrics,
            cost=self._meter.cost,
        )

    def take_end(self, retry: int, end: End) -> None:
        """Take an end message; those of older retries do not count."""
        if retry != self._newest_retry:
            return
        self._end = end
        if self._has_own_job:  # which stores its output; a worker takes the next run at once
            self._reach(PhaseName.UPLOADING)
        if self._phase is RunPhase.RUNNING:
            self._enter(RunPhase.ENDING)
        elif self._phase is RunPhase.WITHDRAWN:  # it had begun, and ended, before it was taken back
            self._enter(RunPhase.OVER)

    def take_changes(self) -> list[PhaseChange]:
        """Hand out the phases that the run has entered on its worker since the last call."""
        changes, self._changes = self._changes, []
        return changes

    def close(self) -> None:
        """The outcome is known."""
        self._enter(RunPhase.CLOSED)

    def ended(self, *, exit_code: int, error: str = "", checkpoint: Checkpoint | None = None) -> Ended:
        """The event of the run's end."""
        return Ended(
            trial_id=self.run.trial_id,
            attempt=self.run.attempt,
            exit=exit_code,
            error=error,
            cost=self.total_cost(),
            checkpoint=checkpoint,
        )

    def never_began(self) -> Ended:
        """The event of the end of a run without a job: the checkpoint that it would have begun with is left."""
        source = self.run.from_checkpoint
        is_own = source is not None and source.trial_id == self.run.trial_id
        return self.ended(exit_code=0, checkpoint=source if is_own else None)

    def billed_seconds(self) -> float:
        """Service seconds that the job is billed for so far, or in total if it has ended."""
        if not self._has_job:
            return 0.0
        return self._meter.seconds(self._end, self._status, is_over=self._over_since is not None)

    def total_cost(self) -> float:
        """Dollars of the run so far, or in total if its job has ended; earlier retries included."""
        return self._meter.total(self.billed_seconds())

    def retry(self, run: Run, *, newest: int = 0, n_retries: int = 0, n_idle: int = 0) -> TrackedRun:
        """The next retry, queued.

        Parameters
        ----------
        run
            The same run, from its newest checkpoint.
        newest
            The highest retry that a restart of the job has claimed, whether or not it reported.
        n_retries, n_idle
            Of the next retry.
        """
        number = max(newest, self._newest_retry) + 1
        order = replace(self._order, run=run, retry=number, cost_before=self.total_cost())
        return TrackedRun(
            order,
            speed=self._speed,
            overheads=self._overheads,
            first_retry=self._first_retry,
            n_retries=n_retries,
            n_idle=n_idle,
        )

    def _reach(self, name: PhaseName) -> None:
        """Note a phase on the worker unless this or a later one was noted before; listings and messages overtake each other."""
        if self._progress and _ORDER[self._progress[-1]] >= _ORDER[name]:
            return
        self._progress.append(name)
        change = PhaseChange(
            trial_id=self.run.trial_id,
            attempt=self.run.attempt,
            retry=self._newest_retry,
            worker=self._worker,
            name=name,
            warm=self._is_warm,
        )
        self._changes.append(change)

    def _new_meter(self, order: JobOrder) -> RunMeter:
        return RunMeter(
            dollars_per_hour=order.dollars_per_hour,
            billed_share=order.billed_share,
            cost_before=order.cost_before,
            speed=self._speed,
            overheads=self._overheads,
        )

    def _enter(self, phase: RunPhase) -> None:
        if phase is not self._phase and phase not in TRANSITIONS[self._phase]:
            raise TunewrightError(f"Run {self.name.key} cannot go from {self._phase.value} to {phase.value}")
        self._phase = phase


def pending_request(open_run: OpenRun) -> str:
    """The verdict of an earlier session that was not carried out, as a runner's request; empty if there is none."""
    if open_run.verdict is None or open_run.verdict.decision is Decision.CONTINUE:
        return ""
    return PAUSE if open_run.verdict.decision is Decision.PAUSE else STOP
