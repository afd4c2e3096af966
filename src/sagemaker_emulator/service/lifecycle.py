"""The life cycle of a training job, from Starting to its end, as a coroutine on the engine's event loop."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from concurrent.futures import Executor as ThreadExecutor
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, final

from sagemaker_emulator.service.clusters import Cluster, instances
from sagemaker_emulator.service.errors import CAPACITY_ERROR, INTERNAL_ERROR
from sagemaker_emulator.service.executor import ExecutionError, Executor, JobExit, JobOrder
from sagemaker_emulator.service.faults import FaultBook
from sagemaker_emulator.service.jobs import Job
from sagemaker_emulator.service.timings import (
    BYTES_PER_SECOND,
    CAPACITY_RETRY,
    COLD_IMAGE,
    COLD_START,
    DOWNLOADING,
    LAUNCHING,
    STOP_BEFORE_TRAINING,
    STOP_GRACE,
    STOPPING_MESSAGE,
    TRAINING_MESSAGE,
    UPLOADING,
    WARM_IMAGE,
    WARM_START,
    Phase,
)

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


_T = TypeVar("_T")
_LOG: Final = logging.getLogger(__name__)

StopCause = Literal["Stopped", "MaxRuntimeExceeded", "MaxWaitTimeExceeded"]
_STOP_MESSAGES: Final[dict[StopCause, str]] = {
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}
"""Secondary status of a stopped job -> its last StatusMessage."""
_NOTICE_LOOK: Final = 0.05
"""Real seconds between two looks whether an interrupted job has ended by itself."""


@final
class _StopError(Exception):
    """The job is to end before its training began."""

    def __init__(self, cause: StopCause) -> None:
        super().__init__(cause)
        self.cause: StopCause = cause


@final
class _FailureError(Exception):
    """The job fails with this FailureReason."""


@final
class _InstanceLostError(Exception):
    """The instance is gone with all that was on it; the job may start again elsewhere."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(loss)
        self.loss: Loss = loss


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all lives share."""

    speed: float
    now: Callable[[], float]
    """Epoch seconds."""
    executor: Executor
    threads: ThreadExecutor
    """Where the blocking calls of the executor are made."""
    faults: FaultBook
    watch: JobWatch
    save: Callable[[Job], None]
    replace_cluster: Callable[[Cluster], Cluster]
    """Gives up the cluster of a job whose instance was lost, for a new one."""


@final
class JobLife:
    """Leads one job through its states, and bills it.

    Bills count from the first Downloading on: service seconds for the phases of the service, real seconds for the
    training itself. The loss of an instance, and what follows it until the next Downloading, is free. MaxRuntime
    counts the training of all attempts together, MaxWait everything since the job was created.
    """

    def __init__(self, job: Job, cluster: Cluster, around: Surroundings, *, is_warm: bool) -> None:
        self.job = job
        self.cluster = cluster
        self._around = around
        self._is_warm = is_warm
        self._attempt = 0
        self._errors = 0
        self._trained = 0.0
        self._passed = 0.0
        self._is_billed = False
        self._is_with_executor = False
        self._stop_asked: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._enter("Starting", (WARM_START if is_warm else COLD_START)[0][0])

    @property
    def order(self) -> JobOrder:
        """What the executor is told of this attempt."""
        return JobOrder(
            name=self.job.name,
            arn=self.job.arn,
            request=self.job.request,
            cluster_dir=self.cluster.directory,
            attempt=self._attempt,
        )

    def stop(self) -> None:
        """Ask the job to stop, as StopTrainingJob does."""
        self.job.status = "Stopping"
        self._enter("Stopping", STOPPING_MESSAGE)
        if not self._stop_asked.done():
            self._stop_asked.set_result(None)

    async def run(self) -> None:
        """Live until the job is over; the record then tells how it ended."""
        try:
            while not await self._run_attempt():
                self._attempt += 1
        except (_FailureError, ExecutionError) as failure:
            await self._discard()
            self.job.fail(str(failure), self._around.now())
        except Exception:
            _LOG.exception("the emulator failed on training job %s", self.job.name)
            await self._discard()
            self.job.fail(INTERNAL_ERROR, self._around.now())

    async def _run_attempt(self) -> bool:
        """Whether the job is over; otherwise it is to be started again."""
        try:
            await self._start()
            await self._download()
            exited, cause = await self._train()
        except _StopError as stop:
            await self._stop_early(stop.cause)
            return True
        except _InstanceLostError as lost:
            await self._survive(lost.loss)
            return False
        await self._finish(exited, cause)
        return True

    async def _start(self) -> None:
        for phase in WARM_START if self._is_warm else COLD_START:
            await self._pass("Starting", phase)
            if phase[0] == LAUNCHING:
                await self._await_capacity()

    async def _await_capacity(self) -> None:
        waited = 0.0
        while self._lacks_capacity(waited):
            if not self.job.is_spot:
                raise _FailureError(CAPACITY_ERROR)
            if self._passed >= self._longest_wait:
                raise _StopError("MaxWaitTimeExceeded")
            await self._pass("Starting", CAPACITY_RETRY)
            waited += CAPACITY_RETRY[1]

    @property
    def _longest_wait(self) -> float:
        """Service seconds from its creation that a spot job has; without end for the others."""
        return float(self.job.request["StoppingCondition"].get("MaxWaitTimeInSeconds", math.inf))

    def _lacks_capacity(self, waited: float) -> bool:
        once = f"{self.job.name}/{self._attempt}/{waited}"
        faults = self._around.faults
        return any(faults.strike("capacity", wanted, once=once) for wanted in instances(self.job.request))

    async def _download(self) -> None:
        now = self._around.now()
        self._is_billed = True
        self.job.started = self.job.started or now
        self.cluster.launched_at = self.cluster.launched_at or now
        image = WARM_IMAGE if self._is_warm else COLD_IMAGE
        has_channels = bool(self.job.request.get("InputDataConfig"))
        self._enter("Downloading", DOWNLOADING[0] if has_channels else image[0])
        began = self._time()
        self._is_with_executor = True
        size = await self._in_thread(self._around.executor.prepare)
        transfer = (DOWNLOADING[1] if has_channels else 0.0) + size / BYTES_PER_SECOND
        await self._spend(transfer, since=began)
        await self._pass("Downloading", image)

    async def _train(self) -> tuple[JobExit, StopCause | None]:
        """How the processes ended, and why they had to if they had to."""
        self._enter("Training", TRAINING_MESSAGE)
        began = self._time()
        self._around.executor.launch(self.order)
        news = self._around.watch.watch(self.job, self._attempt)
        run_left = self.job.request["StoppingCondition"]["MaxRuntimeInSeconds"] - self._trained
        wait_left = self._longest_wait - self._passed
        limit = max(0.0, min(run_left, wait_left))
        await asyncio.wait({news, self._stop_asked}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        trained = self._time() - began
        self._trained += trained
        self._passed += trained
        self.job.training_seconds += trained
        if news.done():
            if news.result() == "spot_interruption":
                await self._give_notice()
            return self._exit_of(news.result()), "Stopped" if self._stop_asked.done() else None
        if self._stop_asked.done():
            return await self._end_processes(news), "Stopped"
        self.stop()
        return await self._end_processes(
            news
        ), "MaxRuntimeExceeded" if run_left <= wait_left else "MaxWaitTimeExceeded"

    async def _give_notice(self) -> None:
        """Tell the processes that their instance is taken away, and leave them the time of a stop; they lose it in any case."""
        executor, name, began = self._around.executor, self.job.name, self._time()
        executor.terminate(name)
        notice = STOP_GRACE / self._around.speed
        while executor.poll(name) is None and self._time() - began < notice:
            await asyncio.sleep(min(_NOTICE_LOOK, notice))
        self._bill(STOP_GRACE, self._time() - began)

    async def _end_processes(self, news: asyncio.Future[News]) -> JobExit:
        began = self._time()
        self._around.executor.terminate(self.job.name)
        await asyncio.wait({news}, timeout=STOP_GRACE / self._around.speed)
        if not news.done():
            self._around.executor.kill(self.job.name)
            await asyncio.wait({news})
        self._bill(STOP_GRACE, self._time() - began)
        return self._exit_of(news.result())

    @staticmethod
    def _exit_of(news: News) -> JobExit:
        if isinstance(news, JobExit):
            return news
        raise _InstanceLostError(news)

    async def _survive(self, loss: Loss) -> None:
        """Start again after a lost instance, or fail where nobody asked for retries."""
        self._around.executor.kill(self.job.name)
        await self._discard()
        if loss == "internal_error":
            self._errors += 1
            if self._errors > self.job.request.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0):
                raise _FailureError(INTERNAL_ERROR)
        else:
            self._enter("Interrupted", "Spot instance was interrupted; the training job will start again")
        self._is_billed = self._is_warm = False
        self.cluster = self._around.replace_cluster(self.cluster)

    async def _stop_early(self, cause: StopCause) -> None:
        """Stop a job that does not train yet: nothing to signal and nothing to upload."""
        if cause != "Stopped":
            self.stop()
        await self._discard()
        await asyncio.sleep(STOP_BEFORE_TRAINING / self._around.speed)
        self.job.conclude("Stopped", cause, _STOP_MESSAGES[cause], self._around.now())

    async def _finish(self, exited: JobExit, cause: StopCause | None) -> None:
        message, seconds = UPLOADING
        self._enter("Uploading", message)
        began = self._time()
        artifacts = await self._in_thread(self._around.executor.finish)
        self._is_with_executor = False
        await asyncio.sleep(max(0.0, seconds / self._around.speed - (self._time() - began)))
        self._bill(seconds, self._time() - began)
        self.job.model_uri = artifacts.model_uri
        self.job.final_metrics = list(artifacts.final_metrics)
        self._conclude(exited, cause)

    def _conclude(self, exited: JobExit, cause: StopCause | None) -> None:
        now = self._around.now()
        if self.job.status == "Stopping":
            cause = cause or "Stopped"
        if cause is not None:
            self.job.conclude("Stopped", cause, _STOP_MESSAGES[cause], now)
        elif exited.exit_code:
            self.job.fail(f"AlgorithmError: {exited.failure_text}, exit code: {exited.exit_code}", now)
        else:
            self.job.conclude("Completed", "Completed", "Training job completed", now)

    def _enter(self, secondary: str, message: str) -> None:
        self.job.enter(secondary, message, self._around.now())
        self._around.save(self.job)

    async def _pass(self, secondary: str, phase: Phase) -> None:
        """Spend a phase of the service."""
        message, seconds = phase
        self._enter(secondary, message)
        await self._spend(seconds, since=self._time())

    async def _spend(self, seconds: float, *, since: float) -> None:
        """Wait until ``seconds`` service seconds have passed since then, unless the job is stopped."""
        rest = since + seconds / self._around.speed - self._time()
        if not self._stop_asked.done() and rest > 0:
            await asyncio.wait({self._stop_asked}, timeout=rest)
        self._bill(seconds, self._time() - since)
        if self._stop_asked.done():
            raise _StopError("Stopped")

    def _bill(self, seconds: float, elapsed: float) -> None:
        """Count a phase of so many service seconds that took ``elapsed`` real ones; what it lasted longer is real."""
        overtime = max(0.0, elapsed - seconds / self._around.speed)
        passed = min(seconds, elapsed * self._around.speed) + overtime
        self._passed += passed
        if self._is_billed:
            self.job.training_seconds += passed

    async def _discard(self) -> None:
        if self._is_with_executor:
            self._is_with_executor = False
            await self._in_thread(lambda order: self._around.executor.discard(order.name))

    async def _in_thread(self, call: Callable[[JobOrder], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._around.threads, call, self.order)

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()
