"""Which tuning job works on a slice: at most one, and whether it still lives is what the service says."""

from __future__ import annotations

import json
from typing import Final

from tunewright.aws import AwsSession, S3Objects, ServiceError
from tunewright.exceptions import BackendError
from tunewright.remote.place import LEASE

_ENDED: Final = frozenset({"Completed", "Failed", "Stopped"})
_ATTEMPTS: Final = 3


def take_lease(session: AwsSession, objects: S3Objects, job: str) -> None:
    """Make a job the one that works on a slice.

    The lease is an object that is written conditionally: of two jobs, one wins. It never expires by time. A job that
    finds the lease of another asks the service whether that one is over, and only then takes its place. A job that the
    service restarted under its own name finds its own lease.

    Parameters
    ----------
    session
        An open session.
    objects
        The slice's objects.
    job
        The name of the job.

    Raises
    ------
    BackendError
        Another tuning job works on the slice.
    """
    body = json.dumps({"job": job}).encode()
    for _ in range(_ATTEMPTS):
        if objects.put_new(LEASE, body):
            return
        found = next((entry for entry in objects.page(LEASE) if entry.key == LEASE), None)
        content = objects.get(LEASE)
        if found is None or content is None:
            continue
        owner = str(json.loads(content)["job"])
        if owner == job:
            return
        if not _is_over(session, owner):
            raise BackendError(
                f"The tuning job {owner} works on this slice: wait for its end, or stop it with 'tunewright remote stop'"
            )
        if objects.replace(LEASE, body, found.etag):
            return
    raise BackendError("Another tuning job took this slice at the same moment: this one ends")


def _is_over(session: AwsSession, job: str) -> bool:
    try:
        answer = session.call("DescribeTrainingJob", TrainingJobName=job)
    except ServiceError as error:
        if error.code in {"ValidationException", "ResourceNotFound"}:
            return True  # it was deleted
        raise
    return answer["TrainingJobStatus"] in _ENDED
