"""The contract between the service (life cycle, quotas, pools) and the execution of jobs.

The service decides *when* a job downloads, trains, stops and uploads; an :class:`Executor` carries it out.
The service has no processes; an executor has no statuses, quotas or pools.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JobRequest = Mapping[str, Any]
"""A validated CreateTrainingJob request with the service's defaults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """One attempt to run a training job."""

    name: str
    arn: str
    request: JobRequest
    cluster_dir: Path
    """Folder of the (possibly warm) cluster, kept between the jobs of a pool."""
    attempt: int = 0
    """Number of restarts of this job by the service (spot interruption, RetryStrategy)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobExit:
    """Exit of a job's processes."""

    exit_code: int
    """Exit status as of a container runtime: 128 + n if signal n ended the process."""
    failure_text: str = ""
    """First 1024 characters of ``/opt/ml/output/failure``; empty without that file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobArtifacts:
    """Model URI and final metrics of a job that is over."""

    model_uri: str
    final_metrics: Sequence[tuple[str, float, float]] = field(default_factory=tuple)
    """(metric name, value, epoch seconds): the last match of each MetricDefinition."""


class ExecutionError(Exception):
    """The job cannot be prepared or its artifacts not uploaded; the text is the service's FailureReason."""


class Executor(ABC):
    """Runs jobs. Called from the service's threads; only ``prepare`` and ``finish`` may block.

    For one order the calls come as ``prepare``, ``launch``, ``poll`` (many), ``finish``; ``terminate`` and ``kill``
    may come between ``launch`` and the exit. After ``prepare`` or ``launch`` raised, only ``discard`` is called.
    """

    @abstractmethod
    def prepare(self, order: JobOrder) -> int:
        """Build ``/opt/ml`` (config, channels, checkpoints) and return the number of downloaded bytes.

        Raises
        ------
        ExecutionError
            A channel is empty, or a URI cannot be read; the text is a FailureReason ("ClientError: ...").
        """

    @abstractmethod
    def launch(self, order: JobOrder) -> None:
        """Start the processes of the job and return at once.

        Raises
        ------
        ExecutionError
            The machine cannot start them; the text is a FailureReason ("InternalServerError: ...").
        """

    @abstractmethod
    def poll(self, name: str) -> JobExit | None:
        """Return the exit of the job; None while it runs."""

    @abstractmethod
    def terminate(self, name: str) -> None:
        """Send SIGTERM to the job's process 1, as a stop does."""

    @abstractmethod
    def kill(self, name: str) -> None:
        """Kill all processes of the job."""

    @abstractmethod
    def finish(self, order: JobOrder) -> JobArtifacts:
        """Upload checkpoints, model and output, close the log and forget the job.

        Raises
        ------
        ExecutionError
            An upload failed; the text is a FailureReason ("ClientError: Artifact upload failed: ...").
        """

    @abstractmethod
    def discard(self, name: str) -> None:
        """Forget a job without uploading anything (its instance was lost)."""

    @abstractmethod
    def close(self) -> None:
        """Kill all jobs and release all resources."""
