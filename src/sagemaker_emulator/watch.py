"""Watches all training jobs from one task, so that a thousand of them cost one sweep and not a thousand timers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Literal, final

from sagemaker_emulator.contracts import Executor, JobExit
from sagemaker_emulator.faults import FaultBook
from sagemaker_emulator.jobs.job import Job

Loss = Literal["internal_error", "spot_interruption"]
News = JobExit | Loss
"""A job's processes have ended, or its instance is lost."""

SHORTEST_INTERVAL: Final = 0.01
"""Real seconds between two sweeps."""
LARGEST_SHARE: Final = 0.05
"""Of one processor that the sweeps may use."""


@final
@dataclass(slots=True, eq=False)
class _Watched:
    job: Job
    attempt: int
    began: float
    news: asyncio.Future[News]


@final
class JobWatch:
    """Polls the executor, and asks the fault book, for every job that trains. Lives on the engine's event loop."""

    def __init__(self, executor: Executor, faults: FaultBook) -> None:
        self._executor = executor
        self._faults = faults
        self._watched: dict[str, _Watched] = {}
        self._has_work = asyncio.Event()

    def watch(self, job: Job, attempt: int) -> asyncio.Future[News]:
        """What happens to this attempt of the job, once: its exit, or the loss of its instance."""
        loop = asyncio.get_running_loop()
        entry = _Watched(job, attempt, loop.time(), loop.create_future())
        self._watched[job.name] = entry
        self._has_work.set()
        return entry.news

    async def run(self) -> None:
        """Sweep until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._has_work.wait()
            began = loop.time()
            for entry in list(self._watched.values()):
                self._tell(entry, began)
            if not self._watched:
                self._has_work.clear()
            await asyncio.sleep(max(SHORTEST_INTERVAL, (loop.time() - began) / LARGEST_SHARE))

    def _tell(self, entry: _Watched, now: float) -> None:
        try:
            news = self._look(entry, now)
        except Exception as error:
            entry.news.set_exception(error)
        else:
            if news is None:
                return
            entry.news.set_result(news)
        del self._watched[entry.job.name]

    def _look(self, entry: _Watched, now: float) -> News | None:
        job = entry.job
        exited = self._executor.poll(job.name)
        if exited is not None or job.status == "Stopping":
            return exited
        age, once = now - entry.began, f"{job.name}/{entry.attempt}"
        if self._faults.strike("internal_error", job.name, once=once, age=age):
            return "internal_error"
        if job.is_spot and self._faults.strike("spot_interruption", job.name, once=once, age=age):
            return "spot_interruption"
        return None
