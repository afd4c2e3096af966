"""What the service (life cycle, quotas, pools) and the execution of jobs agree on.

The service decides *when* a job downloads, trains, stops and uploads; an :class:`Executor` does these things.
The service knows no process, an executor knows no status, quota or pool.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

JobRequest = Mapping[str, Any]
"""A validated CreateTrainingJob request, with the defaults of the service filled in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """All that is needed to run one training job once."""

    name: str
    arn: str
    request: JobRequest
    cluster_dir: Path
    """Folder of the (possibly warm) cluster; what is kept between the jobs of a pool lives in it."""
    attempt: int = 0
    """Counts the restarts that the service made of this job (spot interruption, RetryStrategy)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobExit:
    """How the processes of a job ended."""

    exit_code: int
    """Exit status as a container runtime gives it: 128 + n where signal n ended the process."""
    failure_text: str = ""
    """First 1024 characters of ``/opt/ml/output/failure``, empty without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobArtifacts:
    """What was left in S3 when a job was over, and what its log said."""

    model_uri: str
    final_metrics: Sequence[tuple[str, float, float]] = field(default_factory=tuple)
    """(metric name, value, epoch seconds): the last match of each MetricDefinition."""


class ExecutionError(Exception):
    """The job cannot be prepared or its artifacts not uploaded; the text is the service's FailureReason."""


class Executor(ABC):
    """Runs jobs. Called from the service's threads; ``prepare`` and ``finish`` may block, the rest does not.

    For one order the calls come as ``prepare``, ``launch``, ``poll`` (many), ``finish``; ``terminate`` and ``kill``
    may come between ``launch`` and the exit. After ``prepare`` or ``launch`` raised, only ``discard`` is called.
    """

    @abstractmethod
    def prepare(self, order: JobOrder) -> int:
        """Build ``/opt/ml`` (config, channels, checkpoints) and return the bytes that were downloaded.

        Raises
        ------
        ExecutionError
            A channel names nothing, or a URI cannot be read; the text is a FailureReason ("ClientError: ...").
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
        """How the job ended, or None while it runs."""

    @abstractmethod
    def terminate(self, name: str) -> None:
        """Send SIGTERM to the job's process 1, as a stop does."""

    @abstractmethod
    def kill(self, name: str) -> None:
        """End every process of the job now."""

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
        """End all jobs at once and release everything."""
