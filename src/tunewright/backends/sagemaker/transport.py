"""How results come back and requests go out: S3 objects under the experiment's prefix, or lines of the jobs' logs.

One listing a period brings the reports of all trials, which are dated by the service's clock, whatever that of their
machine says. It begins some time before the newest report that was seen, so that uploads may be slow; what was seen before is
passed over by its numbers. A gap
in the numbers of a run, or a job that is over and left no end, is settled by one listing that begins much earlier.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar, Final, final

from tunewright.aws import AwsSession, Endpoint, S3Objects, ServiceError
from tunewright.backends.sagemaker.checkpoints import Checkpoints, CopiedCheckpoints, RunnerCheckpoints
from tunewright.backends.sagemaker.job_service import JobLogs, JobService
from tunewright.backends.sagemaker.requests import (
    Deployment,
    JobName,
    JobOrder,
    JobRequest,
    build_request,
    parse_job_name,
)
from tunewright.backends.sagemaker.settings import LOGS, SageMakerSettings
from tunewright.exceptions import BackendError
from tunewright.runner import log_lines, s3_keys
from tunewright.runner.channel import End, Report

OVERLAP_SECONDS: Final = 60.0
"""Service seconds that a usual listing reaches back behind the newest report."""
SHORTEST_OVERLAP: Final = 5.0
"""Real seconds that it reaches back at the least."""
REPORT_PERIOD: Final = 2.0
"""Service seconds between two listings of the reports."""
_FULL_EVERY: Final = 8
_PAGE: Final = 1000
SKEW_SECONDS: Final = 3600.0
"""How far clocks may differ at all: a thorough listing begins so long before the job."""


@dataclass(slots=True)
class Mailbox:
    """What has arrived of one retry of one run, in the order of its numbers."""

    taken: int = 0
    """Number of the last message that was handed out."""
    waiting: dict[int, Report | End] = field(default_factory=dict[int, Report | End])

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever seen."""
        return not self.taken and not self.waiting

    @property
    def has_gap(self) -> bool:
        """Whether something arrived whose predecessor has not."""
        return bool(self.waiting) and self.taken + 1 not in self.waiting

    def put(self, seq: int, message: Report | End) -> None:
        """Keep a message unless it was handed out before."""
        if seq > self.taken:
            self.waiting.setdefault(seq, message)

    def take(self, *, over_gaps: bool = False) -> list[tuple[int, Report | End]]:
        """Hand out what is complete; with ``over_gaps`` all there is."""
        taken: list[tuple[int, Report | End]] = []
        while self.waiting:
            seq = min(self.waiting) if over_gaps else self.taken + 1
            if seq not in self.waiting:
                break
            taken.append((seq, self.waiting.pop(seq)))
            self.taken = seq
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One message in a listing."""

    id: str
    """Its own among all messages."""
    time: float
    """Seconds since 1970, by the service's clock."""
    name: JobName
    seq: int
    load: Callable[[], Report | End]
    """Gives the message; ValueError where it is none."""


class MessageReader(ABC):
    """Collects the reports of all runs of an experiment.

    Every method that reads raises :class:`~tunewright.aws.ServiceError` where the service refuses or does not answer.

    Parameters
    ----------
    overlap
        Real seconds that a usual listing reaches back.
    shortest
        Real seconds that it reaches back where that brings too much.
    delay
        Real seconds after which what was written can be read for certain; 0: at once.
    """

    page: ClassVar[int]
    """Messages that one request brings at the most."""
    skew: ClassVar[float]
    """Seconds by which clocks may differ at all."""
    period: ClassVar[float]
    """Service seconds between two usual listings."""
    has_one_life: ClassVar[bool]
    """Whether a job that was terminated never begins again under its name."""

    def __init__(self, *, overlap: float, shortest: float = SHORTEST_OVERLAP, delay: float = 0.0) -> None:
        self.delay: Final = delay
        self._overlap = overlap
        self._shortest = min(shortest, overlap)
        self._newest = 0.0
        self._is_long = False
        """Whether the last listing that reached back all the way needed more than one page."""
        self._n_short = 0
        self._known: dict[str, Found] = {}
        """What the last listings brought, by id."""
        self._boxes: defaultdict[JobName, Mailbox] = defaultdict(Mailbox)
        self._gaps: dict[JobName, float] = {}
        """Monotonic second at which a gap in the messages of a retry was first seen."""
        self._forgotten: set[JobName] = set()
        self._news: set[tuple[int, int]] = set()
        """Attempts of trials of which something arrived that was not handed out."""
        self._lives: dict[tuple[int, int], int] = {}

    @abstractmethod
    def _list(self, since: float) -> Iterator[Found]:
        """All messages of the experiment since a second of 1970, in any order."""

    def open(self) -> None:
        """Learn how what earlier sessions wrote lies; to be called before anything is read."""

    def box(self, name: JobName) -> Mailbox:
        """The messages of one retry of a run."""
        return self._boxes[name]

    def names(self) -> list[JobName]:
        """The retries of runs of which something is kept."""
        return list(self._boxes)

    def has_news(self, trial_id: int, attempt: int) -> bool:
        """Whether something of an attempt of a trial arrived, and may wait to be handed out."""
        return (trial_id, attempt) in self._news

    def was_handed_out(self, names: Sequence[JobName]) -> None:
        """What is complete of these retries of an attempt was taken from their boxes."""
        if not any(self._boxes[name].waiting for name in names):
            self._news.discard((names[0].trial_id, names[0].attempt))

    def newest_retry(self, name: JobName) -> int:
        """The highest retry of the same attempt of which anything was seen, and not below that of the name."""
        return max(name.retry, self._lives.get((name.trial_id, name.attempt), 0))

    def begin_at(self, wall: float) -> None:
        """Let the next usual listing reach back to reports of ``wall`` seconds since 1970."""
        self._newest = wall

    def poll(self) -> bool:
        """The usual listing: from a little before the newest report. Returns whether something new came.

        Where a page does not hold what came in that time, most listings reach back less, and one in eight all the way.
        """
        self._n_short += 1
        if self._is_long and self._n_short % _FULL_EVERY:
            return self._read(self._newest - self._shortest, adds=True)
        return self._read(self._newest - self._overlap)

    def search_from(self, wall: float) -> bool:
        """A thorough listing for messages of a job that began at ``wall`` seconds since 1970."""
        return self._read(wall - self.skew)

    def needs_search(self, names: Iterable[JobName]) -> bool:
        """Whether something is missing among the messages of these retries that could be read by now."""
        return any(self._has_old_gap(name) for name in names)

    def forget(self, name: JobName) -> None:
        """Drop what is kept of one retry that does not count."""
        self._boxes.pop(name, None)
        self._gaps.pop(name, None)
        self._forgotten.add(name)

    def forget_attempt(self, names: Sequence[JobName]) -> None:
        """Drop what is kept of all retries of a run that is over."""
        for name in names:
            self.forget(name)
        place = (names[0].trial_id, names[0].attempt)
        self._news.discard(place)
        self._lives.pop(place, None)

    def _has_old_gap(self, name: JobName) -> bool:
        if not self._boxes[name].has_gap:
            self._gaps.pop(name, None)
            return False
        now = time.monotonic()
        return now - self._gaps.setdefault(name, now) >= self.delay

    def _read(self, since: float, *, adds: bool = False) -> bool:
        seen: dict[str, Found] = {}
        has_news, now = False, time.time()
        for found in self._list(since):
            seen[found.id] = found
            self._newest = max(
                self._newest, min(found.time, now)
            )  # one clock that is ahead must not hide the others
            if found.id not in self._known:
                self._accept(found)
                has_news = True
        self._known = self._known | seen if adds else seen
        self._is_long = self._is_long if adds else len(seen) > self.page
        return has_news

    def _accept(self, found: Found) -> None:
        run = found.name
        if run in self._forgotten:
            return
        place = (run.trial_id, run.attempt)
        self._lives[place] = max(run.retry, self._lives.get(place, 0))
        self._news.add(place)
        box = self._boxes[run]
        if found.seq > box.taken:
            with suppress(ValueError):  # what no runner wrote
                box.put(found.seq, found.load())


@final
class ReportReader(MessageReader):
    """Collects reports that are S3 objects.

    Parameters
    ----------
    objects
        The objects under the experiment's prefix.
    overlap
        Real seconds that a usual listing reaches back.
    n_shards
        Prefixes over which this session's runners spread them.
    """

    page = _PAGE
    skew = SKEW_SECONDS
    period = REPORT_PERIOD
    has_one_life = False

    def __init__(self, objects: S3Objects, *, overlap: float, n_shards: int = 1) -> None:
        super().__init__(overlap=overlap)
        self._objects = objects
        self._n_shards = n_shards

    def open(self) -> None:
        """Read as many shards as any session had: its runners may still write there."""
        stored = int(self._objects.get(s3_keys.SHARDS) or b"1")
        if stored < self._n_shards:
            self._objects.put(s3_keys.SHARDS, str(self._n_shards).encode("ascii"))
        self._n_shards = max(stored, self._n_shards)

    def _list(self, since: float) -> Iterator[Found]:
        for shard in range(self._n_shards):
            place = s3_keys.report_place(shard)
            for stored in self._objects.list(place, start_after=place + s3_keys.time_key(since)):
                found = self._known.get(stored.key) or self._found(stored.key)
                if found is not None:
                    yield found

    def _found(self, name: str) -> Found | None:
        key = s3_keys.decode(name)
        if key is None:
            return None

        def load() -> Report | End:
            return s3_keys.message_of(key, self._objects.get(name) if key.is_in_body else None)

        run = JobName(key.trial_id, key.attempt, key.retry)
        return Found(id=name, time=key.time / 1000, name=run, seq=key.seq, load=load)


def send_wish(objects: S3Objects, name: JobName, wish: str) -> None:
    """Tell a run's runner what is wanted: one of the words of the channels' contract."""
    objects.put(s3_keys.control_key(name.run), wish.encode("ascii"))


INGESTION_SECONDS: Final = 60.0
"""Service seconds after which a line that was printed is in the log for certain; mostly it is within fifteen."""
_USUAL_INGESTION: Final = 20.0
_SHORTEST_DELAY: Final = 10
"""Times the least interval: for how long a line is waited for at the least."""


@final
class LogReader(MessageReader):
    """Collects reports that are lines of logs.

    Lines reach the log late, and not in the order in which they were printed. So a number that is missing is waited for,
    and so is the last word of a job that is over.

    Parameters
    ----------
    logs
        The log group.
    prefix
        What the names of the experiment's jobs begin with, without the last hyphen.
    endpoint
        Whose seconds count.
    min_interval
        Least real seconds between two listings.
    """

    page = 2000
    skew = 300.0
    period = 5.0
    has_one_life = True

    def __init__(self, logs: JobLogs, prefix: str, endpoint: Endpoint, min_interval: float) -> None:
        delay = endpoint.seconds(INGESTION_SECONDS, at_least=_SHORTEST_DELAY * min_interval)
        super().__init__(
            overlap=max(SHORTEST_OVERLAP, delay),
            shortest=endpoint.seconds(_USUAL_INGESTION, at_least=SHORTEST_OVERLAP),
            delay=delay,
        )
        self._logs = logs
        self._prefix = prefix

    def open(self) -> None:
        """Make sure that the log may be read, before there are jobs whose words nobody would hear.

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

    def _list(self, since: float) -> Iterator[Found]:
        parts: defaultdict[str, dict[int, log_lines.Part]] = defaultdict(dict)
        for event in self._logs.events(f"{self._prefix}-", since=since, term=log_lines.MARKER):
            part = log_lines.decode(event.message)
            if part is None:
                continue
            run = JobName(part.trial_id, part.attempt, part.retry)
            if run != parse_job_name(self._prefix, event.job):
                continue
            message = f"{run.run}-{part.seq}-{part.is_end}"
            parts[message].setdefault(part.number, part)
            if len(parts[message]) == part.n_parts:
                whole = [parts[message][number] for number in sorted(parts[message])]
                load = partial(log_lines.message_of, whole)
                yield Found(id=message, time=event.time, name=run, seq=part.seq, load=load)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transport:
    """The tuner's end of the line."""

    reader: MessageReader
    checkpoints: Checkpoints
    build: Callable[[JobOrder, Deployment, SageMakerSettings], JobRequest]
    """From an order to the request of its job."""
    send_wish: Callable[[JobName, str], None]
    """Tells a job what is wanted of it: one of the words of the runner's channels."""


def make_transport(
    session: AwsSession, objects: S3Objects, service: JobService, settings: SageMakerSettings
) -> Transport:
    """The tuner's end of the line to the jobs of an experiment.

    Parameters
    ----------
    session
        An open session.
    objects, service
        The experiment's S3 objects and jobs.
    settings
        Say which way.
    """
    if settings.channel == LOGS:
        return _through_logs(session, objects, service, settings)
    overlap = session.endpoint.seconds(OVERLAP_SECONDS, at_least=SHORTEST_OVERLAP)
    return Transport(
        reader=ReportReader(objects, overlap=overlap, n_shards=settings.n_report_shards),
        checkpoints=RunnerCheckpoints(objects),
        build=build_request,
        send_wish=lambda name, wish: send_wish(objects, name, wish),
    )


def _through_logs(
    session: AwsSession, objects: S3Objects, service: JobService, settings: SageMakerSettings
) -> Transport:
    """Nothing but a signal reaches a job without a network, so whatever is wanted of it is StopTrainingJob."""
    copied = CopiedCheckpoints(objects)

    def build(order: JobOrder, deployment: Deployment, given: SageMakerSettings) -> JobRequest:
        source = order.run.from_checkpoint
        if source is None:
            return build_request(order, deployment, given)
        place = copied.place(source)
        if place is None:
            why = f"The checkpoint of trial {source.trial_id} at {source.resource} is not whole in {objects.uri()}"
            return JobRequest(fields={}, refusal=why)
        return build_request(replace(order, checkpoint_key=place), deployment, given)

    return Transport(
        reader=LogReader(JobLogs(session), service.prefix, session.endpoint, settings.min_interval),
        checkpoints=copied,
        build=build,
        send_wish=lambda name, _wish: service.stop(name),
    )
