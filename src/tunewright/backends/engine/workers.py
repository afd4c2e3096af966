"""Workers mode: a few long jobs whose instances, the workers, take run after run."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, TypeVar, final

from typing_extensions import override

from tunewright.backends.engine.backend import Dispatcher
from tunewright.backends.engine.context import EngineContext
from tunewright.backends.engine.job_service import (
    CreateOutcome,
    FailureCause,
    JobName,
    JobOrder,
    JobState,
    JobStatus,
)
from tunewright.backends.engine.jobs import STATUS_PERIOD
from tunewright.backends.engine.outcomes import Outcome
from tunewright.backends.engine.submission import Submitter
from tunewright.backends.engine.tracked_run import RunMeter, RunPhase, TrackedRun, pending_request
from tunewright.exceptions import BackendError, RequestError
from tunewright.trial import OpenRun, Run
from tunewright.types import Config

TASK_PERIOD: Final = 10.0
"""Service seconds between two listings of tasks and leases."""
MESSAGE_PERIOD: Final = 0.5
"""Service seconds between two listings of messages: a worker waits meanwhile for the next decision."""
_LISTINGS_PER_LEASE: Final = 5
_SESSION_SECONDS: Final = 30.0
"""Real seconds between two signs of life for the workers."""
_LEAD_SECONDS: Final = 300.0
"""Service seconds before a job takes no more runs at which its successor is created."""
_MAX_FAILURES: Final = 3
"""Maximum of jobs that fail one after the other, without a run that ended, for a reason of their own."""
_THREADS: Final = 8

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskListing:
    """State of all tasks, by run key."""

    waiting: Set[str]
    """Runs that no worker has claimed; some may be among the leases too."""
    leases: Mapping[str, str]
    """Versions of the leases of runs that workers have; each renewal changes the version."""


class TaskBoard(ABC):
    """Tasks that wait for workers, and leases of tasks that workers have.

    Every method raises :class:`~tunewright.exceptions.RequestError` if the storage refuses or does not answer.
    """

    @abstractmethod
    def post(self, order: JobOrder) -> None:
        """Offer a run to the workers; posted twice, it is run once."""

    @abstractmethod
    def list_tasks(self) -> TaskListing:
        """All tasks and leases.

        Tasks are listed first: a run that is not among them any more was claimed before, so that its lease is in the second
        listing unless it has ended.
        """

    @abstractmethod
    def withdraw(self, key: str) -> bool:
        """Take a waiting run back; False if a worker has it."""

    @abstractmethod
    def revoke(self, key: str, version: str) -> bool:
        """Take a run away from its worker; False if its lease was renewed since this version."""

    @abstractmethod
    def holder(self, key: str) -> str:
        """Full name of the job that has a run; empty if none has."""

    @abstractmethod
    def show_life(self, number: int) -> None:
        """Show the workers that there is a tuner; ``number`` counts the calls."""

    @abstractmethod
    def drain(self, job: int) -> None:
        """Ask a job's workers to take no more runs."""

    @abstractmethod
    def draining(self) -> Set[int]:
        """Numbers of the jobs that were asked to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPlan:
    """Instances and jobs of a number of workers."""

    slots: int
    """Runs at the same time on each instance."""
    instances: int
    jobs: int

    @property
    def job_size(self) -> int:
        """Instances of the largest job."""
        return math.ceil(self.instances / self.jobs)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTimes:
    """Durations of workers mode, in real seconds."""

    lease: float
    """A lease that was not renewed for so long is revoked."""
    take: float
    """Age of a job at which its workers take no more runs."""
    idle: float
    """A job that could be spared for so long is drained."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJobOrder:
    """A job of workers."""

    number: int
    """Among the experiment's jobs, from 0."""
    n_instances: int
    dollars_per_hour: float
    """Of all its instances."""
    instance_type: str = ""
    """The chosen one of several types; empty: that of the settings."""

    @property
    def key(self) -> str:
        """The part of the job's name after the experiment's prefix; attaching parses it."""
        return f"{self.number}-{self.n_instances}-0"

    @property
    def config(self) -> Config:
        """The configuration from which the instances and their price follow."""
        return {"instance_count": self.n_instances}


class WorkerJobPhase(Enum):
    """Phase of a job of workers."""

    PLANNED = "planned"
    UNCONFIRMED = "unconfirmed"
    """It may exist: the request to create it got no answer."""
    CREATED = "created"
    OVER = "over"


@final
class WorkerJob:
    """A job of workers, from the plan to its end.

    Parameters
    ----------
    order
        The job.
    meter
        Estimates its bill.
    """

    def __init__(self, order: WorkerJobOrder, meter: RunMeter) -> None:
        self._order = order
        self._meter = meter
        self._phase = WorkerJobPhase.PLANNED
        self._created = 0.0
        self._is_attached = False
        self._status: JobStatus | None = None
        self._trains_since: float | None = None
        """Monotonic second at which it was first seen with its instances."""
        self._is_stopped = False

    @property
    def order(self) -> WorkerJobOrder:
        """The job."""
        return self._order

    @property
    def phase(self) -> WorkerJobPhase:
        """The present phase."""
        return self._phase

    @property
    def status(self) -> JobStatus | None:
        """The newest status; None: never listed."""
        return self._status

    @property
    def is_created(self) -> bool:
        """Whether it exists and has not ended."""
        return self._phase is WorkerJobPhase.CREATED

    @property
    def may_run(self) -> bool:
        """Whether it may exist and not have ended."""
        return self._phase in {WorkerJobPhase.UNCONFIRMED, WorkerJobPhase.CREATED}

    @property
    def created(self) -> float:
        """Seconds since 1970 of its creation."""
        return self._created

    @property
    def is_stopped(self) -> bool:
        """Whether it was stopped by force."""
        return self._is_stopped

    @property
    def age(self) -> float:
        """Real seconds since its workers began, never less than the true age."""
        if self._is_attached:
            return time.time() - self._created
        return 0.0 if self._trains_since is None else time.monotonic() - self._trains_since

    @property
    def billed_seconds(self) -> float:
        """Estimate of the billed service seconds."""
        if self._phase in {WorkerJobPhase.PLANNED, WorkerJobPhase.UNCONFIRMED}:
            return 0.0
        return self._meter.seconds(None, self._status, is_over=self._phase is WorkerJobPhase.OVER)

    def assign(self, order: WorkerJobOrder) -> None:
        """Replace the order before the job is created."""
        self._order = order

    def submit(self) -> None:
        """A request to create it is being sent."""
        self._phase = WorkerJobPhase.UNCONFIRMED

    def refuse(self) -> None:
        """The request was refused for now."""
        self._phase = WorkerJobPhase.PLANNED

    def begin(self, wall: float) -> None:
        """It was created at ``wall`` seconds since 1970."""
        self._phase = WorkerJobPhase.CREATED
        self._created = wall
        self._meter.start(wall)

    def adopt(self, status: JobStatus) -> None:
        """It was found running, from an earlier session."""
        self._phase = WorkerJobPhase.CREATED
        self._is_attached = True
        self.observe(status)

    def observe(self, status: JobStatus) -> None:
        """Take over a listing."""
        self._status = status
        self._created = status.created
        self._meter.start(status.created)
        if status.state is JobState.STARTING:
            self._meter.start(time.time())
        elif status.detail:
            self._trains_since = self._trains_since or time.monotonic()
            self._meter.train(time.monotonic() - self._trains_since)
        if status.is_terminal:
            self._phase = WorkerJobPhase.OVER

    def stopped(self) -> None:
        """It was stopped by force."""
        self._is_stopped = True


@final
class LeaseWatch:
    """Judges by our own clock, from changes alone, which leases are renewed; the workers' clocks do not matter.

    Parameters
    ----------
    patience
        Seconds without a change of the version after which a lease is stale.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._seen: dict[str, tuple[str, float]] = {}

    def is_stale(self, key: str, version: str, now: float) -> bool:
        """Take over a listing at ``now`` (monotonic seconds). Returns whether the lease was not renewed for too long."""
        before = self._seen.get(key)
        if before is None or before[0] != version:
            self._seen[key] = (version, now)
            return False
        return now - before[1] > self._patience

    def forget(self, key: str) -> None:
        """The run has ended."""
        self._seen.pop(key, None)


@final
class WorkerFleet:
    """Creates, watches and drains the jobs of workers.

    Parameters
    ----------
    context
        Jobs, costs and settings.
    board
        Asks jobs to end.
    plan
        Instances and jobs of the number of workers.
    times
        Ages at which jobs are replaced or spared.
    """

    def __init__(
        self,
        context: EngineContext[WorkerJobOrder],
        board: TaskBoard,
        plan: FleetPlan,
        times: WorkerTimes,
    ) -> None:
        self._context = context
        self._board = board
        self._plan = plan
        self._times = times
        self._submitter: Final = Submitter(context)
        self._jobs: dict[int, WorkerJob] = {}
        self._draining: set[int] = set()
        self._n_created = 0
        self._size = plan.job_size
        self._spare_since: float | None = None
        self._statuses_at = 0.0
        self._n_failures = 0

    @property
    def jobs(self) -> list[WorkerJob]:
        """Jobs that have not ended."""
        return list(self._jobs.values())

    @property
    def next_at(self) -> float:
        """Monotonic second of the next step."""
        return self._statuses_at

    def adopt(self, statuses: Mapping[str, JobStatus]) -> None:
        """Take over the jobs of earlier sessions.

        Raises
        ------
        RequestError
            The storage does not say which of them are to end.
        """
        draining = self._board.draining()
        for key, status in statuses.items():
            number, n_instances = (int(part) for part in key.split("-")[:2])
            self._n_created = max(self._n_created, number + 1)
            if status.is_terminal:
                continue
            job = self._plan_job(number, n_instances)
            job.adopt(status)
            self._jobs[number] = job
            self._submitter.track_costs(job.order.key, job.order)
            if number in draining:
                self._draining.add(number)

    def step(self, n_wanted: int) -> set[str]:
        """Look at the jobs if it is time, and create or drain jobs for the number of wanted workers.

        Parameters
        ----------
        n_wanted
            Runs that need a worker now.

        Returns
        -------
        set of str
            Full names of jobs that were found to have ended: the runs that they had are lost.

        Raises
        ------
        BackendError
            No job can be created, or they fail one after the other.
        """
        lost: set[str] = set()
        if self._jobs and time.monotonic() >= self._statuses_at:
            self._statuses_at = time.monotonic() + self._context.time.interval(STATUS_PERIOD)
            with self._context.suppress_transient():
                self._read_statuses(lost)
        self._create_missing(n_wanted)
        self._drain_spare(n_wanted)
        return lost

    def run_ended(self) -> None:
        """A run ended on a worker: the jobs are sound."""
        self._n_failures = 0

    def drain_all(self) -> None:
        """Ask all jobs to end once their runs have ended; jobs that may exist are asked too."""
        for number, job in list(self._jobs.items()):
            if not job.may_run:
                del self._jobs[number]
                continue
            with self._context.suppress_transient():
                self._drain(number)

    def stop_all(self) -> None:
        """Stop by force the jobs that do not end."""
        for job in self.jobs:
            if job.is_created and not job.is_stopped:
                job.stopped()
                with self._context.suppress_transient():
                    self._context.jobs.stop(job.order.key)

    def _plan_job(self, number: int, n_instances: int) -> WorkerJob:
        per_instance = self._context.prices.per_hour({}) * self._context.settings.billed_share
        order = WorkerJobOrder(
            number=number, n_instances=n_instances, dollars_per_hour=per_instance * n_instances
        )
        meter = RunMeter(
            dollars_per_hour=order.dollars_per_hour,
            speed=self._context.time.speed,
            overheads=self._context.settings.overheads,
        )
        return WorkerJob(order, meter)

    def _read_statuses(self, lost: set[str]) -> None:
        created = [job for job in self.jobs if job.is_created]
        if not created:
            return
        statuses = self._context.jobs.list_jobs(
            wanted=[job.order.key for job in created], since=min(job.created for job in created)
        )
        self._context.costs.update(statuses)
        for job in created:
            if job.order.key not in statuses:
                continue
            job.observe(statuses[job.order.key])
            if job.phase is WorkerJobPhase.OVER:
                lost.add(self._context.jobs.full_name(job.order.key))
                self._end(job)

    def _end(self, job: WorkerJob) -> None:
        order, status = job.order, job.status
        del self._jobs[order.number]
        self._context.costs.end_job(order.key, job.billed_seconds)
        if order.number in self._draining or status is None or status.state is JobState.COMPLETED:
            return
        failure = self._context.jobs.failure(order.key, status)
        if failure.cause is FailureCause.CAPACITY:
            self._submitter.types.lacks_capacity(order.config, order.instance_type)
            return
        reason = failure.reason or "no reason given"
        self._context.notices.add(
            f"A job of workers ended ({status.detail or status.state.value}: {reason}): its runs go on elsewhere"
        )
        if status.state is JobState.FAILED and failure.cause is FailureCause.JOB:
            self._n_failures += 1
            if self._n_failures >= _MAX_FAILURES:
                raise BackendError(
                    f"{self._n_failures} jobs of workers failed one after the other: {failure.reason or 'see their logs'}"
                )

    def _create_missing(self, n_wanted: int) -> None:
        while self._next_create_at() <= time.monotonic():
            job = next((job for job in self.jobs if not job.is_created), None)
            if job is None:
                n_instances = self._missing_instances(n_wanted)
                if not n_instances:
                    return
                job = self._plan_job(self._n_created, n_instances)
                self._jobs[self._n_created] = job
                self._n_created += 1
            with self._context.suppress_transient():
                self._create(job)
            soon = time.monotonic() + self._context.time.interval(STATUS_PERIOD)
            self._statuses_at = min(self._statuses_at, soon)

    def _next_create_at(self) -> float:
        return max(self._submitter.ready_at(), self._submitter.types.opens_at({}))

    def _create(self, job: WorkerJob) -> None:
        """Create a job; one that the account has no room for is planned again, and smaller."""
        is_first = job.phase is WorkerJobPhase.PLANNED
        if is_first:
            job.assign(self._submitter.assigned(job.order))
        order, began = job.order, time.time()
        job.submit()
        try:
            answer = self._submitter.submit(order)
        except RequestError:
            if is_first:
                job.refuse()
            raise
        if answer.outcome is CreateOutcome.CREATED:
            job.begin(began)
            self._submitter.track_costs(job.order.key, job.order)
        elif answer.outcome is CreateOutcome.REFUSED:
            raise BackendError(answer.reason)
        elif answer.outcome is not CreateOutcome.UNKNOWN and is_first:
            del self._jobs[order.number]
            if answer.outcome is CreateOutcome.FULL:
                self._size = max(1, order.n_instances // 2)

    def _missing_instances(self, n_wanted: int) -> int:
        """Instances of the next job; 0 if there are enough."""
        serving = sum(job.order.n_instances for job in self.jobs if self._serves(job))
        wanted = -(-n_wanted // self._plan.slots)
        if wanted <= serving:
            return 0
        return max(0, min(self._size, self._plan.instances - serving))

    def _serves(self, job: WorkerJob) -> bool:
        """Whether a job takes runs, and will for a while."""
        lead = self._context.time.seconds(_LEAD_SECONDS)
        return job.order.number not in self._draining and job.age < self._times.take - lead

    def _drain_spare(self, n_wanted: int) -> None:
        """Drain a job that could be spared for a while."""
        serving = [job for job in self.jobs if self._serves(job) and job.is_created]
        capacity = sum(job.order.n_instances for job in serving) * self._plan.slots
        smallest = min(serving, key=lambda job: job.order.n_instances, default=None)
        if smallest is None or capacity - smallest.order.n_instances * self._plan.slots < n_wanted:
            self._spare_since = None
            return
        now = time.monotonic()
        self._spare_since = self._spare_since or now
        if now - self._spare_since > self._times.idle:
            self._spare_since = None
            with self._context.suppress_transient():
                self._drain(smallest.order.number)

    def _drain(self, number: int) -> None:
        if number not in self._draining:
            self._board.drain(number)
            self._draining.add(number)


@final
class WorkerDispatcher(Dispatcher):
    """Posts runs as tasks that workers claim, and takes runs back from workers that are lost or do not obey.

    Parameters
    ----------
    context
        Channel, costs and settings.
    board
        The tasks.
    plan
        Instances and jobs of the number of workers.
    times
        Of leases and jobs.
    ahead
        Runs beyond the number of workers that wait for the next free one.
    """

    def __init__(
        self,
        context: EngineContext[WorkerJobOrder],
        board: TaskBoard,
        plan: FleetPlan,
        times: WorkerTimes,
        *,
        ahead: int = 0,
    ) -> None:
        self._context = context
        self._board = board
        self._plan = plan
        self._fleet = WorkerFleet(context, board, plan, times)
        self._leases = LeaseWatch(times.lease)
        self._listing = TaskListing(waiting=frozenset(), leases={})
        self._task_period = min(context.time.interval(TASK_PERIOD), times.lease / _LISTINGS_PER_LEASE)
        # storage takes thousands of requests a second, so that half of the least interval is enough between two
        self._message_period = context.time.seconds(MESSAGE_PERIOD, at_least=context.time.min_interval / 2)
        self._tasks_at = self._messages_at = self._session_at = 0.0
        self._n_signs = 0
        self._is_closing = False
        self.capacity = context.settings.n_workers + ahead
        self.n_instances = plan.instances

    @override
    def queue(self, run: Run, config: Config) -> TrackedRun:
        """A run that waits to be posted; it is billed for its training alone, since the rest is the jobs'."""
        price = self._context.prices.per_hour({}) * self._context.settings.billed_share / self._plan.slots
        return self._tracked(JobOrder(run=run, config=config, dollars_per_hour=price))

    @override
    def attach(self, runs: Sequence[OpenRun], statuses: Mapping[str, JobStatus]) -> list[TrackedRun]:
        """Adopt the newest retry of each run that has a task, a lease or a message; a run without any is queued.

        Tasks and leases are listed before messages are read, so that a run in neither has its end among the messages.
        """
        inbox = self._context.inbox
        for open_run in runs:
            name = JobName(open_run.run.trial_id, open_run.run.attempt, open_run.retry)
            inbox.box(name).taken = open_run.seen
        try:
            self._fleet.adopt(statuses)
            self._listing = self._board.list_tasks()
            if runs:
                inbox.search_from(0.0)
        except RequestError as error:
            raise BackendError(f"The experiment's runs cannot be listed ({error})") from error
        attached = [self._attach(open_run) for open_run in runs]
        ours = {name for run in attached for name in run.names}
        for name in inbox.names():
            if name not in ours:
                inbox.forget(name)
        inbox.begin_at(time.time())
        return attached

    @override
    def step(self, runs: Collection[TrackedRun]) -> None:
        self._show_life()
        lost = self._fleet.step(0 if self._is_closing else len(runs))
        queued = [run for run in runs if run.is_queued]
        if queued:
            with self._context.suppress_transient():
                _in_parallel(self._post, queued)
        for run in runs:
            self._send_request(run)
        now = time.monotonic()
        if runs and (lost or now >= self._tasks_at):
            self._tasks_at = now + self._task_period
            with self._context.suppress_transient():
                self._look(runs, lost)
        if runs and now >= self._messages_at:
            self._messages_at = now + self._message_period
            with self._context.suppress_transient():
                self._context.inbox.poll()

    @override
    def next_at(self, runs: Collection[TrackedRun]) -> float:
        """The next listing of jobs, tasks or messages."""
        times = [self._fleet.next_at]
        if runs:
            times += [self._tasks_at, self._messages_at]
        return max(min(times), time.monotonic() + self._context.time.min_interval / 10)

    @override
    def is_free(self, run: TrackedRun) -> bool:
        if not run.has_ended:
            run.lose()
        return True

    @override
    def ended(self, run: TrackedRun, outcome: Outcome) -> None:
        self._leases.forget(run.name.key)
        if run.end is not None:
            self._fleet.run_ended()

    @override
    def costs(self, runs: Collection[TrackedRun]) -> Mapping[str, float]:
        """The estimates of the jobs of workers."""
        return {job.order.key: job.billed_seconds for job in self._fleet.jobs if job.is_created}

    @override
    def wind_down(self, *, is_late: bool) -> bool:
        """Drain the jobs, or stop them by force."""
        self._is_closing = True
        self._fleet.drain_all()
        if is_late:
            self._fleet.stop_all()
        return bool(self._fleet.jobs)

    @override
    def release(self, runs: Sequence[TrackedRun]) -> None:
        self._fleet.drain_all()
        _in_parallel(self._request, runs)

    @override
    def open_jobs(self, runs: Collection[TrackedRun]) -> list[str]:
        return [self._context.jobs.full_name(job.order.key) for job in self._fleet.jobs if job.may_run]

    def _tracked(self, order: JobOrder, first_retry: int = 0) -> TrackedRun:
        return TrackedRun(order, speed=self._context.time.speed, overheads=None, first_retry=first_retry)

    def _attach(self, open_run: OpenRun) -> TrackedRun:
        run, inbox = open_run.run, self._context.inbox
        names = [*inbox.names()]
        names += filter(None, map(JobName.parse, (*self._listing.waiting, *self._listing.leases)))
        listed = {*self._listing.waiting, *self._listing.leases}
        retries = [
            name.retry
            for name in names
            if (name.trial_id, name.attempt) == (run.trial_id, run.attempt)
            and (name.key in listed or not inbox.box(name).is_empty)
        ]
        newest = max(retries, default=-1)
        is_found = newest >= open_run.retry
        queued = self.queue(run, open_run.config)
        order = replace(queued.order, retry=newest if is_found else open_run.retry)
        tracked = self._tracked(order, first_retry=open_run.retry)
        if request := pending_request(open_run):
            tracked.ask(request)
        if is_found:
            tracked.adopt(None)
        return tracked

    def _show_life(self) -> None:
        if time.monotonic() >= self._session_at:
            self._session_at = time.monotonic() + _SESSION_SECONDS
            self._n_signs += 1
            with self._context.suppress_transient():
                self._board.show_life(self._n_signs)

    def _post(self, run: TrackedRun) -> None:
        self._board.post(run.order)
        run.begin(time.time())

    def _send_request(self, run: TrackedRun) -> None:
        """Send a run's request to its worker; take the run away from a worker that does not obey."""
        if run.needs_request_sent:
            with self._context.suppress_transient():
                self._request(run)
        patience = self._context.time.patience(self._context.settings.stop_grace)
        if run.needs_force and run.request_seconds > patience:
            with self._context.suppress_transient():
                self._force(run)

    def _request(self, run: TrackedRun) -> None:
        """Take back a run that waits, or send the request to its worker."""
        key = run.name.key
        if run.phase is RunPhase.RUNNING and key not in self._listing.leases and self._board.withdraw(key):
            run.withdraw()
        else:
            self._context.channel.send(run.name, run.request)
        run.request_sent()

    def _force(self, run: TrackedRun) -> None:
        version = self._board.list_tasks().leases.get(run.name.key)
        if version is None or self._board.revoke(run.name.key, version):
            run.lose()

    def _look(self, runs: Iterable[TrackedRun], lost_jobs: Set[str]) -> None:
        """Note the runs that no worker has any more, and take runs away from workers that are lost."""
        self._listing = self._board.list_tasks()
        now = time.monotonic()
        for run in runs:
            if run.is_under_way and not run.has_ended and self._is_gone(run.name.key, now, lost_jobs):
                run.lose()

    def _is_gone(self, key: str, now: float, lost_jobs: Set[str]) -> bool:
        version = self._listing.leases.get(key)
        if version is None:
            return key not in self._listing.waiting
        is_stale = self._leases.is_stale(key, version, now)
        is_lost = bool(lost_jobs) and self._board.holder(key) in lost_jobs
        if not (is_stale or is_lost) or not self._board.revoke(key, version):
            return False
        self._context.notices.add(f"run {key} lost its worker, and goes on elsewhere")
        return True


def _in_parallel(work: Callable[[_T], None], items: Iterable[_T]) -> None:
    """Do ``work`` for each item in a few threads; the first failure is raised after all were tried."""
    with ThreadPoolExecutor(_THREADS) as pool:
        for future in [pool.submit(work, item) for item in items]:
            future.result()
