"""A backend on an engine whose jobs see a folder of the tuner.

An engine brings a class that inherits from :class:`FolderJobs` and :class:`JobService`, and submits, lists and stops jobs; each job is a command that runs
once. Everything else is here: a job per run, or, if the channel has times of workers, jobs that take run after run::

    channel = channel_for(benchmark, folder, workers=worker_times(job_seconds) if is_workers else None)
    jobs = MyJobs(channel, experiment)
    backend = FolderBackend(channel, jobs, EngineSettings(engine="Mine", n_workers=benchmark.n_workers))
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, final

from tunewright.backends.engine.backend import Dispatcher, EngineBackend
from tunewright.backends.engine.context import EngineContext, EngineSettings, Notices, ServiceTime
from tunewright.backends.engine.flat_costs import FlatCosts, FlatPrices
from tunewright.backends.engine.folder_channel import FolderChannel, FolderOrder, FolderTaskBoard
from tunewright.backends.engine.job_service import (
    CostTracker,
    Failure,
    FailureCause,
    InstancePrices,
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
        self._channel = channel
        self._prefix = f"tw-{experiment}-"

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

    def full_name(self, key: str) -> str:
        """``tw-{experiment}-{key}``, a job's name in the engine."""
        return self._prefix + key

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
