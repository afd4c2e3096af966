"""The life cycle of a training job, from Starting to its end, as a coroutine on the engine's event loop."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from concurrent.futures import Executor as ThreadExecutor
from dataclasses import dataclass
from typing import Final, Literal, TypeVar, final

from sagemaker_emulator.service.clusters import Cluster, instances
from sagemaker_emulator.service.errors import CAPACITY_ERROR, INTERNAL_ERROR
from sagemaker_emulator.service.executor import ExecutionError, Executor, JobExit, JobOrder
from sagemaker_emulator.service.faults import FaultInjector
from sagemaker_emulator.service.jobs import Job
from sagemaker_emulator.service.settings import (
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

InstanceLoss = Literal["internal_error", "spot_interruption"]
JobEvent = JobExit | InstanceLoss
"""The exit of a job's processes, or the loss of its instance."""

MIN_INTERVAL: Final = 0.01
"""Real seconds between two sweeps."""
MAX_CPU_SHARE: Final = 0.05
"""Share of one processor for the sweeps."""


@final
@dataclass(slots=True, eq=False)
class _Watched:
    job: Job
    attempt: int
    began: float
    event: asyncio.Future[JobEvent]


@final
class JobMonitor:
    """Polls executor and faults for all training jobs in one task: a thousand jobs cost one sweep, not a thousand timers.

    Runs on the engine's event loop.
    """

    def __init__(self, executor: Executor, faults: FaultInjector) -> None:
        self._executor = executor
        self._faults = faults
        self._watched: dict[str, _Watched] = {}
        self._has_work = asyncio.Event()

    def watch(self, job: Job, attempt: int) -> asyncio.Future[JobEvent]:
        """Return a future for the exit of this attempt, or the loss of its instance."""
        loop = asyncio.get_running_loop()
        entry = _Watched(job, attempt, loop.time(), loop.create_future())
        self._watched[job.name] = entry
        self._has_work.set()
        return entry.event

    async def run(self) -> None:
        """Sweep until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            await self._has_work.wait()
            began, now = time.thread_time(), loop.time()
            for entry in list(self._watched.values()):
                self._resolve(entry, now)
            if not self._watched:
                self._has_work.clear()
            await asyncio.sleep(max(MIN_INTERVAL, (time.thread_time() - began) / MAX_CPU_SHARE))

    def _resolve(self, entry: _Watched, now: float) -> None:
        try:
            event = self._event_of(entry, now)
        except Exception as error:
            entry.event.set_exception(error)
        else:
            if event is None:
                return
            entry.event.set_result(event)
        del self._watched[entry.job.name]

    def _event_of(self, entry: _Watched, now: float) -> JobEvent | None:
        job = entry.job
        exited = self._executor.poll(job.name)
        if exited is not None or job.status == "Stopping":
            return exited
        age, once = now - entry.began, f"{job.name}/{entry.attempt}"
        if self._faults.trigger("internal_error", job.name, once=once, age=age):
            return "internal_error"
        if job.is_spot and self._faults.trigger("spot_interruption", job.name, once=once, age=age):
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
_NOTICE_POLL_SECONDS: Final = 0.05
"""Real seconds between two polls of a job that was interrupted."""


@final
class _StopError(Exception):
    """The job stops before its training has begun."""

    def __init__(self, cause: StopCause) -> None:
        super().__init__(cause)
        self.cause: StopCause = cause


@final
class _FailureError(Exception):
    """The job fails with this FailureReason."""


@final
class _InstanceLostError(Exception):
    """The instance is lost with its data; the job may restart on another one."""

    def __init__(self, loss: InstanceLoss) -> None:
        super().__init__(loss)
        self.loss: InstanceLoss = loss


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class JobContext:
    """Objects that the life cycles of all jobs share."""

    speed: float
    now: Callable[[], float]
    """Epoch seconds."""
    executor: Executor
    threads: ThreadExecutor
    """Runs the executor's blocking calls."""
    faults: FaultInjector
    monitor: JobMonitor
    save: Callable[[Job], None]
    replace_cluster: Callable[[Cluster], Cluster]
    """Replaces the cluster of a job that lost its instance."""


@final
class JobLifecycle:
    """Runs one job through its states, and bills it.

    Billing starts at the first Downloading: service seconds for the phases of the service, real seconds for the
    training. The time from the loss of an instance to the next Downloading is free. MaxRuntime counts the training of
    all attempts, MaxWait the time since the creation of the job.
    """

    def __init__(self, job: Job, cluster: Cluster, context: JobContext, *, is_warm: bool) -> None:
        self.job = job
        self.cluster = cluster
        self._context = context
        self._is_warm = is_warm
        self._attempt = 0
        self._errors = 0
        self._trained = 0.0
        self._elapsed = 0.0
        self._is_billed = False
        self._is_prepared = False
        self._stop_requested: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._enter("Starting", (WARM_START if is_warm else COLD_START)[0][0])

    @property
    def order(self) -> JobOrder:
        """The executor's order for this attempt."""
        return JobOrder(
            name=self.job.name,
            arn=self.job.arn,
            request=self.job.request,
            cluster_dir=self.cluster.directory,
            attempt=self._attempt,
        )

    def stop(self) -> None:
        """Request a stop, as StopTrainingJob does."""
        self.job.status = "Stopping"
        self._enter("Stopping", STOPPING_MESSAGE)
        if not self._stop_requested.done():
            self._stop_requested.set_result(None)

    async def run(self) -> None:
        """Run the job to its end, which is written into its record."""
        try:
            while not await self._run_attempt():
                self._attempt += 1
        except (_FailureError, ExecutionError) as failure:
            await self._discard()
            self.job.fail(str(failure), self._context.now())
        except Exception:
            _LOG.exception("the emulator failed on training job %s", self.job.name)
            await self._discard()
            self.job.fail(INTERNAL_ERROR, self._context.now())

    async def _run_attempt(self) -> bool:
        """Return whether the job is over; otherwise another attempt follows."""
        try:
            await self._start()
            await self._download()
            exited, cause = await self._train()
        except _StopError as stop:
            await self._stop_early(stop.cause)
            return True
        except _InstanceLostError as lost:
            await self._restart(lost.loss)
            return False
        await self._finish(exited, cause)
        return True

    async def _start(self) -> None:
        for phase in WARM_START if self._is_warm else COLD_START:
            await self._run_phase("Starting", phase)
            if phase[0] == LAUNCHING:
                await self._await_capacity()

    async def _await_capacity(self) -> None:
        waited = 0.0
        while self._lacks_capacity(waited):
            if not self.job.is_spot:
                raise _FailureError(CAPACITY_ERROR)
            if self._elapsed >= self._max_wait:
                raise _StopError("MaxWaitTimeExceeded")
            await self._run_phase("Starting", CAPACITY_RETRY)
            waited += CAPACITY_RETRY[1]

    @property
    def _max_wait(self) -> float:
        """Limit of a spot job in service seconds since its creation; infinite for other jobs."""
        return float(self.job.request["StoppingCondition"].get("MaxWaitTimeInSeconds", math.inf))

    def _lacks_capacity(self, waited: float) -> bool:
        once = f"{self.job.name}/{self._attempt}/{waited}"
        faults = self._context.faults
        return any(faults.trigger("capacity", wanted, once=once) for wanted in instances(self.job.request))

    async def _download(self) -> None:
        now = self._context.now()
        self._is_billed = True
        self.job.started = self.job.started or now
        self.cluster.launched_at = self.cluster.launched_at or now
        image = WARM_IMAGE if self._is_warm else COLD_IMAGE
        has_channels = bool(self.job.request.get("InputDataConfig"))
        self._enter("Downloading", DOWNLOADING[0] if has_channels else image[0])
        began = self._time()
        self._is_prepared = True
        size = await self._in_thread(self._context.executor.prepare)
        transfer = (DOWNLOADING[1] if has_channels else 0.0) + size / BYTES_PER_SECOND
        await self._wait_out(transfer, since=began)
        await self._run_phase("Downloading", image)

    async def _train(self) -> tuple[JobExit, StopCause | None]:
        """Return the exit of the processes, and the cause of a stop if there was one."""
        self._enter("Training", TRAINING_MESSAGE)
        began = self._time()
        self._context.executor.launch(self.order)
        event = self._context.monitor.watch(self.job, self._attempt)
        run_left = self.job.request["StoppingCondition"]["MaxRuntimeInSeconds"] - self._trained
        wait_left = self._max_wait - self._elapsed
        limit = max(0.0, min(run_left, wait_left))
        await asyncio.wait({event, self._stop_requested}, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        trained = self._time() - began
        self._trained += trained
        self._elapsed += trained
        self.job.training_seconds += trained
        if event.done():
            if event.result() == "spot_interruption":
                await self._interrupt()
            return self._exit_of(event.result()), "Stopped" if self._stop_requested.done() else None
        if self._stop_requested.done():
            return await self._end_processes(event), "Stopped"
        self.stop()
        return await self._end_processes(
            event
        ), "MaxRuntimeExceeded" if run_left <= wait_left else "MaxWaitTimeExceeded"

    async def _interrupt(self) -> None:
        """Send SIGTERM to a job that loses its spot instance, and grant it the time of a stop."""
        executor, name, began = self._context.executor, self.job.name, self._time()
        executor.terminate(name)
        notice = STOP_GRACE / self._context.speed
        while executor.poll(name) is None and self._time() - began < notice:
            await asyncio.sleep(min(_NOTICE_POLL_SECONDS, notice))
        self._bill(STOP_GRACE, self._time() - began)

    async def _end_processes(self, event: asyncio.Future[JobEvent]) -> JobExit:
        began = self._time()
        self._context.executor.terminate(self.job.name)
        await asyncio.wait({event}, timeout=STOP_GRACE / self._context.speed)
        if not event.done():
            self._context.executor.kill(self.job.name)
            await asyncio.wait({event})
        self._bill(STOP_GRACE, self._time() - began)
        return self._exit_of(event.result())

    @staticmethod
    def _exit_of(event: JobEvent) -> JobExit:
        if isinstance(event, JobExit):
            return event
        raise _InstanceLostError(event)

    async def _restart(self, loss: InstanceLoss) -> None:
        """Prepare the attempt after a lost instance, or fail if the request has no retries left."""
        self._context.executor.kill(self.job.name)
        await self._discard()
        if loss == "internal_error":
            self._errors += 1
            if self._errors > self.job.request.get("RetryStrategy", {}).get("MaximumRetryAttempts", 0):
                raise _FailureError(INTERNAL_ERROR)
        else:
            self._enter("Interrupted", "Spot instance was interrupted; the training job will start again")
        self._is_billed = self._is_warm = False
        self.cluster = self._context.replace_cluster(self.cluster)

    async def _stop_early(self, cause: StopCause) -> None:
        """Stop a job before its training: there is no process to signal and nothing to upload."""
        if cause != "Stopped":
            self.stop()
        await self._discard()
        await asyncio.sleep(STOP_BEFORE_TRAINING / self._context.speed)
        self.job.conclude("Stopped", cause, _STOP_MESSAGES[cause], self._context.now())

    async def _finish(self, exited: JobExit, cause: StopCause | None) -> None:
        message, seconds = UPLOADING
        self._enter("Uploading", message)
        began = self._time()
        artifacts = await self._in_thread(self._context.executor.finish)
        self._is_prepared = False
        await asyncio.sleep(max(0.0, seconds / self._context.speed - (self._time() - began)))
        self._bill(seconds, self._time() - began)
        self.job.model_uri = artifacts.model_uri
        self.job.final_metrics = list(artifacts.final_metrics)
        self._conclude(exited, cause)

    def _conclude(self, exited: JobExit, cause: StopCause | None) -> None:
        now = self._context.now()
        if self.job.status == "Stopping":
            cause = cause or "Stopped"
        if cause is not None:
            self.job.conclude("Stopped", cause, _STOP_MESSAGES[cause], now)
        elif exited.exit_code:
            self.job.fail(f"AlgorithmError: {exited.failure_text}, exit code: {exited.exit_code}", now)
        else:
            self.job.conclude("Completed", "Completed", "Training job completed", now)

    def _enter(self, secondary: str, message: str) -> None:
        self.job.enter(secondary, message, self._context.now())
        self._context.save(self.job)

    async def _run_phase(self, secondary: str, phase: Phase) -> None:
        """Enter a phase of the service and wait for its end."""
        message, seconds = phase
        self._enter(secondary, message)
        await self._wait_out(seconds, since=self._time())

    async def _wait_out(self, seconds: float, *, since: float) -> None:
        """Wait until ``seconds`` service seconds after ``since``; raise _StopError after a stop request."""
        rest = since + seconds / self._context.speed - self._time()
        if not self._stop_requested.done() and rest > 0:
            await asyncio.wait({self._stop_requested}, timeout=rest)
        self._bill(seconds, self._time() - since)
        if self._stop_requested.done():
            raise _StopError("Stopped")

    def _bill(self, seconds: float, elapsed: float) -> None:
        """Bill a phase of ``seconds`` service seconds that took ``elapsed`` real ones; overtime counts in real seconds."""
        overtime = max(0.0, elapsed - seconds / self._context.speed)
        passed = min(seconds, elapsed * self._context.speed) + overtime
        self._elapsed += passed
        if self._is_billed:
            self.job.training_seconds += passed

    async def _discard(self) -> None:
        if self._is_prepared:
            self._is_prepared = False
            await self._in_thread(lambda order: self._context.executor.discard(order.name))

    async def _in_thread(self, call: Callable[[JobOrder], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._context.threads, call, self.order)

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()
