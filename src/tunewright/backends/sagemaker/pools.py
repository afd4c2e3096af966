"""Warm pools: counted while an experiment runs, released at its end."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final, final

from tunewright.aws import ServiceError
from tunewright.backends.sagemaker.names import JobName
from tunewright.backends.sagemaker.service import JobService, JobStatus, PoolStatus
from tunewright.trial import JobRecord

NOT_KEPT = (
    "WARNING: SageMaker did not keep the warm pool, so each trial starts cold. Ask Service Quotas for "
    '"{instance_type} for training warm pool usage" of at least the number of workers.'
)

_ATTEMPTS: Final = 5
"""How often a pool's release is asked for; the operation's rate keeps them apart."""


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
        self._released: set[JobName] = set()

    @property
    def jobs(self) -> Set[JobName]:
        """All jobs that listings named."""
        return self._statuses.keys()

    @property
    def available(self) -> list[JobName]:
        """The jobs whose instances wait for another."""
        return [run for run, status in self._statuses.items() if status.pool is PoolStatus.AVAILABLE]

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

    def records(self, startups: Mapping[JobName, float], warm: Set[str]) -> tuple[JobRecord, ...]:
        """All jobs as the console shows them, in order of their creation.

        Parameters
        ----------
        startups
            Service seconds that jobs needed to begin, as far as that is known.
        warm
            Names of the jobs that began on instances which another had left.
        """
        in_order = sorted(self._statuses.items(), key=lambda item: item[1].created)
        return tuple(
            JobRecord(
                name=self._service.name(run),
                pool=str(status.pool),
                is_warm=self._service.name(run) in warm,
                startup=startups.get(run),
                why=self._why(run, status),
            )
            for run, status in in_order
        )

    def _why(self, run: JobName, status: JobStatus) -> str:
        """Why a job's pool was not reused."""
        if status.pool is not PoolStatus.TERMINATED:
            return ""
        if run in self._released:
            return "released at the end"
        if status.idle_seconds:
            return f"nobody came for {status.idle_seconds} s"
        return "no quota for warm pools" if status.status == "Completed" else "its job did not complete"

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
        kept = self.available
        failed = [self._service.name(run) for run in kept if not self._end(run)]
        if kept:
            self.update(self._service.list_jobs())
        return failed

    def _end(self, run: JobName) -> bool:
        """Whether a pool could be released."""
        for _ in range(_ATTEMPTS):
            try:
                self._service.end_pool(run)
            except ServiceError:
                continue
            self._released.add(run)
            return True
        return False
