"""What an experiment did and what it costs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, final

from tunewright.backends.sagemaker.bills import Bill
from tunewright.backends.sagemaker.deployment import dollars_per_hour
from tunewright.backends.sagemaker.flight import Flight
from tunewright.backends.sagemaker.names import JobName
from tunewright.backends.sagemaker.pools import NOT_KEPT, WarmPools
from tunewright.backends.sagemaker.requests import instance_of
from tunewright.backends.sagemaker.service import JobService, JobStatus
from tunewright.backends.sagemaker.settings import SageMakerSettings
from tunewright.trial import BackendSummary, JobRecord

_MAX_NOTICES: Final = 20
STARTUP: Final = "start-up"
TRAINING: Final = "training"
UPLOAD: Final = "upload"
IDLE: Final = "pool idle"
UNBILLED: Final = "not billed yet"
"""What dollars are paid for; the last: an estimate of what the service has not billed yet."""


@final
class Accounts:
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

    def owns(self, flight: Flight) -> None:
        """A job was created, or adopted from an earlier session."""
        self._prices[flight.name] = flight.order.dollars_per_hour / 3600
        order = flight.order
        self._types[flight.name] = order.instance_type or instance_of(order.config, self._settings)[0]

    def over(self, flight: Flight) -> None:
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

    def summary(self, calls: Mapping[str, int], running: Iterable[Flight]) -> BackendSummary:
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
