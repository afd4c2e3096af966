"""Costs of an experiment: prices, jobs, billed seconds and warm pools."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any, Final, final

from typing_extensions import override

from tunewright.aws import AwsSession, Price, ServiceError, origins
from tunewright.backends.engine.context import Notices
from tunewright.backends.engine.job_service import (
    CostTracker,
    InstancePrices,
    JobState,
    JobStatus,
    PoolStatus,
)
from tunewright.backends.sagemaker.deployment import job_price
from tunewright.backends.sagemaker.job_service import Bill, SageMakerJobs
from tunewright.backends.sagemaker.requests import chooses_type, instance_of
from tunewright.backends.sagemaker.settings import JobSettings
from tunewright.trial import BackendSummary, JobRecord
from tunewright.types import Config

NOT_KEPT = (
    "WARNING: SageMaker did not keep the warm pool, so each trial starts cold. Ask Service Quotas for "
    '"{instance_type} for training warm pool usage" of at least the number of workers.'
)

UNPRICED: Final = "WARNING: the price of {instance_type} is not known: costs leave it out, and max_cost does not end the experiment"

_ATTEMPTS: Final = 5
"""Attempts to release a pool; the rate of the operation separates them."""


@final
class WarmPools:
    """The instances that ended jobs left.

    Parameters
    ----------
    jobs
        The experiment's jobs.
    """

    def __init__(self, jobs: SageMakerJobs[Any]) -> None:
        self._jobs = jobs
        self._statuses: dict[str, JobStatus] = {}
        self._released: set[str] = set()

    @property
    def keys(self) -> Set[str]:
        """All jobs that listings named."""
        return self._statuses.keys()

    @property
    def available(self) -> list[str]:
        """The jobs whose instances wait for another."""
        return [key for key, status in self._statuses.items() if status.pool is PoolStatus.AVAILABLE]

    @property
    def reusers(self) -> set[str]:
        """Names of the jobs that began on instances which another one had left."""
        return {status.reused_by for status in self._statuses.values() if status.reused_by}

    @property
    def idle_seconds(self) -> Mapping[str, int]:
        """Billed seconds that instances stood idle after each job."""
        return {key: status.idle_seconds for key, status in self._statuses.items()}

    def update(self, statuses: Mapping[str, JobStatus]) -> None:
        """Take over a listing."""
        self._statuses.update(statuses)

    def was_dropped(self, key: str) -> bool:
        """Whether the service gave a job's instances away at once although they were to be kept."""
        status = self._statuses.get(key)
        return (
            status is not None
            and status.state is JobState.COMPLETED
            and status.pool is PoolStatus.TERMINATED
            and not status.idle_seconds
        )

    def records(self, startups: Mapping[str, float], warm: Set[str]) -> tuple[JobRecord, ...]:
        """All jobs as the console shows them, in order of their creation.

        Parameters
        ----------
        startups
            Service seconds that jobs needed to begin, as far as that is known.
        warm
            Names of the jobs that started on instances that another job left.
        """
        in_order = sorted(self._statuses.items(), key=lambda item: item[1].created)
        return tuple(
            JobRecord(
                name=self._jobs.full_name(key),
                pool=str(status.pool),
                is_warm=self._jobs.full_name(key) in warm,
                startup=startups.get(key),
                why=self._why(key, status),
            )
            for key, status in in_order
        )

    def _why(self, key: str, status: JobStatus) -> str:
        """Reason why a job's pool was not reused."""
        if status.pool is not PoolStatus.TERMINATED:
            return ""
        if key in self._released:
            return "released at the end"
        if status.idle_seconds:
            return f"not reused for {status.idle_seconds} s"
        return "no quota for warm pools" if status.state is JobState.COMPLETED else "its job did not complete"

    def release(self) -> list[str]:
        """Release all idle instances, and list their costs.

        Returns
        -------
        list of str
            The names of jobs whose pools could not be released.

        Raises
        ------
        ServiceError
            The jobs cannot be listed.
        """
        self.update(self._jobs.list_jobs())
        kept = self.available
        failed = [self._jobs.full_name(key) for key in kept if not self._end(key)]
        if kept:
            self.update(self._jobs.list_jobs())
        return failed

    def _end(self, key: str) -> bool:
        """Whether a pool could be released."""
        for _ in range(_ATTEMPTS):
            try:
                self._jobs.release_pool(key)
            except ServiceError:
                continue
            self._released.add(key)
            return True
        return False


STARTUP: Final = "start-up"
TRAINING: Final = "training"
UPLOAD: Final = "upload"
IDLE: Final = "pool idle"
UNBILLED: Final = "not billed yet"
"""Keys of costs by billed phase; the last one is an estimate of costs that the service has not billed yet."""


@final
class SageMakerPrices(InstancePrices):
    """Instance types and prices of an experiment's settings.

    Parameters
    ----------
    settings
        The listed types; the price, if the user gave it.
    notices
        For the user.
    listed
        Prices by instance type.
    """

    def __init__(self, settings: JobSettings, notices: Notices, listed: Mapping[str, Price]) -> None:
        self.types = settings.types
        self._settings = settings
        self._notices = notices
        self._listed = listed
        self._used: dict[str, Price] = {}
        """Prices of the jobs so far, by instance type."""

    @property
    def origins(self) -> str:
        """Origins of the prices of the jobs so far."""
        return origins(self._used.values())

    @override
    def fixed_type(self, config: Config) -> str:
        """The hyperparameter ``instance_type``, if the configuration has it."""
        return instance_of(config, self._settings)[0] if chooses_type(config) else ""

    @override
    def instances(self, config: Config) -> int:
        return instance_of(config, self._settings)[1]

    @override
    def per_hour(self, config: Config, instance_type: str = "") -> float:
        settings = self._settings.on(instance_type) if instance_type else self._settings
        price, kind = job_price(config, settings, self._listed), instance_of(config, settings)[0]
        if price is None:
            self._notices.add(UNPRICED.format(instance_type=kind))
            return 0.0
        self._used[kind] = price
        return price.dollars_per_hour


@final
class SageMakerCosts(CostTracker):
    """Counts an experiment's jobs, those of earlier sessions included, and keeps its bill.

    While a job runs, its bill is estimated; when a session begins or is closed, SageMaker's own figures replace the
    estimates as far as they are known.

    Parameters
    ----------
    jobs
        The experiment's jobs.
    settings
        Whether there are warm pools.
    notices
        For the user.
    session
        Counts its requests.
    prices
        Of the jobs.
    """

    def __init__(
        self,
        jobs: SageMakerJobs[Any],
        settings: JobSettings,
        notices: Notices,
        session: AwsSession,
        prices: SageMakerPrices,
    ) -> None:
        self._jobs = jobs
        self._settings = settings
        self._notices = notices
        self._session = session
        self._per_hour = prices
        self._pools = WarmPools(jobs)
        self._prices: dict[str, float] = {}
        """Dollars per second of each job."""
        self._types: dict[str, str] = {}
        """Instance type of each job."""
        self._billed: dict[str, float] = {}
        """Seconds of each job that has ended."""
        self._startups: dict[str, float] = {}
        """Service seconds from each job's creation to its training."""
        self._bills: Mapping[str, Bill] = {}
        """The newest bills of the service."""
        self._records: tuple[JobRecord, ...] | None = None
        """All jobs; None: not made since the last listing."""

    @override
    def recall(self, statuses: Mapping[str, JobStatus]) -> None:
        self.update(statuses)
        if statuses:
            self._take_bills()

    @override
    def add_job(self, key: str, *, dollars_per_hour: float, instance_type: str) -> None:
        self._prices[key] = dollars_per_hour / 3600
        self._types[key] = instance_type

    @override
    def end_job(self, key: str, billed_seconds: float) -> None:
        self._billed[key] = billed_seconds
        if self._settings.config.warm_pool and self._pools.was_dropped(key):
            self._notices.add(NOT_KEPT.format(instance_type=self._types[key]))

    @override
    def update(self, statuses: Mapping[str, JobStatus]) -> None:
        self._pools.update(statuses)
        self._records = None

    @override
    def is_warm(self, key: str) -> bool:
        """Whether a listing names the job as the user of another job's warm pool."""
        return self._jobs.full_name(key) in self._pools.reusers

    @override
    def type_of(self, key: str) -> str:
        return self._types.get(key, "")

    @override
    def idle_types(self) -> set[str]:
        """Types of the available warm pools, as far as listings show them."""
        return {self._types[key] for key in self._pools.available if key in self._types}

    @override
    def summary(self, running: Mapping[str, float]) -> BackendSummary:
        """All figures at present, of all sessions."""
        idle = {key: float(seconds) for key, seconds in self._pools.idle_seconds.items()}
        billed = {**running, **self._billed}
        keys = self._prices.keys() | self._pools.keys
        names = {self._jobs.full_name(key) for key in keys}
        return BackendSummary(
            is_total=True,
            jobs=len(keys),
            warm_starts=len(self._warm_names() & names),
            calls=self._session.calls,
            billable_seconds=sum(billed.values()),
            pool_idle_seconds=sum(idle.values()),
            spot_saved_seconds=sum(bill.saved for bill in self._bills.values()),
            interruptions=sum(bill.interruptions for bill in self._bills.values()),
            cost=sum(self._prices.get(key, 0.0) * spent for key, spent in [*billed.items(), *idle.items()]),
            notices=self._notices.lines,
            cost_phases=self._phases(billed, idle),
            prices=self._per_hour.origins,
            job_records=self._job_records(),
        )

    @override
    def close(self) -> None:
        """Release the warm pools and take over the bills."""
        if self._settings.config.warm_pool and (self._prices or self._pools.keys):
            for name in self._pools.release():
                self._notices.add(
                    f"WARNING: the warm pool of {name} could not be released; it ends by itself"
                )
        if self._prices:
            self._take_bills()
        self._records = None

    def _job_records(self) -> tuple[JobRecord, ...]:
        if self._records is None:
            self._records = self._pools.records(self._startups, self._warm_names())
        return self._records

    def _warm_names(self) -> set[str]:
        """Names of the jobs that started on instances that another job left, of this experiment or of another."""
        foreign = (
            key for key, bill in self._bills.items() if bill.is_warm and self._settings.config.warm_pool
        )
        return self._pools.reusers | {self._jobs.full_name(key) for key in foreign}

    def _phases(self, billed: Mapping[str, float], idle: Mapping[str, float]) -> Mapping[str, float]:
        """Dollars of all jobs by billed phase."""
        dollars = dict.fromkeys((STARTUP, TRAINING, UPLOAD, IDLE, UNBILLED), 0.0)
        for key, seconds in billed.items():
            price, bill = self._prices.get(key, 0.0), self._bills.get(key)
            if bill is None:
                dollars[UNBILLED] += price * seconds
                continue
            dollars[STARTUP] += price * bill.startup_seconds
            dollars[TRAINING] += price * bill.training_seconds
            dollars[UPLOAD] += price * bill.upload_seconds
        dollars[IDLE] = sum(self._prices.get(key, 0.0) * seconds for key, seconds in idle.items())
        return {phase: spent for phase, spent in dollars.items() if spent}

    def _take_bills(self) -> None:
        self._bills = self._jobs.bills()
        for key, bill in self._bills.items():
            self._billed[key] = bill.seconds
            if bill.startup is not None:
                self._startups[key] = bill.startup * self._jobs.speed
            self._types[key] = bill.instance_type
            if key not in self._prices:
                config = {"instance_type": bill.instance_type, "instance_count": bill.instance_count}
                self._prices[key] = self._per_hour.per_hour(config) / 3600
