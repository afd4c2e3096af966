"""Restarts of a job by the service under the job's own name; each start is a retry of its own.

A spot interruption, or an internal error where a RetryStrategy was asked for, ends the instances of a job; then the
service starts the same request again. Each start claims a number of its own, so that the reports of two starts cannot be
confused::

    lives/{trial}-{attempt}-{retry}     claimed by the start of that retry; later holds its end

The numbers go on from the job's own, and the backend gives its next job a number above all that are claimed. A run that
ended is not begun again by the next start: its end is sent once more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, final

from . import s3_keys
from .channel import TERMINATED, UNTIL, End
from .run_order import RunOrder

RESTARTS = "lives/"
_PAGE = 1000


@dataclass(frozen=True)
class Start:
    """Initial state of one start of a job."""

    order: RunOrder
    """With the retry of this start and the resource of its checkpoint."""
    source: tuple[int, int] | None
    """Trial and resource of the checkpoint to begin with; None: from scratch."""
    stored: int | None
    """Resource of a periodic checkpoint of an earlier start, which no message names."""
    end: End | None
    """The end that the run came to before; then there is nothing left to run."""


@final
class Restarts:
    """Counts the starts of one job and stores their ends.

    Parameters
    ----------
    client
        A boto3 client of S3.
    bucket
        Its name.
    prefix
        The experiment's prefix, ending in a slash.
    order
        The run, with the retry that is in the job's name.
    """

    def __init__(self, client: Any, bucket: str, prefix: str, order: RunOrder) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._order = order
        self.job_name = order.name
        """``{trial}-{attempt}-{retry}`` of the job: the key of requests, for all starts."""

    def begin(self, source: tuple[int, int] | None, *, is_main: bool) -> Start:
        """Claim the next start, and find its checkpoint.

        Parameters
        ----------
        source
            Trial and resource of the checkpoint that the run began with.
        is_main
            Whether this instance reports for the job; only that one claims.
        """
        order = self._order
        former = self._newest_claim()
        if is_main:
            order = replace(order, retry=order.retry if former is None else former + 1)
        stored = self._newest_checkpoint()
        if stored is not None:
            order = replace(order, resume_from=stored)
            source = (order.trial_id, stored)
        end = None if former is None else self._end_of(former)
        if end is None and stored is not None and order.until is not None and stored >= order.until:
            end = End(UNTIL, 0, "", 0.0, 0.0, stored)
        if is_main:
            self._put(order.name, b"")
        if end is not None:
            end = replace(end, cost=order.cost_before, wall=time.time())
        return Start(order, source, stored, end)

    def note_end(self, run_name: str, end: End) -> None:
        """Store an end after which the script is not run again."""
        if end.cause != TERMINATED:
            self._put(run_name, json.dumps(asdict(end)).encode("ascii"))

    def _newest_claim(self) -> int | None:
        """The highest retry of this job that was claimed."""
        start = f"{RESTARTS}{self._order.trial_id}-{self._order.attempt}-"
        claimed = [int(key[len(start) :]) for key in self._keys(start)]
        return max((retry for retry in claimed if retry >= self._order.retry), default=None)

    def _newest_checkpoint(self) -> int | None:
        """Resource of the newest whole checkpoint that this run stored."""
        start = f"{s3_keys.CHECKPOINTS}{self._order.trial_id}/"
        places = (key[len(start) :].split("/") for key in self._keys(start))
        whole = (int(parts[0]) for parts in places if parts[1:] == [s3_keys.COMPLETE])
        return max((resource for resource in whole if resource > self._order.resume_from), default=None)

    def _end_of(self, retry: int) -> End | None:
        name = replace(self._order, retry=retry).name
        answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + RESTARTS + name)
        body = answer["Body"].read()
        return End(**json.loads(body)) if body else None

    def _put(self, run_name: str, body: bytes) -> None:
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + RESTARTS + run_name, Body=body)

    def _keys(self, start: str) -> Iterator[str]:
        """Keys below the experiment's prefix that begin with ``start``."""
        after = ""
        while True:
            answer = self._client.list_objects_v2(
                Bucket=self._bucket, Prefix=self._prefix + start, MaxKeys=_PAGE, StartAfter=after
            )
            found = [entry["Key"] for entry in answer.get("Contents", [])]
            yield from (key[len(self._prefix) :] for key in found)
            if len(found) < _PAGE:
                return
            after = found[-1]
