"""Warm pools: counted while an experiment runs, released at its end."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import final

from tunewright.aws import ServiceError
from tunewright.backends.sagemaker.names import JobName
from tunewright.backends.sagemaker.service import JobService, JobStatus, PoolStatus

NOT_KEPT = (
    "WARNING: SageMaker did not keep the warm pool, so each trial starts cold. Ask Service Quotas for "
    '"{instance_type} for training warm pool usage" of at least the number of workers.'
)


@final
class WarmPools:
    """What became of the instances of finished jobs.

    Parameters
    ----------
    service
        The experiment's jobs.
    """

    def __init__(self, service: JobService) -> None:
        self._service = service
        self._statuses: dict[JobName, JobStatus] = {}

    @property
    def jobs(self) -> Set[JobName]:
        """All jobs that listings named."""
        return self._statuses.keys()

    @property
    def reusers(self) -> set[str]:
        """Names of the jobs that began on instances which another one had left."""
        return {status.reused_by for status in self._statuses.values() if status.reused_by}

    @property
    def idle_seconds(self) -> Mapping[JobName, int]:
        """Billed seconds that instances stood idle after each job."""
        return {run: status.idle_seconds for run, status in self._statuses.items()}

    def update(self, statuses: Mapping[JobName, JobStatus]) -> None:
        """Take what a listing says."""
        self._statuses.update(statuses)

    def was_dropped(self, run: JobName) -> bool:
        """Whether the service gave a job's instances away at once although they were to be kept."""
        status = self._statuses.get(run)
        return (
            status is not None
            and status.status == "Completed"
            and status.pool is PoolStatus.TERMINATED
            and not status.idle_seconds
        )

    def release(self) -> list[str]:
        """Give back all instances that stand idle, and look what they cost.

        Returns
        -------
        list of str
            The names of jobs whose pools could not be released.

        Raises
        ------
        ServiceError
            The jobs cannot be listed.
        """
        self.update(self._service.list_jobs())
        kept = [run for run, status in self._statuses.items() if status.pool is PoolStatus.AVAILABLE]
        failed: list[str] = []
        for run in kept:
            try:
                self._service.end_pool(run)
            except ServiceError:
                failed.append(self._service.name(run))
        if kept:
            self.update(self._service.list_jobs())
        return failed
