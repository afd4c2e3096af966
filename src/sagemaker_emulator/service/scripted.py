"""Virtual jobs: no processes, only what a play says, so that thousands of jobs live in one process.

A play is advanced in service seconds since its launch, which an emulator's speed scales like everything else: at speed
1000 a training of 30 s takes 30 ms.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import final

from sagemaker_emulator.service.executor import Executor, JobArtifacts, JobExit, JobOrder


class Play(ABC):
    """What one attempt of one job does."""

    @abstractmethod
    def advance(self, seconds: float) -> JobExit | None:
        """Do what is due.

        Parameters
        ----------
        seconds
            Service seconds since the job was launched; never less than in the call before.

        Returns
        -------
        JobExit or None
            How the job ended; None while it runs.
        """

    def terminate(self, seconds: float) -> None:
        """Hear SIGTERM."""

    def upload(self) -> None:
        """Write what the job leaves when it is over."""

    def vanish(self) -> None:
        """Be gone: killed, or lost with the instances. Nothing is called afterwards."""


@final
class TimedPlay(Play):
    """Trains for a while, then exits; hears a stop at once."""

    def __init__(self, seconds: float, exit_code: int = 0) -> None:
        self._end = seconds
        self._exit = JobExit(exit_code=exit_code)

    def advance(self, seconds: float) -> JobExit | None:
        """Its exit when the time is over."""
        return self._exit if seconds >= self._end else None

    def terminate(self, seconds: float) -> None:
        """End now."""
        self._end = seconds


@final
class ScriptedExecutor(Executor):
    """Runs plays.

    Parameters
    ----------
    cast
        Makes the play of an attempt of a job.
    speed
        Service seconds per real second.
    clock
        Real seconds that never decrease.
    """

    def __init__(
        self,
        cast: Callable[[JobOrder], Play],
        *,
        speed: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cast = cast
        self._speed = speed
        self._clock = clock
        self._running: dict[str, tuple[Play, float]] = {}
        self._killed: set[str] = set()

    def prepare(self, order: JobOrder) -> int:
        """Nothing is downloaded."""
        del order
        return 0

    def launch(self, order: JobOrder) -> None:
        """Begin the play of this attempt."""
        self._running[order.name] = (self._cast(order), self._clock())

    def poll(self, name: str) -> JobExit | None:
        """Advance the play of a job."""
        if name in self._killed:
            return JobExit(exit_code=137)
        play, _ = self._running[name]
        return play.advance(self._age(name))

    def terminate(self, name: str) -> None:
        """Let the play hear SIGTERM."""
        play, _ = self._running[name]
        play.terminate(self._age(name))

    def kill(self, name: str) -> None:
        """End the play; it is not asked."""
        if name not in self._killed:
            self._killed.add(name)
            self._running[name][0].vanish()

    def finish(self, order: JobOrder) -> JobArtifacts:
        """Let the play leave what it leaves."""
        play, _ = self._running[order.name]
        if order.name not in self._killed:
            play.upload()
        self.discard(order.name)
        output = order.request["OutputDataConfig"]["S3OutputPath"].rstrip("/")
        return JobArtifacts(model_uri=f"{output}/{order.name}/output/model.tar.gz")

    def discard(self, name: str) -> None:
        """Forget a job."""
        self._running.pop(name, None)
        self._killed.discard(name)

    def close(self) -> None:
        """Forget all jobs."""
        self._running.clear()

    def _age(self, name: str) -> float:
        _, began = self._running[name]
        return (self._clock() - began) * self._speed
