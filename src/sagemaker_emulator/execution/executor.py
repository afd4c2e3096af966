"""The executor that runs jobs as processes: containers on one machine, in all that a job can see."""

from __future__ import annotations

from typing import final

from sagemaker_emulator.contracts import Executor, JobArtifacts, JobExit, JobOrder
from sagemaker_emulator.execution.settings import ExecutionSettings
from sagemaker_emulator.storage import AwsServices


@final
class ProcessExecutor(Executor):
    """Runs each job as processes with their own ``/opt/ml``; thread-safe.

    Parameters
    ----------
    settings
        The endpoint that jobs call back, the speed, the interpreters and the isolation.
    aws
        Where channels come from, artifacts and checkpoints go to, and log lines are written.
    """

    def __init__(self, settings: ExecutionSettings, aws: AwsServices) -> None:
        self.settings = settings
        self.aws = aws

    def prepare(self, order: JobOrder) -> int:
        raise NotImplementedError

    def launch(self, order: JobOrder) -> None:
        raise NotImplementedError

    def poll(self, name: str) -> JobExit | None:
        raise NotImplementedError

    def terminate(self, name: str) -> None:
        raise NotImplementedError

    def kill(self, name: str) -> None:
        raise NotImplementedError

    def finish(self, order: JobOrder) -> JobArtifacts:
        raise NotImplementedError

    def discard(self, name: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
