"""The channel of a runner inside a training job: small S3 objects."""

from __future__ import annotations

import email.utils
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, final

from . import s3_keys
from .channel import GO_ON, RELEASE, Channel, End, Report
from .checkpoints import PeriodicCheckpoints, S3Checkpoints
from .restarts import Restarts
from .run_order import RunOrder

_TOLERANCE = 2.0
"""Seconds that count as no difference: the service's answers are dated in whole seconds."""


@final
class S3Clock:
    """How far S3's clock is ahead of this machine's; measured once, with one listing, when it is first asked.

    Parameters
    ----------
    client
        A boto3 client of S3.
    bucket
        Its name.
    prefix
        That may be listed.
    """

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._ahead: float | None = None

    def ahead(self) -> float:
        """Seconds to add to this machine's time; 0 if the clocks agree, or the answer has no date."""
        if self._ahead is None:
            answer = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
            self._ahead = seconds_ahead(answer, time.time())
        return self._ahead


def seconds_ahead(answer: Any, now: float) -> float:
    """How far the clock that dated a boto3 answer is ahead of ``now``, seconds since 1970."""
    try:
        date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
        ahead = email.utils.parsedate_to_datetime(date).timestamp() + 0.5 - now
    except (KeyError, TypeError, ValueError):
        return 0.0
    return ahead if abs(ahead) > _TOLERANCE else 0.0


@final
class SessionWatch:
    """Notices that the tuner has shown no sign of life for a while: its session object does not change.

    No times are compared, so that clocks may differ.

    Parameters
    ----------
    read
        Returns the content of the session object; None: there is none.
    abandon_seconds
        So long without a change; 0: the tuner is not watched.
    period
        Longest time between two looks.
    """

    def __init__(
        self, read: Callable[[], bytes | None], abandon_seconds: float, *, period: float = 60.0
    ) -> None:
        self._read = read
        self._abandon_seconds = abandon_seconds
        self._period = min(period, abandon_seconds / 4)
        self._session: bytes | None = None
        self._since = self._next_look = time.monotonic()

    def is_over(self) -> bool:
        """Whether the tuner has been away for so long; the object is read only if it is time."""
        now = time.monotonic()
        if not self._abandon_seconds or now < self._next_look:
            return False
        self._next_look = now + self._period
        session = self._read()
        if session != self._session:
            self._session, self._since = session, now
        is_over = now - self._since > self._abandon_seconds
        if is_over:
            sys.stdout.write(f"[tunewright] no tuner for {self._abandon_seconds:g} s: ending\n")
            sys.stdout.flush()
        return is_over

    def restart(self) -> None:
        """Count anew from now on."""
        self._since = time.monotonic()


@dataclass(frozen=True)
class S3Place:
    """Where an experiment's objects lie, and how often to look."""

    bucket: str
    prefix: str
    """Ends in a slash."""
    poll_seconds: float
    """Between two looks at the control key."""
    checkpoint_seconds: float
    """Between two checkpoints on the way."""
    report_shards: int = 1
    """Prefixes over which reports are spread."""
    abandon_seconds: float = 0.0
    """Without a sign of life of the tuner for so long, the run ends, to be continued later; 0: it goes on."""


@final
class S3Channel(Channel):
    """Reports, ends and checkpoints as S3 objects; a control key for the backend's requests.

    boto3 retries failed requests by itself; a request that fails in the end ends the runner, and the backend begins a retry.

    Parameters
    ----------
    client
        A boto3 client of S3.
    place
        Bucket, prefix and periods.
    order
        The run.
    source
        Trial and resource of the checkpoint that the run begins with; None: it begins from scratch.
    restarts
        Stores ends, for a job that the service may start again; None: it never does.
    stored
        Resource of a periodic checkpoint of an earlier start of the job.
    clock
        The service's clock, by which messages are dated; None: this machine's.
    """

    def __init__(
        self,
        client: Any,
        place: S3Place,
        order: RunOrder,
        source: tuple[int, int] | None,
        *,
        restarts: Restarts | None = None,
        stored: int | None = None,
        clock: S3Clock | None = None,
    ) -> None:
        self.poll_seconds = place.poll_seconds
        self._client = client
        self._place = place
        self._order = order
        self._source = source
        self._checkpoints = S3Checkpoints(client, place.bucket, place.prefix)
        self._folder = Path(order.checkpoint_dir)
        self._seq = 0
        self._looked = -math.inf
        self._wanted = GO_ON
        self._watch = SessionWatch(self._read_session, place.abandon_seconds)
        self._restarts = restarts
        self._clock = clock
        self._saved = stored
        self._periodic = PeriodicCheckpoints(self._folder, place.checkpoint_seconds)

    def load_checkpoint(self) -> None:
        """Download the checkpoint that the run begins with."""
        if self._source is not None:
            self._checkpoints.load(*self._source, self._folder)

    def send_report(self, report: Report) -> None:
        """Write the report's object."""
        self._seq = report.seq
        self._send(report, report.seq)

    def wanted(self) -> str:
        """Read the control key, unless it was read a moment ago; RELEASE if the tuner has gone."""
        now = time.monotonic()
        if self._wanted == GO_ON and now - self._looked >= self.poll_seconds / 2:
            self._looked = now
            self._wanted = self._read_control() or (RELEASE if self._watch.is_over() else GO_ON)
        return self._wanted

    def note_checkpoint(self, resource: int) -> None:
        """Save the folder if the last time is long enough ago, so that a lost machine costs little."""
        self._periodic.note(resource, self._keep)

    def save_checkpoint(self, resource: int) -> bool:
        """Save the folder for good."""
        return self._keep(self._folder, resource)

    def send_end(self, end: End) -> None:
        """Write the end's object; if the job may be started again, the end is stored for that start first."""
        if self._restarts is not None:
            self._restarts.note_end(self._order.name, end)
        self._send(end, self._seq + 1)

    def _send(self, message: Report | End, seq: int) -> None:
        if self._clock is not None:
            message = replace(message, wall=message.wall + self._clock.ahead())
        room = s3_keys.KEY_BYTES - len(self._place.prefix.encode("utf-8"))
        shard = s3_keys.shard_of(self._order.trial_id, self._place.report_shards)
        key, body = s3_keys.encode(self._order.name, seq, message, room=room, shard=shard)
        self._client.put_object(Bucket=self._place.bucket, Key=self._place.prefix + key, Body=body)

    def _read_control(self) -> str:
        name = self._order.name if self._restarts is None else self._restarts.job_name
        return (self._read(s3_keys.control_key(name)) or b"").decode("utf-8")

    def _read_session(self) -> bytes | None:
        return self._read(s3_keys.SESSION)

    def _read(self, key: str) -> bytes | None:
        """Content of an object of the experiment; None if there is none."""
        try:
            answer = self._client.get_object(Bucket=self._place.bucket, Key=self._place.prefix + key)
        except self._client.exceptions.NoSuchKey:
            return None
        body: bytes = answer["Body"].read()
        return body

    def _keep(self, content: Path, resource: int) -> bool:
        """Save a folder, and remove the periodic checkpoint before, which no message names."""
        is_whole = self._checkpoints.save(self._order.trial_id, resource, content)
        if is_whole:
            if self._saved is not None and self._saved != resource:
                self._checkpoints.delete(self._order.trial_id, self._saved)
            self._saved = resource
        return is_whole
