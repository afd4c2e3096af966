"""Runs that wait for a worker, and the leases by which exactly one worker has each of them.

All is done by conditional writes. A lease is made by ``If-None-Match: *``, so that of many workers one gets it, and
renewed by ``If-Match`` with the ETag of the last renewal, so that a worker whose lease was taken away finds out. No
times are compared: the lease's ETag changes with each renewal, and each side waits for that by its own clock.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any, final

from . import s3_keys

_REFUSED = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "404", "409", "412"}
_ATTEMPTS = 5


@final
@dataclass
class S3Lease:
    """A run that this worker has, with its object."""

    run: str
    """``{trial}-{attempt}-{retry}``."""
    task: dict[str, Any]
    """The backend's description of the run."""
    etag: str
    """Of the newest renewal."""
    beat: int = 1
    """How often it was written."""


@final
class TaskQueue:
    """The tasks of an experiment as one worker sees them.

    Parameters
    ----------
    client
        A boto3 client of S3.
    bucket
        Its name.
    prefix
        The experiment's prefix, ending in a slash.
    job
        The name of the training job that this worker is part of.
    """

    def __init__(self, client: Any, bucket: str, prefix: str, job: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._job = job
        self._nonce = uuid.uuid4().hex

    def waiting(self) -> list[str]:
        """At most a thousand runs that wait, one request."""
        answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix + s3_keys.TASKS)
        skip = len(self._prefix + s3_keys.TASKS)
        return [run for entry in answer.get("Contents", []) if s3_keys.is_run(run := entry["Key"][skip:])]

    def claim(self, run: str) -> S3Lease | None:
        """Take a run; None if another worker has it, or had it."""
        etag = self._put(run, 1, {"IfNoneMatch": "*"})
        if etag is None:
            return None
        task = self.get(s3_keys.TASKS + run)
        if task is None:  # it was taken, and is over, since it was listed
            self._delete(s3_keys.LEASES + run)
            return None
        self._delete(s3_keys.TASKS + run)
        return S3Lease(run, json.loads(task), etag)

    def renew(self, lease: S3Lease) -> bool:
        """Renew the lease of a run; False if it was taken away."""
        for _ in range(_ATTEMPTS):
            etag = self._put(lease.run, lease.beat + 1, {"IfMatch": lease.etag})
            if etag is not None:
                lease.etag = etag
                lease.beat += 1
                return True
            _, found = self._read(s3_keys.LEASES + lease.run)
            if found != lease.etag:
                return False
        return False

    def give_back(self, lease: S3Lease) -> None:
        """Let go of a run: its end was sent, or it is to go on elsewhere.

        Its task may exist again, if the tuner got no answer and wrote it again after this worker took it.
        """
        if self.renew(lease):
            self._delete(s3_keys.TASKS + lease.run)
            self._delete(s3_keys.LEASES + lease.run)

    def get(self, key: str) -> bytes | None:
        """The content of an object of the experiment; None if there is none."""
        return self._read(key)[0]

    def _read(self, key: str) -> tuple[bytes | None, str]:
        """Content and ETag of an object; None and an empty text if there is none."""
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        except self._client.exceptions.NoSuchKey:
            return None, ""
        return answer["Body"].read(), str(answer["ETag"])

    def _put(self, run: str, beat: int, condition: dict[str, str]) -> str | None:
        """Write a lease under a condition; its ETag, or None if the condition does not hold."""
        key = s3_keys.LEASES + run
        body = json.dumps({"job": self._job, "nonce": self._nonce, "beat": beat}).encode("ascii")
        try:
            answer = self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=body, **condition
            )
        except self._client.exceptions.ClientError as error:
            if str(error.response["Error"]["Code"]) not in _REFUSED:
                raise
            # an answer that was lost on its way is sent for again by boto3, and then refused to its own writer
            found, etag = self._read(key)
            return etag if found == body else None
        return str(answer["ETag"])

    def _delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)
