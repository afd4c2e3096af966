"""The port through which runs are offered to workers: tasks that wait, and leases of those that workers have."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import final

from tunewright.backends.engine.job_service import JobOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskListing:
    """State of all tasks, by run key."""

    waiting: Set[str]
    """Runs that no worker has claimed; some may be among the leases too."""
    leases: Mapping[str, str]
    """Versions of the leases of runs that workers have; each renewal changes the version."""


class TaskBoard(ABC):
    """Tasks that wait for workers, and leases of tasks that workers have.

    Every method raises :class:`~tunewright.exceptions.RequestError` if the storage refuses or does not answer.
    """

    @abstractmethod
    def post(self, order: JobOrder) -> None:
        """Offer a run to the workers; posted twice, it is run once."""

    @abstractmethod
    def list_tasks(self) -> TaskListing:
        """All tasks and leases.

        Tasks are listed first: a run that is not among them any more was claimed before, so that its lease is in the second
        listing unless it has ended.
        """

    @abstractmethod
    def withdraw(self, key: str) -> bool:
        """Take a waiting run back; False if a worker has it."""

    @abstractmethod
    def revoke(self, key: str, version: str) -> bool:
        """Take a run away from its worker; False if its lease was renewed since this version."""

    @abstractmethod
    def holder(self, key: str) -> str:
        """Full name of the job that has a run; empty if none has."""

    @abstractmethod
    def drain(self, job: int) -> None:
        """Ask a job's workers to take no more runs."""

    @abstractmethod
    def draining(self) -> Set[int]:
        """Numbers of the jobs that were asked to."""


@final
class LeaseWatch:
    """Judges by our own clock, from changes alone, which leases are renewed; the workers' clocks do not matter.

    Parameters
    ----------
    patience
        Seconds without a change of the version after which a lease is stale.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._seen: dict[str, tuple[str, float]] = {}

    def is_stale(self, key: str, version: str, now: float) -> bool:
        """Take over a listing at ``now`` (monotonic seconds). Returns whether the lease was not renewed for too long."""
        before = self._seen.get(key)
        if before is None or before[0] != version:
            self._seen[key] = (version, now)
            return False
        return now - before[1] > self._patience

    def forget(self, key: str) -> None:
        """The run has ended."""
        self._seen.pop(key, None)
