"""CloudWatch Logs for code in this process, on moto's backend; log streams of training jobs are kept on disk."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import quote, unquote

from moto.logs.models import LogEvent, LogGroup, LogsBackend, logs_backends
from moto.logs.utils import EventMessageFilter

from sagemaker_emulator.storage.objects import ACCOUNT_ID

Line = tuple[int, str]
"""Epoch milliseconds, text."""


@final
class DelayedLines:
    """A queue of lines that become readable after a delay; not thread-safe.

    Parameters
    ----------
    delay
        Real seconds.
    clock
        Monotonic real seconds.
    """

    def __init__(self, delay: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._delay = delay
        self._clock = clock
        self._waiting: deque[tuple[float, str, Sequence[Line]]] = deque()

    def put(self, stream: str, lines: Sequence[Line]) -> None:
        """Add lines of a stream, oldest first."""
        self._waiting.append((self._clock() + self._delay, stream, lines))

    def due(self) -> Iterator[tuple[str, Sequence[Line]]]:
        """Remove and return the readable lines, by stream."""
        now = self._clock()
        while self._waiting and self._waiting[0][0] <= now:
            _, stream, lines = self._waiting.popleft()
            yield stream, lines


MAX_EVENTS: Final = 10_000
"""Maximum number of events of one page."""
PAGE_BYTES: Final = 1 << 20
"""Maximum bytes of one page."""
MANY_STREAMS: Final = 10
"""A search of more streams starts with an empty page, as the service's may."""
_EVENT_BYTES: Final = 26
"""Per-event overhead in bytes."""

_Place = tuple[int, int]
"""Time and number of an event: its position in the order of all."""
_BEGINNING: Final[_Place] = (-1, -1)


class BadRequestError(ValueError):
    """InvalidParameterException: the request is inconsistent."""


def filter_events(group: LogGroup, request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a FilterLogEvents.

    Parameters
    ----------
    group
        Log group to search.
    request
        Members of the request.

    Raises
    ------
    BadRequestError
        The request is invalid.
    """
    limit = request.get("limit", MAX_EVENTS)
    if not 1 <= limit <= MAX_EVENTS:
        raise BadRequestError(f"limit must be from 1 to {MAX_EVENTS}, not {limit}")
    streams = _streams(group, request)
    token = request.get("nextToken")
    if token is None and len(streams) > MANY_STREAMS:
        return _page([], _BEGINNING)
    after = _BEGINNING if token is None else _place_of(token)
    matches = EventMessageFilter(request.get("filterPattern") or "").matches
    found: list[tuple[_Place, str, LogEvent]] = []
    for name in streams:
        for event in _between(group.streams[name].events, request):
            place = (event.timestamp, event.event_id)
            if place > after and matches(event.message):
                found.append((place, name, event))
    found.sort(key=lambda entry: entry[0])
    n_events = _n_fitting([event for _, _, event in found[:limit]])
    shown = [event.to_filter_dict() | {"logStreamName": name} for _, name, event in found[:n_events]]
    return _page(shown, found[n_events - 1][0] if n_events < len(found) else None)


def _streams(group: LogGroup, request: Mapping[str, Any]) -> list[str]:
    names, prefix = request.get("logStreamNames"), request.get("logStreamNamePrefix")
    if names and prefix:
        raise BadRequestError("logStreamNames and logStreamNamePrefix exclude one another")
    if names:
        return [name for name in names if name in group.streams]
    return [name for name in group.streams if name.startswith(prefix or "")]


def _between(events: list[LogEvent], request: Mapping[str, Any]) -> Iterator[LogEvent]:
    begin, end = request.get("startTime", 0), request.get("endTime")
    return (event for event in events if event.timestamp >= begin and (end is None or event.timestamp <= end))


def _n_fitting(events: list[LogEvent]) -> int:
    """Number of events that fit on a page; at least one, if there is one."""
    left = PAGE_BYTES
    for number, event in enumerate(events):
        left -= len(event.message.encode()) + _EVENT_BYTES
        if left < 0:
            return max(1, number)
    return len(events)


def _page(events: list[dict[str, Any]], last: _Place | None) -> dict[str, Any]:
    answer: dict[str, Any] = {"events": events, "searchedLogStreams": []}
    if last is not None:
        answer["nextToken"] = base64.urlsafe_b64encode(f"{last[0]}/{last[1]}".encode()).decode()
    return answer


def _place_of(token: str) -> _Place:
    try:
        at, number = base64.urlsafe_b64decode(token.encode()).decode().split("/")
        return int(at), int(number)
    except ValueError as error:
        raise BadRequestError("The specified nextToken is invalid.") from error


_LOG: Final = logging.getLogger(__name__)
TRAINING_LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
"""Log group of all training jobs."""
_SUFFIX: Final = ".jsonl"


@final
class LogStore:
    """Log streams of training jobs, one file each, loaded by a later emulator. Thread-safe.

    Parameters
    ----------
    directory
        Folder of the files; created if missing.
    region
        Region of the log group.
    delay
        Real seconds until a written line is readable.
    clock
        Monotonic real seconds.
    """

    def __init__(
        self,
        directory: Path,
        *,
        region: str,
        delay: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.lock = threading.RLock()
        """Held during each read and write of moto."""
        self._delayed = DelayedLines(delay, clock)
        self._directory = directory
        self._backend: LogsBackend = logs_backends[ACCOUNT_ID][region]
        self._backend.reset()
        self._backend.ensure_log_group(TRAINING_LOG_GROUP)
        directory.mkdir(parents=True, exist_ok=True)
        for file in sorted(directory.glob(f"*{_SUFFIX}")):
            self._publish(unquote(file.name.removesuffix(_SUFFIX)), list(_events(file)))

    def open_stream(self, name: str) -> None:
        """Create a stream in the log group of training jobs if it does not exist."""
        with self.lock:
            self._backend.ensure_log_group(TRAINING_LOG_GROUP)
            self._backend.ensure_log_stream(TRAINING_LOG_GROUP, name)

    def append(self, stream: str, events: Sequence[Line]) -> None:
        """Add (epoch milliseconds, line) events, oldest first; a deleted stream is created again.

        They are readable after the delay. If the disk is full, they are kept in memory only.
        """
        if not events:
            return
        with self.lock:
            self._delayed.put(stream, events)
            self.publish_due()
            try:
                self._write(stream, events)
            except OSError as error:
                _LOG.warning("the log of %s is not written to disk: %s", stream, error)

    def publish_due(self) -> None:
        """Publish the readable lines; call this with the lock before each read."""
        for stream, events in self._delayed.due():
            self._publish(stream, events)

    def filter(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """Answer a FilterLogEvents request; None if the group does not exist.

        Raises
        ------
        BadRequestError
            The request is inconsistent.
        """
        with self.lock:
            group = self._backend.groups.get(request.get("logGroupName", ""))
            return None if group is None else filter_events(group, request)

    def streams(self, group: str, prefix: str) -> list[str]:
        """Names of a group's streams with a prefix; empty if the group does not exist."""
        with self.lock:
            found = self._backend.groups.get(group)
            return [] if found is None else sorted(name for name in found.streams if name.startswith(prefix))

    def file_of(self, stream: str) -> Path:
        """File of a stream's lines, each ``[epoch milliseconds, text]``; it may be missing."""
        return self._directory / f"{quote(stream, safe='')}{_SUFFIX}"

    def _write(self, stream: str, events: Sequence[Line]) -> None:
        with self.file_of(stream).open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(event) + "\n" for event in events)

    def _publish(self, stream: str, events: Sequence[Line]) -> None:
        """Write to the group directly, as moto's operation rejects events older than 14 days."""
        self.open_stream(stream)
        group = self._backend.groups[TRAINING_LOG_GROUP]
        group.put_log_events(stream, [{"timestamp": at, "message": line} for at, line in events])


def _events(file: Path) -> Iterator[Line]:
    """Events of a file; lines torn by kill -9 are skipped."""
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            at, text = json.loads(line)
        except ValueError:
            continue
        yield int(at), str(text)
