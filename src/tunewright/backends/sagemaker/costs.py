"""Costs of an experiment: jobs, billed seconds, warm pools and notices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from typing import Final, final

from tunewright.aws import ServiceError
from tunewright.backends.sagemaker.deployment import dollars_per_hour
from tunewright.backends.sagemaker.job_service import Bill, JobService, JobStatus, PoolStatus
from tunewright.backends.sagemaker.requests import JobName, instance_of
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.backends.sagemaker.tracked_run import TrackedRun
from tunewright.trial import BackendSummary, JobRecord

NOT_KEPT = (
    "WARNING: SageMaker did not keep the warm pool, so each trial starts cold. Ask Service Quotas for "
    '"{instance_type} for training warm pool usage" of at least the number of workers.'
)

_ATTEMPTS: Final = 5
"""How often a pool's release is asked for; the operation's rate keeps them apart."""


@final
class WarmPools:
    """What became of the instances of finished jobs.

    Parameters
    ----------
    service
        The experiment's jobs.
    """

    def __init__(self, service: JobService) -> None:
        self._service = service
        self._statuses: dict[JobName, JobStatus] = {}
        self._released: set[JobName] = set()

    @property
    def jobs(self) -> Set[JobName]:
        """All jobs that listings named."""
        return self._statuses.keys()

    @property
    def available(self) -> list[JobName]:
        """The jobs whose instances wait for another."""
        return [run for run, status in self._statuses.items() if status.pool is PoolStatus.AVAILABLE]

    @property
    def reusers(self) -> set[str]:
        """Names of the jobs that began on instances which another one had left."""
        return {status.reused_by for status in self._statuses.values() if status.reused_by}

    @property
    def idle_seconds(self) -> Mapping[JobName, int]:
        """Billed seconds that instances stood idle after each job."""
        return {run: status.idle_seconds for run, status in self._statuses.items()}

    def update(self, statuses: Mapping[JobName, JobStatus]) -> None:
        """Take what a listing says."""
        self._statuses.update(statuses)

    def was_dropped(self, run: JobName) -> bool:
        """Whether the service gave a job's instances away at once although they were to be kept."""
        status = self._statuses.get(run)
        return (
            status is not None
            and status.status == "Completed"
            and status.pool is PoolStatus.TERMINATED
            and not status.idle_seconds
        )

    def records(self, startups: Mapping[JobName, float], warm: Set[str]) -> tuple[JobRecord, ...]:
        """All jobs as the console shows them, in order of their creation.

        Parameters
        ----------
        startups
            Service seconds that jobs needed to begin, as far as that is known.
        warm
            Names of the jobs that began on instances which another had left.
        """
        in_order = sorted(self._statuses.items(), key=lambda item: item[1].created)
        return tuple(
            JobRecord(
                name=self._service.name(run),
                pool=str(status.pool),
                is_warm=self._service.name(run) in warm,
                startup=startups.get(run),
                why=self._why(run, status),
            )
            for run, status in in_order
        )

    def _why(self, run: JobName, status: JobStatus) -> str:
        """Why a job's pool was not reused."""
        if status.pool is not PoolStatus.TERMINATED:
            return ""
        if run in self._released:
            return "released at the end"
        if status.idle_seconds:
            return f"nobody came for {status.idle_seconds} s"
        return "no quota for warm pools" if status.status == "Completed" else "its job did not complete"

    def release(self) -> list[str]:
        """Give back all instances that stand idle, and look what they cost.

        Returns
        -------
        list of str
            The names of jobs whose pools could not be released.

        Raises
        ------
        ServiceError
            The jobs cannot be listed.
        """
        self.update(self._service.list_jobs())
        kept = self.available
        failed = [self._service.name(run) for run in kept if not self._end(run)]
        if kept:
            self.update(self._service.list_jobs())
        return failed

    def _end(self, run: JobName) -> bool:
        """Whether a pool could be released."""
        for _ in range(_ATTEMPTS):
            try:
                self._service.end_pool(run)
            except ServiceError:
                continue
            self._released.add(run)
            return True
        return False


_MAX_NOTICES: Final = 20
STARTUP: Final = "start-up"
TRAINING: Final = "training"
UPLOAD: Final = "upload"
IDLE: Final = "pool idle"
UNBILLED: Final = "not billed yet"
"""What dollars are paid for; the last: an estimate of what the service has not billed yet."""


@final
class CostTracker:
    """Counts an experiment's jobs, those of earlier sessions included, and keeps its bill and the session's notices.

    While a job runs, its bill is estimated from the runner's reports and the times of the job; when a session begins
    or is closed, the service's own figures take their place where it has them.

    Parameters
    ----------
    service
        The experiment's jobs.
    settings
        Whether there are warm pools.
    """

    def __init__(self, service: JobService, settings: SageMakerSettings) -> None:
        self._service = service
        self._settings = settings
        self._pools = WarmPools(service)
        self._notices: dict[str, None] = {}
        self._prices: dict[JobName, float] = {}
        """Dollars per second of each job."""
        self._types: dict[JobName, str] = {}
        """Instance type of each job."""
        self._billed: dict[JobName, float] = {}
        """Seconds of each job that is over."""
        self._startups: dict[JobName, float] = {}
        """Service seconds that each job needed to begin."""
        self._bills: Mapping[JobName, Bill] = {}
        """What the service said last."""
        self._records: tuple[JobRecord, ...] | None = None
        """All jobs; None: not made since the last listing."""

    def notify(self, text: str) -> None:
        """Keep a line for the user: the same one only once, and the last twenty."""
        self._notices.setdefault(text)
        if len(self._notices) > _MAX_NOTICES:
            del self._notices[next(iter(self._notices))]

    def recall(self, statuses: Mapping[JobName, JobStatus]) -> None:
        """Take over the jobs of earlier sessions.

        Raises
        ------
        ServiceError
            The service does not say what was billed.
        """
        self.update(statuses)
        if statuses:
            self._take_bills()

    def owns(self, flight: TrackedRun) -> None:
        """A job was created, or adopted from an earlier session."""
        self._prices[flight.name] = flight.order.dollars_per_hour / 3600
        order = flight.order
        self._types[flight.name] = order.instance_type or instance_of(order.config, self._settings)[0]

    def over(self, flight: TrackedRun) -> None:
        """A job is over."""
        self._billed[flight.name] = flight.billed_seconds()
        if self._settings.warm_pool and self._pools.was_dropped(flight.name):
            self.notify(NOT_KEPT.format(instance_type=self._types[flight.name]))

    def idle_types(self) -> set[str]:
        """Instance types of the warm pools that wait for a job, as far as listings told."""
        return {self._types[run] for run in self._pools.available if run in self._types}

    def is_warm(self, run: JobName) -> bool:
        """Whether a job is known to have begun on instances which another one had left."""
        return self._service.name(run) in self._pools.reusers

    def type_of(self, run: JobName) -> str:
        """The instance type of a job; empty where it is not known."""
        return self._types.get(run, "")

    def update(self, statuses: Mapping[JobName, JobStatus]) -> None:
        """Take what a listing says."""
        self._pools.update(statuses)
        self._records = None

    def close(self) -> None:
        """Release the warm pools and ask what was billed.

        Raises
        ------
        ServiceError
            The service does not answer: pools may be kept.
        """
        if self._settings.warm_pool and (self._prices or self._pools.jobs):
            for name in self._pools.release():
                self.notify(f"WARNING: the warm pool of {name} could not be released; it ends by itself")
        if self._prices:
            self._take_bills()
        self._records = None

    def summary(self, calls: Mapping[str, int], running: Iterable[TrackedRun]) -> BackendSummary:
        """All figures at present.

        Parameters
        ----------
        calls
            Requests by operation.
        running
            Runs that are not over.
        """
        idle = {run: float(s) for run, s in self._pools.idle_seconds.items()}
        billed = {flight.name: flight.billed_seconds() for flight in running} | self._billed
        jobs = self._prices.keys() | self._pools.jobs
        names = {self._service.name(run) for run in jobs}
        return BackendSummary(
            is_total=True,
            jobs=len(jobs),
            warm_starts=len(self._warm_names() & names),
            calls=calls,
            billable_seconds=sum(billed.values()),
            pool_idle_seconds=sum(idle.values()),
            spot_saved_seconds=sum(bill.saved for bill in self._bills.values()),
            interruptions=sum(bill.interruptions for bill in self._bills.values()),
            cost=sum(self._prices.get(run, 0.0) * spent for run, spent in [*billed.items(), *idle.items()]),
            notices=tuple(self._notices),
            cost_phases=self._phases(billed, idle),
            job_records=self._job_records(),
        )

    def _job_records(self) -> tuple[JobRecord, ...]:
        if self._records is None:
            self._records = self._pools.records(self._startups, self._warm_names())
        return self._records

    def _warm_names(self) -> set[str]:
        """Names of the jobs that began on instances which another had left, of this experiment or of another."""
        foreign = (run for run, bill in self._bills.items() if bill.is_warm and self._settings.warm_pool)
        return self._pools.reusers | {self._service.name(run) for run in foreign}

    def _phases(self, billed: Mapping[JobName, float], idle: Mapping[JobName, float]) -> Mapping[str, float]:
        """Dollars of all jobs by what they were paid for."""
        dollars = dict.fromkeys((STARTUP, TRAINING, UPLOAD, IDLE, UNBILLED), 0.0)
        for run, seconds in billed.items():
            price, bill = self._prices.get(run, 0.0), self._bills.get(run)
            if bill is None:
                dollars[UNBILLED] += price * seconds
                continue
            dollars[STARTUP] += price * bill.startup_seconds
            dollars[TRAINING] += price * bill.training_seconds
            dollars[UPLOAD] += price * bill.upload_seconds
        dollars[IDLE] = sum(self._prices.get(run, 0.0) * seconds for run, seconds in idle.items())
        return {phase: spent for phase, spent in dollars.items() if spent}

    def _take_bills(self) -> None:
        self._bills = self._service.bills()
        for run, bill in self._bills.items():
            self._billed[run] = bill.seconds
            if bill.startup is not None:
                self._startups[run] = bill.startup * self._service.speed
            self._types[run] = bill.instance_type
            if run not in self._prices:
                config = {"instance_type": bill.instance_type, "instance_count": bill.instance_count}
                self._prices[run] = (dollars_per_hour(config, self._settings) or 0.0) / 3600
