"""Channel of jobs that write S3 objects under the experiment's prefix."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Final, final

from typing_extensions import override

from tunewright.aws import S3Objects
from tunewright.backends.engine.channel import Channel, Message
from tunewright.backends.engine.job_service import JobName
from tunewright.backends.s3.checkpoints import RunnerCheckpoints
from tunewright.runner import s3_keys
from tunewright.runner.channel import End, Report

OVERLAP_SECONDS: Final = 60.0
"""Service seconds that a usual listing of S3 reaches back behind the newest report."""
SHORTEST_OVERLAP: Final = 5.0
"""Real seconds that any listing reaches back at least."""
REPORT_PERIOD: Final = 2.0
"""Service seconds between two listings of the reports in S3."""
_S3_PAGE: Final = 1000
_THREADS: Final = 8
"""Shards that are listed at the same time."""
_S3_SKEW: Final = 3600.0


@final
class S3Channel(Channel):
    """Reports, requests and checkpoints are S3 objects, which runners read and write.

    Parameters
    ----------
    objects
        The objects under the experiment's prefix.
    overlap
        Real seconds that a usual listing reaches back.
    n_shards
        Prefixes over which this session's runners spread reports.
    """

    page = _S3_PAGE
    skew = _S3_SKEW
    period = REPORT_PERIOD
    survives_termination = True

    def __init__(self, objects: S3Objects, *, overlap: float, n_shards: int = 1) -> None:
        self.checkpoints = RunnerCheckpoints(objects)
        self.overlap = overlap
        self.shortest_overlap = min(SHORTEST_OVERLAP, overlap)
        self._objects = objects
        self._n_shards = n_shards

    @override
    def open(self) -> None:
        """Read as many shards as any session had: its runners may still write there."""
        stored = int(self._objects.get(s3_keys.SHARDS) or b"1")
        if stored < self._n_shards:
            self._objects.put(s3_keys.SHARDS, str(self._n_shards).encode("ascii"))
        self._n_shards = max(stored, self._n_shards)

    @override
    def messages(self, since: float, known: Mapping[str, Message]) -> Iterator[Message]:
        """By ListObjectsV2: keys begin with the time, and hold the report itself if they have room for it.

        Shards are listed side by side.
        """

        def keys(shard: int) -> list[str]:
            prefix = s3_keys.report_place(shard)
            listed = self._objects.list(prefix, start_after=prefix + s3_keys.time_key(since))
            return [stored.key for stored in listed]

        with ThreadPoolExecutor(_THREADS) as pool:  # which has no thread before its first work
            listed = [keys(0)] if self._n_shards == 1 else pool.map(keys, range(self._n_shards))
            for key in chain.from_iterable(listed):
                message = known.get(key) or self._message(key)
                if message is not None:
                    yield message

    @override
    def send(self, name: JobName, request: str) -> None:
        """Write the run's control object."""
        self._objects.put(s3_keys.control_key(name.key), request.encode("ascii"))

    @override
    def show_life(self, number: int) -> None:
        """Change the content of the session object."""
        self._objects.put(s3_keys.SESSION, f"{time.time()} {number}".encode("ascii"))

    def _message(self, key: str) -> Message | None:
        parsed = s3_keys.decode(key)
        if parsed is None:
            return None

        def load() -> Report | End:
            return s3_keys.message_of(parsed, self._objects.get(key) if parsed.is_in_body else None)

        name = JobName(parsed.trial_id, parsed.attempt, parsed.retry)
        return Message(id=key, time=parsed.time / 1000, name=name, seq=parsed.seq, load=load)
