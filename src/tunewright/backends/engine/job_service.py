"""The port to an engine that runs jobs, such as SageMaker, Slurm or Ray: its operations and the records of its answers."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import Final, Generic, Protocol, TypeVar

from tunewright.trial import BackendSummary, PhaseName, Run
from tunewright.types import Config, Dataclass

_KEY: Final = re.compile(r"(\d+)-(\d+)-(\d+)")


class Order(Dataclass, Protocol):
    """A job to create: a record with at least these fields."""

    @property
    def key(self) -> str:
        """The part of the job's name after the experiment's prefix: three numbers with hyphens."""
        ...

    @property
    def config(self) -> Config:
        """The configuration, which may fix the instance type and the number of instances."""
        ...

    @property
    def instance_type(self) -> str:
        """The chosen instance type; empty: none."""
        ...

    @property
    def dollars_per_hour(self) -> float:
        """Price of all instances of the job."""
        ...

    @property
    def is_attached(self) -> bool:
        """Whether an earlier session of the experiment may have created the job."""
        ...


OrderT = TypeVar("OrderT", bound=Order)
AcceptedT_contra = TypeVar("AcceptedT_contra", bound=Order, contravariant=True)


@dataclass(frozen=True, slots=True)
class JobName:
    """One retry of one run."""

    trial_id: int
    attempt: int
    retry: int

    @property
    def key(self) -> str:
        """``{trial}-{attempt}-{retry}``, as in job names, report keys and control keys."""
        return f"{self.trial_id}-{self.attempt}-{self.retry}"

    @classmethod
    def parse(cls, key: str) -> JobName | None:
        """The name of a key; None for anything else."""
        match = _KEY.fullmatch(key)
        return cls(int(match[1]), int(match[2]), int(match[3])) if match else None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """One retry of one run, as a job."""

    run: Run
    config: Config
    retry: int = 0
    cost_before: float = 0.0
    """Dollars of earlier retries."""
    instance_type: str = ""
    """The one of several listed types that was chosen; empty: that of the settings, or of the configuration."""
    dollars_per_hour: float = 0.0
    """Of all instances of the job together, on demand."""
    billed_share: float = 1.0
    """Part of the job's time that is taken to be billed: less than 1 on spot instances."""
    n_instances: int = 1
    """Of the job; only the first one reports."""
    checkpoint_key: str = ""
    """Common prefix of the keys of the initial checkpoint, if an input channel brings it; empty: the runner fetches it,
    or there is none."""
    is_attached: bool = False
    """Whether an earlier session began the run: it may have created the job, and died before any listing showed it."""

    @property
    def name(self) -> JobName:
        """The run and its retry."""
        return JobName(self.run.trial_id, self.run.attempt, self.retry)

    @property
    def key(self) -> str:
        """``{trial}-{attempt}-{retry}``."""
        return self.name.key


class JobState(Enum):
    """State of a job in its engine."""

    STARTING = "starting"
    """Waiting for instances."""
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    STOPPED = "stopped"
    TIMED_OUT = "timed out"
    """Ended by the engine after the longest time that a job may run."""
    WAIT_EXPIRED = "wait expired"
    """Ended by the engine after the longest time that a job may wait for instances."""


_TERMINAL: Final = frozenset(JobState) - {JobState.STARTING, JobState.RUNNING}


class PoolStatus(StrEnum):
    """State of the instances that an ended job leaves for the next one."""

    NONE = ""
    IN_USE = "InUse"
    AVAILABLE = "Available"
    REUSED = "Reused"
    TERMINATED = "Terminated"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """One line of a listing of jobs. Times are seconds since 1970."""

    state: JobState
    detail: str = ""
    """The engine's own word for the state."""
    phase: PhaseName | None = None
    """Phase of the run on the job's instances; None if the engine does not tell."""
    created: float
    started: float | None = None
    """When it got its instances; None: not yet, or unknown."""
    ended: float | None = None
    pool: PoolStatus = PoolStatus.NONE
    idle_seconds: int = 0
    """Billed seconds that the instances were kept idle after the job."""
    reused_by: str = ""
    """Name of the job that took over the instances."""

    @property
    def is_terminal(self) -> bool:
        """Whether the job has ended."""
        return self.state in _TERMINAL


def name_taken(job: str) -> str:
    """Message of a name under which another experiment has created jobs.

    Parameters
    ----------
    job
        Full name of such a job.
    """
    return (
        f"The name of this experiment is taken: another one has created the job {job}. Choose another name "
        "(--experiment_tag, or experiment= in Python), or continue the other experiment with 'tunewright resume'"
    )


class CreateOutcome(Enum):
    """Outcome of a request to create a job."""

    CREATED = "created"
    """The job exists, created now or by an earlier request with the same key."""
    LATER = "later"
    """The engine takes no more requests at present: retry later."""
    FULL = "full"
    """The account's limit for the instance type is reached: retry later."""
    UNKNOWN = "unknown"
    """No answer: the job may exist. Retry later with the same key."""
    REFUSED = "refused"
    """This job will never be accepted."""
    TOO_LARGE = "too large"
    """The account's limit is below the instances that the job's configuration asks for: only a smaller job may be accepted."""
    TYPE_REFUSED = "type refused"
    """Neither this job nor any other with the same instance type will ever be accepted."""
    UNEXPLAINED = "unexplained"
    """Refused for a reason that is not known: for good if it is the first job, perhaps for now if others were accepted."""


@dataclass(frozen=True, slots=True)
class Submission:
    """Answer to a request to create a job."""

    outcome: CreateOutcome
    reason: str = ""
    """Message for the user; empty if the job was created."""


CREATED: Final = Submission(CreateOutcome.CREATED)
"""The job exists."""


class FailureCause(Enum):
    """Responsible party for a job's failure."""

    JOB = "job"
    """The job itself: it is not retried."""
    SERVICE = "service"
    """The engine: the run is retried."""
    CAPACITY = "capacity"
    """The engine had no instances of the type: the run is retried, and the type avoided for a while."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Explanation of a job that ended without the consent of its script."""

    cause: FailureCause
    reason: str
    """The engine's own words; empty if it gives none."""
    remedy: str = ""
    """Advice, if every job fails for this reason before its script begins."""
    hint: str = ""
    """Advice, if retries do not help."""


class JobService(ABC, Generic[AcceptedT_contra]):
    """The jobs of one experiment in an engine.

    A job's key is the part of its name after the experiment's prefix, ``{n}-{n}-{n}``. It is an idempotency key: a create
    request that is sent again after a lost answer creates no second job. Every method raises
    :class:`~tunewright.exceptions.RequestError` if the engine refuses the request or does not answer.
    """

    @property
    def max_instances(self) -> int | None:
        """Maximum of instances of one job, known after :meth:`prepare`; None (the default): unknown."""
        return None

    @abstractmethod
    def prepare(self, n_instances: int) -> None:
        """Store the code and check the account's limits; called once, before any job is created.

        Parameters
        ----------
        n_instances
            Instances wanted at the same time.

        Raises
        ------
        BackendError
            The storage cannot be used.
        """

    def create_delay(self) -> float:
        """Real seconds until the engine's request rate allows another job; by default 0."""
        return 0.0

    def list_delay(self) -> float:
        """Real seconds until the engine's request rate allows another listing; by default 0."""
        return 0.0

    @abstractmethod
    def create(self, order: AcceptedT_contra) -> Submission:
        """Create a job, or adopt the one of that key if a request of this session, whose answer was lost, created it.

        The job of an attached order is also adopted if an earlier session created it by the same request.

        Raises
        ------
        RequestError
            The job could not be prepared; it was not created.
        BackendError
            No job of this account can be created, whatever the run, or the name is taken.
        """

    @abstractmethod
    def list_jobs(self, *, wanted: Collection[str] = (), since: float = 0.0) -> dict[str, JobStatus]:
        """Statuses by key, by as few requests as possible.

        Parameters
        ----------
        wanted
            Keys to find; a listing may end once all were found, or if they are too far back. Empty: all jobs.
        since
            Jobs created a while before this time, in seconds since 1970, may be left out.
        """

    def describe(self, key: str) -> JobStatus:
        """Status of one job; by default from :meth:`list_jobs`.

        Raises
        ------
        KeyError
            The engine does not know the job.
        """
        return self.list_jobs(wanted=[key])[key]

    @abstractmethod
    def stop(self, key: str) -> None:
        """Stop a job by force; a job that has ended is left alone."""

    @abstractmethod
    def failure(self, key: str, status: JobStatus) -> Failure:
        """Explain a job that has ended in a state other than COMPLETED."""

    @abstractmethod
    def full_name(self, key: str) -> str:
        """The job's name in the engine."""

    def has_present_code(self, key: str) -> bool:
        """Whether a job of an earlier session has the code that new jobs get; an engine that cannot tell says yes."""
        del key
        return True

    def revive(self) -> None:
        """Restart the engine after a lost connection, if it runs on behalf of this process."""

    def close(self) -> None:
        """Release the connection; by default, nothing is open."""


class InstancePrices(ABC):
    """The instance types of an experiment and their prices."""

    types: tuple[str, ...]
    """All types that will do, the preferred one first."""

    @abstractmethod
    def fixed_type(self, config: Config) -> str:
        """The type that a configuration chooses itself; empty: one of :attr:`types`."""

    def instances(self, config: Config) -> int:
        """Instances of a job; by default 1.

        Parameters
        ----------
        config
            May choose their number.
        """
        del config
        return 1

    @abstractmethod
    def per_hour(self, config: Config, instance_type: str = "") -> float:
        """Dollars per hour of all instances of a job; 0 if the price is unknown.

        Parameters
        ----------
        config
            May choose type and number of the instances.
        instance_type
            Empty: that of the configuration, or the preferred one.
        """


class CostTracker(ABC):
    """Jobs and costs of an experiment, earlier sessions included."""

    @abstractmethod
    def recall(self, statuses: Mapping[str, JobStatus]) -> None:
        """Add the jobs of earlier sessions and their bills.

        Raises
        ------
        RequestError
            The engine does not say what was billed.
        """

    @abstractmethod
    def add_job(self, key: str, *, dollars_per_hour: float, instance_type: str) -> None:
        """Add a job that was created or adopted."""

    @abstractmethod
    def end_job(self, key: str, billed_seconds: float) -> None:
        """Record the final estimate of a job that has ended."""

    @abstractmethod
    def update(self, statuses: Mapping[str, JobStatus]) -> None:
        """Take over a listing."""

    @abstractmethod
    def is_warm(self, key: str) -> bool:
        """Whether a job is known to have started on instances that another job left."""

    @abstractmethod
    def type_of(self, key: str) -> str:
        """Instance type of a job; empty if unknown."""

    @abstractmethod
    def idle_types(self) -> Collection[str]:
        """Types of the instances that are kept idle for the next job."""

    @abstractmethod
    def summary(self, running: Mapping[str, float]) -> BackendSummary:
        """All figures, and the notices for the user.

        Parameters
        ----------
        running
            Billed seconds so far of the jobs that have not ended, by key.
        """

    @abstractmethod
    def close(self) -> None:
        """Release idle instances and replace estimates by the engine's bills.

        Raises
        ------
        RequestError
            The engine does not answer: instances may be kept, and billed.
        """
