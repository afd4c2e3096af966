"""Tasks and leases of runs as S3 objects, as the tuner sees them; the workers' side is :mod:`tunewright.runner.s3_tasks`."""

from __future__ import annotations

import json
from collections.abc import Set
from typing import Final, final

from typing_extensions import override

from tunewright.aws import S3Objects
from tunewright.backends.engine.job_service import JobOrder
from tunewright.backends.engine.tasks import TaskBoard, TaskListing
from tunewright.backends.s3.orders import run_facts, script_config
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.runner import s3_keys
from tunewright.runner.worker import DRAIN

_REVOKED: Final = b'{"job": "", "state": "revoked"}'


@final
class S3TaskBoard(TaskBoard):
    """Tasks and leases under an experiment's prefix, changed by conditional writes.

    Parameters
    ----------
    objects
        The objects under the experiment's prefix.
    benchmark
        Of the runs.
    """

    def __init__(self, objects: S3Objects, benchmark: RealBenchmarkDefinition) -> None:
        self._objects = objects
        self._benchmark = benchmark

    @override
    def post(self, order: JobOrder) -> None:
        """Write the task unless it exists."""
        task = {"config": script_config(order, self._benchmark), "facts": run_facts(order)}
        self._objects.put_new(s3_keys.TASKS + order.name.key, json.dumps(task).encode("ascii"))

    @override
    def list_tasks(self) -> TaskListing:
        """By two listings; a lease's version is its ETag."""
        waiting = self._etags(s3_keys.TASKS).keys()
        return TaskListing(waiting=waiting, leases=self._etags(s3_keys.LEASES))

    @override
    def withdraw(self, key: str) -> bool:
        """Write a lease before any worker does."""
        lease = s3_keys.LEASES + key
        if not self._objects.put_new(lease, _REVOKED) and self._objects.get(lease) != _REVOKED:
            return False
        self._remove(key)
        return True

    @override
    def revoke(self, key: str, version: str) -> bool:
        lease = s3_keys.LEASES + key
        if not self._objects.replace(lease, _REVOKED, version) and self._objects.get(lease) != _REVOKED:
            return False
        self._remove(key)
        return True

    @override
    def holder(self, key: str) -> str:
        """From the lease's content."""
        content = self._objects.get(s3_keys.LEASES + key)
        return "" if content is None else str(json.loads(content)["job"])

    @override
    def drain(self, job: int) -> None:
        self._objects.put(s3_keys.worker_control(job), DRAIN.encode("ascii"))

    @override
    def draining(self) -> Set[int]:
        """By a listing of the jobs' control objects."""
        prefix = s3_keys.worker_control_prefix()
        numbers = (stored.key[len(prefix) :] for stored in self._objects.list(prefix))
        return {int(number) for number in numbers if number.isdecimal()}

    def _etags(self, prefix: str) -> dict[str, str]:
        """ETags of the objects below a prefix that are named by a run."""
        found = {stored.key[len(prefix) :]: stored.etag for stored in self._objects.list(prefix)}
        return {key: etag for key, etag in found.items() if s3_keys.is_run(key)}

    def _remove(self, key: str) -> None:
        """The task first, so that no worker can claim it once the lease is gone."""
        self._objects.delete([s3_keys.TASKS + key])
        self._objects.delete([s3_keys.LEASES + key])


def run_logs(objects: S3Objects, trial_id: int) -> str:
    """Output of a trial's runs on workers, oldest first; the last MiB of each.

    Parameters
    ----------
    objects
        The objects under the experiment's prefix.
    trial_id
        The trial.

    Raises
    ------
    ServiceError
        S3 refuses or does not answer.
    """
    prefix = f"{s3_keys.LOGS}{trial_id}-"
    keys = [stored.key for stored in objects.list(prefix)]
    keys.sort(key=lambda key: [int(part) for part in key[len(prefix) :].split("-")])
    return "".join((objects.get(key) or b"").decode("utf-8", errors="replace") for key in keys)
