"""The engine: the one owner of all jobs and clusters, on the event loop of a thread of its own.

Every operation is a plain function that :meth:`Engine.call` carries out on that loop; nothing here needs a lock.
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

from sagemaker_emulator.service.clusters import Cluster, ClusterPark
from sagemaker_emulator.service.errors import (
    INTERNAL_ERROR,
    in_use,
    invalid,
    name_taken,
    not_found,
    unknown_job,
)
from sagemaker_emulator.service.executor import Executor
from sagemaker_emulator.service.faults import FaultBook
from sagemaker_emulator.service.jobs import Job, JobStore
from sagemaker_emulator.service.lifecycle import JobLife, JobWatch, Surroundings
from sagemaker_emulator.service.settings import ServiceSettings

_T = TypeVar("_T")

BLOCKING_CALLS: Final = 32
"""Jobs that may download or upload at once."""


@final
class Engine:
    """Training jobs that live.

    Parameters
    ----------
    settings
        Speed, quotas and limits.
    directory
        Holds ``jobs.sqlite`` and the folders of the clusters. What an earlier engine left running there is marked
        as failed, and its warm pools as terminated.
    executor
        Runs the jobs.
    faults
        What is to go wrong.
    """

    def __init__(
        self, settings: ServiceSettings, directory: Path, executor: Executor, faults: FaultBook
    ) -> None:
        self.settings = settings
        self.jobs: dict[str, Job] = {}
        """All jobs by name, in the order of their creation; to be read on the loop only."""
        self._clusters_dir = directory / "clusters"
        self._executor = executor
        self._faults = faults
        self._store = JobStore(directory / "jobs.sqlite")
        self._threads = ThreadPoolExecutor(BLOCKING_CALLS, thread_name_prefix="job-io")
        self._lives: dict[str, tuple[JobLife, asyncio.Task[None]]] = {}
        self._park = ClusterPark(settings, self._remove_cluster)
        self._numbers = count()
        self._recover()
        watch = JobWatch(executor, faults)
        self._surroundings = Surroundings(
            speed=settings.speed,
            now=_now,
            executor=executor,
            threads=self._threads,
            faults=faults,
            watch=watch,
            save=self._store.save,
            replace_cluster=self._replace_cluster,
        )
        self._loop = asyncio.new_event_loop()
        self._watching = self._loop.create_task(watch.run())
        self._thread = Thread(target=self._loop.run_forever, name="engine", daemon=True)
        self._thread.start()

    def call(self, operation: Callable[[], _T]) -> _T:
        """Carry out ``operation`` on the engine's loop, from another thread, and return or raise what it does."""
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
        """Begin a job on a matching warm pool, or on new instances.

        Raises
        ------
        ServiceError
            ResourceInUse, ResourceLimitExceeded.
        """
        arn, now = self.settings.arn(name), _now()
        if name in self.jobs:
            raise name_taken(arn)
        job = Job(name=name, arn=arn, request=request, created=now, modified=now, tags=dict(tags))
        warm = self._park.take_over(request, now)
        if warm is not None:
            former = warm.holder
            self._park.hand_over(warm, job, now)
            self._touch(former)
        cluster = warm or self._launch(job)
        self.jobs[name] = job
        life = JobLife(job, cluster, self._surroundings, is_warm=warm is not None)
        self._lives[name] = (life, self._loop.create_task(self._lead(life)))
        return job

    def stop(self, name: str) -> None:
        """Ask a job to stop; a job that is stopping already is left alone.

        Raises
        ------
        ServiceError
            ValidationException for a job that is unknown or over.
        """
        job = self.find(name)
        if job.is_over:
            raise invalid(f"The request was rejected because the training job is in status {job.status}.")
        if job.status == "InProgress":
            self._lives[name][0].stop()

    def keep_alive(self, name: str, seconds: int) -> None:
        """Let the Available pool of a job live ``seconds`` service seconds from now; 0 releases it.

        Raises
        ------
        ServiceError
            ResourceNotFound; ValidationException where the job has no Available pool.
        """
        job = self._known(name)
        cluster = self._park.available_of(job)
        if cluster is None:
            state = job.pool.status if job.pool else "none"
            raise invalid(
                f"KeepAlivePeriodInSeconds of {name} can be updated only while its warm pool is Available (it is {state})."
            )
        if seconds == 0:
            self._park.end(cluster, _now())
        else:
            self._park.keep_until(cluster, _now(), seconds)
            self._expire_later(cluster)
        self._touch(job)

    def delete(self, name: str) -> None:
        """Forget a job, so that its name is free.

        Raises
        ------
        ServiceError
            ResourceNotFound; ResourceInUse for a job that is not over, or whose warm pool is Available.
        """
        job = self._known(name)
        if not job.is_over:
            raise in_use(f"Training job {name} is in status {job.status}: stop it before it is deleted.")
        if self._park.available_of(job) is not None:
            raise in_use(
                f"The warm pool of training job {name} is Available: release it before the job is deleted."
            )
        del self.jobs[name]
        self._store.delete(name)

    def save(self, job: Job) -> None:
        """Write a changed record to disk."""
        self._store.save(job)

    def idle_seconds(self, job: Job) -> float:
        """Billed idle service seconds of the pool that this job left."""
        if job.pool is None:
            return 0.0
        cluster = self._park.available_of(job) if job.pool.status == "Available" else None
        if cluster is not None:
            return self._park.idle_seconds(cluster, _now())
        return job.pool.retained_seconds or 0.0

    def clusters(self) -> list[Cluster]:
        """All instances that jobs or warm pools hold."""
        return self._park.all()

    @property
    def n_running(self) -> int:
        """Jobs that are not over."""
        return len(self._lives)

    def close(self) -> None:
        """End all jobs (they are recorded as failed) and release everything."""
        asyncio.run_coroutine_threadsafe(self._end_lives(), self._loop).result()
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

    async def _lead(self, life: JobLife) -> None:
        await life.run()
        job, cluster, now = life.job, life.cluster, _now()
        is_sound = not (job.failure_reason or "").startswith(("InternalServerError", "CapacityError"))
        if is_sound and cluster.launched_at is not None:
            if self._park.retain(cluster, now):
                evicted = self._faults.strike("pool_eviction", job.name)
                if evicted:
                    self._park.keep_until(cluster, now, min(evicted.seconds, job.keep_alive))
                self._expire_later(cluster)
        else:
            self._park.end(cluster, now)
        del self._lives[job.name]
        self._store.save(job)

    async def _end_lives(self) -> None:
        tasks = [self._watching, *(task for _, task in self._lives.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for life, _ in self._lives.values():
            _abandon(life.job, _now())
            self._store.save(life.job)
        for cluster in self._park.idle():
            self._park.end(cluster, _now())
            self._store.save(cluster.holder)

    def _expire_later(self, cluster: Cluster) -> None:
        self._loop.call_later(max(0.0, cluster.expires_at - _now()), self._expire, cluster)

    def _expire(self, cluster: Cluster) -> None:
        if cluster.idle_since is None or cluster not in self._park.idle():
            return
        if _now() < cluster.expires_at - 0.001:
            self._expire_later(cluster)
            return
        self._park.end(cluster, _now())
        self._touch(cluster.holder)

    def _replace_cluster(self, lost: Cluster) -> Cluster:
        self._park.end(lost, _now())
        return self._launch(lost.holder)

    def _touch(self, job: Job) -> None:
        job.modified = _now()
        self._store.save(job)

    # ---- folders and restart

    def _launch(self, job: Job) -> Cluster:
        cluster = self._park.launch(job, self._clusters_dir / f"{next(self._numbers):06d}")
        try:
            cluster.directory.mkdir(parents=True)
        except OSError:  # a full disk, say: the request fails, and its instances are free again
            self._park.end(cluster, _now())
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
    """Epoch seconds in whole milliseconds, as the answers show them, so that clients can compare with what they saw."""
    return round(time.time(), 3)


def _abandon(job: Job, now: float) -> None:
    """Record that a job ended because its emulator did."""
    job.fail(INTERNAL_ERROR, now)
    if job.pool is not None:
        job.pool.status = "Terminated"
