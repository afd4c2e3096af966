"""A backend on an engine whose jobs see a folder of the tuner.

An engine brings a class that inherits from :class:`FolderJobs` and :class:`JobService`, and submits, lists and stops jobs; each job is a command that runs
once. Everything else is here: a job per run, or, if the channel has times of workers, jobs that take run after run::

    channel = channel_for(benchmark, folder, workers=worker_times(job_seconds) if is_workers else None)
    jobs = MyJobs(channel, experiment)
    backend = FolderBackend(channel, jobs, EngineSettings(engine="Mine", n_workers=benchmark.n_workers))
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, final

from tunewright.backends.engine.backend import Dispatcher, EngineBackend
from tunewright.backends.engine.context import EngineContext, EngineSettings, Notices, ServiceTime
from tunewright.backends.engine.flat_costs import FlatCosts, FlatPrices
from tunewright.backends.engine.folder_channel import FolderChannel, FolderOrder, FolderTaskBoard
from tunewright.backends.engine.job_service import (
    CostTracker,
    CreateOutcome,
    Failure,
    FailureCause,
    InstancePrices,
    JobName,
    JobService,
    JobStatus,
    Submission,
)
from tunewright.backends.engine.jobs import JobDispatcher
from tunewright.backends.engine.worker_jobs import FleetPlan, WorkerTimes
from tunewright.backends.engine.workers import WorkerDispatcher
from tunewright.interfaces import Backend

JOB_LOG: Final = "job.log"
"""File of a job's folder for the output of the job itself; the output of scripts is in files of their runs."""
_LOG_END: Final = 1000
_LEASE_SECONDS: Final = 60.0
_IDLE_SECONDS: Final = 300.0
_LONGEST_MARGIN: Final = 1200.0
_ANSWER_SECONDS: Final = 0.5
"""Half of the seconds between two looks of a runner at its control file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderJob:
    """A job to submit."""

    key: str
    """Three numbers with hyphens, unique in the experiment."""
    name: str
    """Of the job in the engine, made of the experiment's name and the key."""
    folder: Path
    """The job's own, for its output (:data:`JOB_LOG`) and for files of the engine."""
    command: Sequence[str]
    """Runs the job; SIGTERM ends it well."""
    may_exist: bool
    """Whether an earlier session of the experiment may have submitted it."""


class SignsOfLife(Protocol):
    """Where jobs show that they live."""

    @abstractmethod
    def begun(self) -> dict[str, float]:
        """The jobs that have begun in any session, by key, with seconds since 1970."""
        ...

    @abstractmethod
    def heartbeat(self, key: str) -> str:
        """A job's sign of life, different from the last one while it lives; empty before it has begun."""
        ...


def job_name(experiment: str, key: str) -> str:
    """Name of an experiment's job in the engine: ``tw-{experiment}-{key}``; with an empty key the beginning of all their names."""
    return f"tw-{experiment}-{key}"


@final
class SubmittedJobs:
    """Names, answers and signs of life of an experiment's jobs.

    Parameters
    ----------
    signs
        Where the jobs show that they live.
    experiment
        Unique name of the experiment.
    """

    def __init__(self, signs: SignsOfLife, experiment: str) -> None:
        self._signs = signs
        self._prefix = job_name(experiment, "")
        self.unanswered: set[str] = set()
        """Keys of submissions whose answer was lost."""
        self.known: dict[str, float] = {}
        """Jobs that the engine has shown or accepted, by key: seconds since 1970."""
        self._pulses: dict[str, tuple[str, float]] = {}
        """The newest sign of life of each running job, and the monotonic second at which it was first seen."""
        self._silent: set[str] = set()
        """Jobs without a sign of life, which were given up."""

    def accepted(self, key: str) -> Submission:
        """Note that the engine has a job; return the outcome of its submission."""
        self.unanswered.discard(key)
        self.known[key] = time.time()
        return Submission(CreateOutcome.CREATED)

    def full_name(self, key: str) -> str:
        """Name of a job in the engine, see :func:`job_name`."""
        return self._prefix + key

    def key_of(self, name: str) -> str | None:
        """The inverse of :meth:`full_name`; None for the name of a job that is not of this experiment."""
        key = name.removeprefix(self._prefix)
        return key if name.startswith(self._prefix) and JobName.parse(key) is not None else None

    def pulse(self, key: str) -> tuple[str, float]:
        """The newest sign of life of a job, empty before its first one, and the seconds for which it was seen unchanged."""
        beat, now = self._signs.heartbeat(key), time.monotonic()
        last, since = self._pulses.get(key, (beat, now))
        self._pulses[key] = (beat, since if beat == last else now)
        return beat, now - self._pulses[key][1]

    def is_silent(
        self, key: str, silent_after: float, never_began: float, stop: Callable[[str], None]
    ) -> bool:
        """Return whether a job that the engine calls running shows no life; it is stopped then, and stays given up.

        Parameters
        ----------
        key
            Of the job.
        silent_after
            Seconds after its last sign of life.
        never_began
            Seconds without any sign of life.
        stop
            Stops a job by its key.
        """
        if key in self._silent:
            return True
        beat, seconds = self.pulse(key)
        if seconds <= (silent_after if beat else never_began):
            return False
        stop(key)
        self._silent.add(key)
        return True


class FolderJobs(ABC):
    """Jobs of an engine that runs commands on machines that see the tuner's folder.

    It implements methods of :class:`JobService`; the jobs of an engine inherit from both, and are left with :meth:`submit`, ``list_jobs`` and ``stop``. If a job is submitted twice, the second command ends at once, as the
    first one has claimed the folder.

    Parameters
    ----------
    channel
        The folder.
    experiment
        Unique name of the experiment.
    """

    def __init__(self, channel: FolderChannel, experiment: str) -> None:
        self.submitted = SubmittedJobs(channel, experiment)
        self._channel = channel

    @abstractmethod
    def submit(self, job: FolderJob) -> Submission:
        """Submit a job.

        Raises
        ------
        RequestError
            It was not submitted.
        BackendError
            No job can be submitted.
        """

    def full_name(self, key: str) -> str:
        """Name of a job in the engine, see :func:`job_name`."""
        return self.submitted.full_name(key)

    def prepare(self, n_instances: int) -> None:
        """Create the folder."""
        del n_instances
        self._channel.prepare()

    def create(self, order: FolderOrder) -> Submission:
        """Write the job's folder and submit its command."""
        key, name = order.key, self.full_name(order.key)
        command = self._channel.place(order, name)
        folder = self._channel.job_folder(key)
        return self.submit(
            FolderJob(key=key, name=name, folder=folder, command=command, may_exist=order.is_attached)
        )

    def failure(self, key: str, status: JobStatus) -> Failure:
        """Blame the engine for a job that began, and the job's set-up if no job ever began."""
        name = self.full_name(key)
        if self._channel.begun():  # else the machine may be the cause
            word = status.detail or status.state.value
            return Failure(cause=FailureCause.SERVICE, reason=f"the job {name} ended as {word}")
        return Failure(
            cause=FailureCause.JOB,
            reason=f"the job {name} failed before its trial began{self.log_end(key)}",
            remedy=f"see {self._channel.job_folder(key) / JOB_LOG}",
        )

    def job_folders(self) -> dict[str, Path]:
        """The folders of all jobs that any session of the experiment has submitted, by key."""
        return self._channel.job_folders()

    def log_end(self, key: str) -> str:
        """The last lines of a job's own output, after a colon; empty if there are none."""
        file = self._channel.job_folder(key) / JOB_LOG
        try:
            text = file.read_text(encoding="utf-8", errors="replace")[-_LOG_END:].strip()
        except OSError:
            return ""
        return f":\n{text}" if text else ""


def trials_folder(shared_folder: str, name: str, *, own: Path) -> Path:
    """Where the files of an experiment's trials lie.

    Parameters
    ----------
    shared_folder
        That of the user; empty: none.
    name
        Of the experiment, and of its folder below the shared one.
    own
        Without a shared folder.
    """
    return Path(shared_folder).expanduser().absolute() / name if shared_folder else own


def worker_times(
    job_seconds: float = math.inf, *, lease: float = _LEASE_SECONDS, idle: float = _IDLE_SECONDS
) -> WorkerTimes:
    """Times of workers.

    Parameters
    ----------
    job_seconds
        Longest time of a job, after which the engine ends it.
    lease
        Seconds without a sign of life after which a worker's run goes on elsewhere.
    idle
        Seconds without a run after which a job of workers ends.
    """
    margin = 0.0 if math.isinf(job_seconds) else min(_LONGEST_MARGIN, job_seconds / 4)
    return WorkerTimes(lease=lease, take=job_seconds - margin, hand_over=job_seconds - margin / 2, idle=idle)


def folder_engine(
    channel: FolderChannel,
    jobs: JobService[FolderOrder],
    settings: EngineSettings,
    *,
    costs: CostTracker | None = None,
    prices: InstancePrices | None = None,
    notices: Notices | None = None,
    answer_seconds: float = _ANSWER_SECONDS,
) -> tuple[EngineContext[FolderOrder], Dispatcher]:
    """The parts of a backend whose jobs share a folder with the tuner: the arguments of :class:`EngineBackend`.

    Parameters
    ----------
    channel
        The folder; with times of workers, jobs are workers.
    jobs
        The engine.
    settings
        Limits and periods.
    costs, prices, notices
        By default, jobs are free of charge.
    answer_seconds
        Least seconds between two looks of one kind.
    """
    notices = notices or Notices()
    context = EngineContext(
        jobs=jobs,
        channel=channel,
        costs=costs or FlatCosts(notices),
        prices=prices or FlatPrices(settings.engine),
        settings=settings,
        time=ServiceTime(speed=1.0, min_interval=answer_seconds),
        notices=notices,
    )
    if channel.workers is None:
        return context, JobDispatcher(context)
    board = FolderTaskBoard(channel, jobs.full_name)
    plan = FleetPlan(slots=1, instances=settings.n_workers, jobs=settings.n_workers)
    return context, WorkerDispatcher(context, board, plan, channel.workers)


@final
class FolderBackend(EngineBackend, Backend):
    """Runs trials as jobs that share a folder with the tuner; each run is a job, or a task of a worker.

    Parameters
    ----------
    channel, jobs, settings
        As those of :func:`folder_engine`.
    """

    def __init__(
        self, channel: FolderChannel, jobs: JobService[FolderOrder], settings: EngineSettings
    ) -> None:
        super().__init__(*folder_engine(channel, jobs, settings))
