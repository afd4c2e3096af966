"""The engine: owner of all jobs and clusters, on an event loop in a thread of its own.

:meth:`Engine.call` runs each operation on that loop, so that no lock is needed.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any, Final, TypeVar, final

from sagemaker_emulator.service.clusters import Cluster, Clusters
from sagemaker_emulator.service.errors import (
    INTERNAL_ERROR,
    in_use,
    invalid,
    name_taken,
    not_found,
    unknown_job,
)
from sagemaker_emulator.service.executor import Executor
from sagemaker_emulator.service.faults import FaultInjector
from sagemaker_emulator.service.jobs import Job, JobStore
from sagemaker_emulator.service.lifecycle import JobContext, JobLifecycle, JobMonitor
from sagemaker_emulator.service.settings import ServiceSettings

_T = TypeVar("_T")

BLOCKING_CALLS: Final = 32
"""Maximum number of jobs that download or upload at the same time."""


@final
class Engine:
    """Owns the training jobs and carries out operations on them.

    Parameters
    ----------
    settings
        Speed, quotas and limits.
    directory
        Holds ``jobs.sqlite`` and the folders of the clusters. Running jobs of an earlier engine are marked as failed,
        and its warm pools as terminated.
    executor
        Runs the jobs.
    faults
        Faults to inject.
    """

    def __init__(
        self, settings: ServiceSettings, directory: Path, executor: Executor, faults: FaultInjector
    ) -> None:
        self.settings = settings
        self.jobs: dict[str, Job] = {}
        """All jobs by name, in the order of their creation; read on the loop only."""
        self._clusters_dir = directory / "clusters"
        self._executor = executor
        self._faults = faults
        self._store = JobStore(directory / "jobs.sqlite")
        self._threads = ThreadPoolExecutor(BLOCKING_CALLS, thread_name_prefix="job-io")
        self._lifecycles: dict[str, tuple[JobLifecycle, asyncio.Task[None]]] = {}
        self._clusters = Clusters(settings, self._remove_cluster)
        self._numbers = count()
        self._recover()
        monitor = JobMonitor(executor, faults)
        self._context = JobContext(
            speed=settings.speed,
            now=_now,
            executor=executor,
            threads=self._threads,
            faults=faults,
            monitor=monitor,
            save=self._store.save,
            replace_cluster=self._replace_cluster,
        )
        self._loop = asyncio.new_event_loop()
        self._monitoring = self._loop.create_task(monitor.run())
        self._thread = Thread(target=self._loop.run_forever, name="engine", daemon=True)
        self._thread.start()

    def call(self, operation: Callable[[], _T]) -> _T:
        """Run ``operation`` on the engine's loop, from another thread, and return its result."""
        return asyncio.run_coroutine_threadsafe(_awaitable(operation), self._loop).result()

    # ---- operations: called on the loop only

    def find(self, name: str) -> Job:
        """The job of that name.

        Raises
        ------
        ServiceError
            ValidationException for an unknown name.
        """
        if name not in self.jobs:
            raise unknown_job()
        return self.jobs[name]

    def create(self, name: str, request: Mapping[str, Any], tags: Mapping[str, str]) -> Job:
        """Start a job on a matching warm pool, or on new instances.

        Raises
        ------
        ServiceError
            ResourceInUse, ResourceLimitExceeded.
        """
        arn, now = self.settings.arn(name), _now()
        if name in self.jobs:
            raise name_taken(arn)
        job = Job(name=name, arn=arn, request=request, created=now, modified=now, tags=dict(tags))
        warm = self._clusters.take_over(request, now)
        if warm is not None:
            former = warm.holder
            self._clusters.hand_over(warm, job, now)
            self._touch(former)
        cluster = warm or self._launch(job)
        self.jobs[name] = job
        life = JobLifecycle(job, cluster, self._context, is_warm=warm is not None)
        self._lifecycles[name] = (life, self._loop.create_task(self._run(life)))
        return job

    def stop(self, name: str) -> None:
        """Request the stop of a job; a repeated request has no effect.

        Raises
        ------
        ServiceError
            ValidationException for a job that is unknown or over.
        """
        job = self.find(name)
        if job.is_over:
            raise invalid(f"The request was rejected because the training job is in status {job.status}.")
        if job.status == "InProgress":
            self._lifecycles[name][0].stop()

    def keep_alive(self, name: str, seconds: int) -> None:
        """Set the expiry of a job's Available pool to ``seconds`` service seconds from now; 0 releases it.

        Raises
        ------
        ServiceError
            ResourceNotFound; ValidationException if the job has no Available pool.
        """
        job = self._known(name)
        cluster = self._clusters.available_of(job)
        if cluster is None:
            state = job.pool.status if job.pool else "none"
            raise invalid(
                f"KeepAlivePeriodInSeconds of {name} can be updated only while its warm pool is Available (it is {state})."
            )
        if seconds == 0:
            self._clusters.end(cluster, _now())
        else:
            self._clusters.keep_until(cluster, _now(), seconds)
            self._expire_later(cluster)
        self._touch(job)

    def delete(self, name: str) -> None:
        """Delete a job; its name is free afterwards.

        Raises
        ------
        ServiceError
            ResourceNotFound; ResourceInUse for a job that is not over, or whose warm pool is Available.
        """
        job = self._known(name)
        if not job.is_over:
            raise in_use(f"Training job {name} is in status {job.status}: stop it before it is deleted.")
        if self._clusters.available_of(job) is not None:
            raise in_use(
                f"The warm pool of training job {name} is Available: release it before the job is deleted."
            )
        del self.jobs[name]
        self._store.delete(name)

    def save(self, job: Job) -> None:
        """Write a changed record to disk."""
        self._store.save(job)

    def idle_seconds(self, job: Job) -> float:
        """Billed idle time of the job's warm pool, in service seconds."""
        if job.pool is None:
            return 0.0
        cluster = self._clusters.available_of(job) if job.pool.status == "Available" else None
        if cluster is not None:
            return self._clusters.idle_seconds(cluster, _now())
        return job.pool.retained_seconds or 0.0

    def clusters(self) -> list[Cluster]:
        """All clusters of jobs and warm pools."""
        return self._clusters.all()

    @property
    def n_running(self) -> int:
        """Jobs that are not over."""
        return len(self._lifecycles)

    def close(self) -> None:
        """End all jobs, which are recorded as failed, and release all resources."""
        asyncio.run_coroutine_threadsafe(self._end_jobs(), self._loop).result()
        self._executor.close()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._threads.shutdown(cancel_futures=True)
        self._store.close()

    # ---- on the loop

    def _known(self, name: str) -> Job:
        if name not in self.jobs:
            raise not_found(self.settings.arn(name))
        return self.jobs[name]

    async def _run(self, life: JobLifecycle) -> None:
        await life.run()
        job, cluster, now = life.job, life.cluster, _now()
        is_sound = not (job.failure_reason or "").startswith(("InternalServerError", "CapacityError"))
        if is_sound and cluster.launched_at is not None:
            if self._clusters.retain(cluster, now):
                evicted = self._faults.trigger("pool_eviction", job.name)
                if evicted:
                    self._clusters.keep_until(cluster, now, min(evicted.seconds, job.keep_alive))
                self._expire_later(cluster)
        else:
            self._clusters.end(cluster, now)
        del self._lifecycles[job.name]
        self._store.save(job)

    async def _end_jobs(self) -> None:
        tasks = [self._monitoring, *(task for _, task in self._lifecycles.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for life, _ in self._lifecycles.values():
            _abandon(life.job, _now())
            self._store.save(life.job)
        for cluster in self._clusters.idle():
            self._clusters.end(cluster, _now())
            self._store.save(cluster.holder)

    def _expire_later(self, cluster: Cluster) -> None:
        self._loop.call_later(max(0.0, cluster.expires_at - _now()), self._expire, cluster)

    def _expire(self, cluster: Cluster) -> None:
        if cluster.idle_since is None or cluster not in self._clusters.idle():
            return
        if _now() < cluster.expires_at - 0.001:
            self._expire_later(cluster)
            return
        self._clusters.end(cluster, _now())
        self._touch(cluster.holder)

    def _replace_cluster(self, lost: Cluster) -> Cluster:
        self._clusters.end(lost, _now())
        return self._launch(lost.holder)

    def _touch(self, job: Job) -> None:
        job.modified = _now()
        self._store.save(job)

    # ---- folders and restart

    def _launch(self, job: Job) -> Cluster:
        cluster = self._clusters.launch(job, self._clusters_dir / f"{next(self._numbers):06d}")
        try:
            self._clusters_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            cluster.directory.mkdir()
        except OSError:  # such as a full disk: the request fails, and its instances are free again
            self._clusters.end(cluster, _now())
            raise
        return cluster

    def _remove_cluster(self, cluster: Cluster) -> None:
        self._threads.submit(shutil.rmtree, cluster.directory, ignore_errors=True)

    def _recover(self) -> None:
        shutil.rmtree(self._clusters_dir, ignore_errors=True)
        for job in self._store.load():
            self.jobs[job.name] = job
            if not job.is_over:
                _abandon(job, _now())
                self._store.save(job)
            elif job.pool is not None and job.pool.status == "Available":
                idle = (_now() - (job.ended or job.created)) * self.settings.speed
                job.pool.status = "Terminated"
                job.pool.retained_seconds = min(idle, float(job.keep_alive))
                self._touch(job)


async def _awaitable(operation: Callable[[], _T]) -> _T:
    return operation()


def _now() -> float:
    """Epoch seconds in whole milliseconds, as in the responses, so that clients can compare them."""
    return round(time.time(), 3)


def _abandon(job: Job, now: float) -> None:
    """Record the failure of a job whose emulator ended."""
    job.fail(INTERNAL_ERROR, now)
    if job.pool is not None:
        job.pool.status = "Terminated"
