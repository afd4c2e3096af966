"""The jobs of workers mode: how many there are, how large they are, and when each is created, drained and replaced."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, final

from tunewright.backends.engine.context import EngineContext
from tunewright.backends.engine.job_service import CreateOutcome, FailureCause, JobState, JobStatus
from tunewright.backends.engine.run_meter import RunMeter
from tunewright.backends.engine.submission import Submitter
from tunewright.backends.engine.tasks import TaskBoard
from tunewright.exceptions import BackendError, RequestError
from tunewright.trial import ServiceTrouble
from tunewright.types import Config

_LEAD_SECONDS: Final = 300.0
"""Service seconds before a job takes no more runs at which its successor is created."""
_MAX_FAILURES: Final = 3
"""Maximum of jobs that fail one after the other, without a run that ended, for a reason of their own."""


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
    hand_over: float
    """Age of a job at which the runs of its workers are ended, to go on elsewhere."""
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
    is_attached: bool = False
    """Whether an earlier session of the experiment may have created the job."""

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
    def is_waiting(self) -> bool:
        """Whether it had no instances when it was last listed."""
        return self._status is not None and self._status.state is JobState.STARTING

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
        if self._status is not None and self._status.started is not None:
            return time.time() - self._status.started
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
        self._is_attached = False
        """Whether there was an earlier session."""
        self._size = plan.job_size
        self._spare_since: float | None = None
        self._statuses_at = 0.0
        self._n_failures = 0

    @property
    def jobs(self) -> list[WorkerJob]:
        """Jobs that have not ended."""
        return list(self._jobs.values())

    def set_instances(self, n_instances: int) -> None:
        """Change the most instances; jobs that are too many end when they could be spared for a while."""
        self._plan = replace(self._plan, instances=n_instances)

    @property
    def next_at(self) -> float:
        """Monotonic second of the next step."""
        return max(self._statuses_at, time.monotonic() + self._context.jobs.list_delay())

    def adopt(self, statuses: Mapping[str, JobStatus], *, is_attached: bool) -> None:
        """Take over the jobs of earlier sessions.

        Parameters
        ----------
        statuses
            All that a listing shows, by key.
        is_attached
            Whether there was an earlier session, which may have created one that no listing shows yet.

        Raises
        ------
        RequestError
            The storage does not say which of them are to end.
        """
        self._is_attached = is_attached or bool(statuses)
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
            elif not self._context.jobs.has_present_code(key):
                self._context.notices.add(
                    "The code has changed: workers of the earlier session end after their runs, and new ones begin"
                )
                self._drain(number)

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
        if self._jobs and time.monotonic() >= self._statuses_at and not self._context.jobs.list_delay():
            is_ending = any(job.is_stopped or number in self._draining for number, job in self._jobs.items())
            settings = self._context.settings
            period = settings.ending_period if is_ending else settings.status_period
            self._statuses_at = time.monotonic() + self._context.time.interval(period)
            with self._context.suppress_transient():
                self._read_statuses(lost)
        self._create_missing(n_wanted)
        self._drain_spare(n_wanted)
        return lost

    def run_ended(self) -> None:
        """A run ended on a worker: the jobs are sound."""
        self._n_failures = 0

    def give_up(self, full_name: str) -> None:
        """Replace a job whose only worker is silent, whatever the engine says of it; a job of several workers is left alone."""
        for job in self.jobs:
            key = job.order.key
            if job.order.n_instances > 1 or not job.is_created or job.is_stopped:
                continue
            if self._context.jobs.full_name(key) == full_name:
                self._context.jobs.stop(key)
                job.stopped()
                self._drain(job.order.number)

    def drain_all(self) -> None:
        """Ask all jobs to end once their runs have ended; jobs that may exist are asked too, and those that wait for instances stopped."""
        for number, job in list(self._jobs.items()):
            if not job.may_run:
                del self._jobs[number]
                continue
            with self._context.suppress_transient():
                self._drain(number)
                if job.is_waiting and not job.is_stopped:
                    self._context.jobs.stop(job.order.key)
                    job.stopped()

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
            number=number,
            n_instances=n_instances,
            dollars_per_hour=per_instance * n_instances,
            is_attached=self._is_attached,
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
        text = f"A job of workers ended ({status.detail or status.state.value}: {reason}): its runs go on elsewhere"
        self._context.notices.add_event(ServiceTrouble.INTERRUPTED, text)
        if status.state is JobState.FAILED and failure.cause is FailureCause.JOB:
            self._n_failures += 1
            if self._n_failures >= _MAX_FAILURES:
                remedy = f": {failure.remedy}" if failure.remedy else ""
                raise BackendError(
                    f"{self._n_failures} jobs of workers failed one after the other: "
                    f"{failure.reason or 'see their logs'}{remedy}",
                    then="resume" if failure.remedy else "",
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
            soon = time.monotonic() + self._context.time.interval(self._context.settings.status_period)
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
            if answer.outcome in {CreateOutcome.FULL, CreateOutcome.TOO_LARGE}:
                self._size = max(1, order.n_instances // 2)

    def _missing_instances(self, n_wanted: int) -> int:
        """Instances of the next job; 0 if there are enough."""
        serving = sum(job.order.n_instances for job in self.jobs if self._serves(job))
        wanted = -(-n_wanted // self._plan.slots)
        if wanted <= serving:
            return 0
        size = min(self._size, self._context.jobs.max_instances or self._size)
        return max(0, min(size, self._plan.instances - serving))

    def _serves(self, job: WorkerJob) -> bool:
        """Whether a job takes runs, and will for a while."""
        lead = min(self._context.time.seconds(_LEAD_SECONDS), self._times.take / 2)
        return job.order.number not in self._draining and job.age < self._times.take - lead

    def _drain_spare(self, n_wanted: int) -> None:
        """Drain a job that could be spared for a while."""
        serving = [job for job in self.jobs if self._serves(job) and job.is_created]
        capacity = sum(job.order.n_instances for job in serving) * self._plan.slots
        smallest = min(serving, key=lambda job: (job.order.n_instances, not job.is_waiting), default=None)
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
            soon = time.monotonic() + self._context.time.interval(self._context.settings.ending_period)
            self._statuses_at = min(self._statuses_at, soon)
