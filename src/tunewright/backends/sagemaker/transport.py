"""How results come back and requests go out: S3 objects under the experiment's prefix, or lines of the jobs' logs."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import Any, Final, final

from typing_extensions import override

from tunewright.aws import S3Objects, ServiceError
from tunewright.backends.engine.channel import Channel, Message
from tunewright.backends.engine.context import ServiceTime
from tunewright.backends.engine.job_service import JobName
from tunewright.backends.sagemaker.checkpoints import CopiedCheckpoints, RunnerCheckpoints
from tunewright.backends.sagemaker.job_service import JobLogs, SageMakerJobs
from tunewright.backends.sagemaker.requests import parse_job_name
from tunewright.exceptions import BackendError
from tunewright.runner import log_lines, s3_keys
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
INGESTION_SECONDS: Final = 60.0
"""Service seconds after which a printed line is in the log for certain; mostly it is within fifteen."""
_USUAL_INGESTION: Final = 20.0
_LEAST_DELAY_INTERVALS: Final = 10
"""A line is waited for at least so many times the least interval."""


@final
class S3Transport(Channel):
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


@final
class LogTransport(Channel):
    """Reports are lines of the jobs' logs, and the service copies checkpoints: for jobs without a network.

    Lines reach the log late, and not in the order in which they were printed. So a missing number is waited for, and so
    is the last message of a job that has ended. Only a signal reaches such a job, so that each request is a StopTrainingJob.

    Parameters
    ----------
    logs
        The log group.
    jobs
        The experiment's jobs.
    checkpoints
        Copied by the service.
    service_time
        Conversion of delays.
    """

    page = 2000
    skew = 300.0
    period = 5.0
    survives_termination = False

    def __init__(
        self,
        logs: JobLogs,
        jobs: SageMakerJobs[Any],
        checkpoints: CopiedCheckpoints,
        service_time: ServiceTime,
    ) -> None:
        self.checkpoints = checkpoints
        least = _LEAST_DELAY_INTERVALS * service_time.min_interval
        self.delay = service_time.seconds(INGESTION_SECONDS, at_least=least)
        self.overlap = max(SHORTEST_OVERLAP, self.delay)
        usual = service_time.seconds(_USUAL_INGESTION, at_least=SHORTEST_OVERLAP)
        self.shortest_overlap = min(usual, self.overlap)
        self._logs = logs
        self._jobs = jobs
        self._prefix = jobs.prefix

    @override
    def open(self) -> None:
        """Make sure that the log may be read, before there are jobs whose reports would be lost.

        Raises
        ------
        BackendError
            It may not.
        ServiceError
            The service does not answer.
        """
        try:
            self._logs.check()
        except ServiceError as error:
            if not error.is_denied:
                raise
            raise BackendError(
                f"The log of the jobs cannot be read ({error}): allow logs:FilterLogEvents, as 'tunewright sagemaker "
                "policy' says, or use --channel s3"
            ) from error

    @override
    def messages(self, since: float, known: Mapping[str, Message]) -> Iterator[Message]:
        """By FilterLogEvents over the experiment's streams."""
        parts: defaultdict[str, dict[int, log_lines.Part]] = defaultdict(dict)
        for event in self._logs.events(f"{self._prefix}-", since=since, term=log_lines.MARKER):
            part = log_lines.decode(event.message)
            if part is None:
                continue
            name = JobName(part.trial_id, part.attempt, part.retry)
            if name.key != parse_job_name(self._prefix, event.job):
                continue
            message = f"{name.key}-{part.seq}-{part.is_end}"
            parts[message].setdefault(part.number, part)
            if len(parts[message]) == part.n_parts:
                whole = [parts[message][number] for number in sorted(parts[message])]
                load = partial(log_lines.message_of, whole)
                yield Message(id=message, time=event.time, name=name, seq=part.seq, load=load)

    @override
    def send(self, name: JobName, request: str) -> None:
        """Stop the job, whatever the request."""
        self._jobs.stop(name.key)
