"""Virtual jobs: an executor without processes, so that thousands of jobs run in one process.

Jobs are advanced in service seconds since their launch, which are scaled by the emulator's speed: at speed 1000 a
training of 30 s takes 30 ms.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

from typing_extensions import override

from sagemaker_emulator.service.executor import Executor, JobArtifacts, JobExit, JobOrder


class ScriptedJob(ABC):
    """Behaviour of one attempt of one job."""

    @abstractmethod
    def advance(self, seconds: float) -> JobExit | None:
        """Carry out the actions that are due.

        Parameters
        ----------
        seconds
            Service seconds since the launch; never less than in the previous call.

        Returns
        -------
        JobExit or None
            The exit of the job; None while it runs.
        """

    def terminate(self, seconds: float) -> None:
        """Handle SIGTERM."""

    def upload(self) -> None:
        """Write the artifacts of a job that has ended."""

    def abort(self) -> None:
        """Handle SIGKILL or the loss of the instance. No other call follows."""


@final
class ScriptedExecutor(Executor):
    """Runs scripted jobs.

    Parameters
    ----------
    make_job
        Builds the behaviour of one attempt of a job.
    speed
        Service seconds per real second.
    clock
        Monotonic real seconds.
    """

    def __init__(
        self,
        make_job: Callable[[JobOrder], ScriptedJob],
        *,
        speed: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._make_job = make_job
        self._speed = speed
        self._clock = clock
        self._running: dict[str, tuple[ScriptedJob, float]] = {}
        self._killed: set[str] = set()

    @override
    def prepare(self, order: JobOrder) -> int:
        """Download nothing."""
        return 0

    @override
    def launch(self, order: JobOrder) -> None:
        self._running[order.name] = (self._make_job(order), self._clock())

    @override
    def poll(self, name: str) -> JobExit | None:
        if name in self._killed:
            return JobExit(exit_code=137)
        job, _ = self._running[name]
        return job.advance(self._age(name))

    @override
    def terminate(self, name: str) -> None:
        job, _ = self._running[name]
        job.terminate(self._age(name))

    @override
    def kill(self, name: str) -> None:
        """Abort the scripted job."""
        if name not in self._killed:
            self._killed.add(name)
            self._running[name][0].abort()

    @override
    def finish(self, order: JobOrder) -> JobArtifacts:
        job, _ = self._running[order.name]
        if order.name not in self._killed:
            job.upload()
        self.discard(order.name)
        output = order.request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        return JobArtifacts(model_uri=f"{output}/{order.name}/output/model.tar.gz")

    @override
    def discard(self, name: str) -> None:
        self._running.pop(name, None)
        self._killed.discard(name)

    @override
    def close(self) -> None:
        self._running.clear()

    def _age(self, name: str) -> float:
        _, began = self._running[name]
        return (self._clock() - began) * self._speed
