"""Tasks and leases as the tuner sees them; see :mod:`tunewright.runner.s3_tasks` for the workers' side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Final, final

from tunewright.aws import S3Objects
from tunewright.runner import s3_keys

_REVOKED: Final = b'{"job": "", "state": "revoked"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What two listings say of all runs, by ``{trial}-{attempt}-{retry}``."""

    waiting: Set[str]
    """Runs that no worker has taken; some may be among the leases too."""
    leases: Mapping[str, str]
    """ETags of the leases of runs that workers have."""


@final
class TaskBoard:
    """Runs that wait for workers, and those that workers have.

    Every method raises :class:`~tunewright.aws.ServiceError` where S3 refuses or does not answer.

    Parameters
    ----------
    objects
        The objects under the experiment's prefix.
    """

    def __init__(self, objects: S3Objects) -> None:
        self._objects = objects

    def post(self, run: str, task: bytes) -> None:
        """Let a run wait for a worker; a second time, too, only one will run it."""
        self._objects.put_new(s3_keys.TASKS + run, task)

    def look(self) -> Look:
        """List all.

        Tasks come first: a run that is not among them any more was claimed before, so that its lease is in the second
        listing unless it is over.
        """
        waiting = self._etags(s3_keys.TASKS).keys()
        return Look(waiting=waiting, leases=self._etags(s3_keys.LEASES))

    def withdraw(self, run: str) -> bool:
        """Take a run that still waits away from all workers; False where one has it."""
        key = s3_keys.LEASES + run
        if not self._objects.put_new(key, _REVOKED) and self._objects.get(key) != _REVOKED:
            return False
        self._remove(run)
        return True

    def revoke(self, run: str, etag: str) -> bool:
        """Take a run away from its worker unless its lease was renewed since it had this ETag."""
        key = s3_keys.LEASES + run
        if not self._objects.replace(key, _REVOKED, etag) and self._objects.get(key) != _REVOKED:
            return False
        self._remove(run)
        return True

    def holder(self, run: str) -> str:
        """The name of the job that has a run; empty where none has."""
        content = self._objects.get(s3_keys.LEASES + run)
        return "" if content is None else str(json.loads(content)["job"])

    def _etags(self, place: str) -> dict[str, str]:
        """The ETags of all objects of a place that are named by a run."""
        found = {stored.key[len(place) :]: stored.etag for stored in self._objects.list(place)}
        return {run: etag for run, etag in found.items() if s3_keys.is_run(run)}

    def _remove(self, run: str) -> None:
        """The task first, so that nobody can claim it once the lease is gone."""
        self._objects.delete([s3_keys.TASKS + run])
        self._objects.delete([s3_keys.LEASES + run])
