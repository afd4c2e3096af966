"""FilterLogEvents as CloudWatch answers it: over many streams, in order of time, page by page."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any, Final

from moto.logs.models import LogEvent, LogGroup
from moto.logs.utils import EventMessageFilter

MOST_EVENTS: Final = 10_000
"""Events of one page."""
PAGE_BYTES: Final = 1 << 20
"""Bytes of one page."""
MANY_STREAMS: Final = 10
"""A search of more streams than that begins with an empty page, as the service's may."""
_EVENT_BYTES: Final = 26
"""What an event counts beside its message."""

_Place = tuple[int, int]
"""Time and number of an event: the order of all."""
_BEGINNING: Final[_Place] = (-1, -1)


class BadRequestError(ValueError):
    """The request contradicts itself: InvalidParameterException."""


def filter_events(group: LogGroup, request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a FilterLogEvents.

    Parameters
    ----------
    group
        Where to search.
    request
        The members of the request.

    Raises
    ------
    BadRequestError
        It is not one that the service takes.
    """
    limit = request.get("limit", MOST_EVENTS)
    if not 1 <= limit <= MOST_EVENTS:
        raise BadRequestError(f"limit must be from 1 to {MOST_EVENTS}, not {limit}")
    streams = _streams(group, request)
    token = request.get("nextToken")
    if token is None and len(streams) > MANY_STREAMS:
        return _answer([], _BEGINNING)
    after = _BEGINNING if token is None else _place_of(token)
    matches = EventMessageFilter(request.get("filterPattern") or "").matches
    found: list[tuple[_Place, str, LogEvent]] = []
    for name in streams:
        for event in _between(group.streams[name].events, request):
            place = (event.timestamp, event.event_id)
            if place > after and matches(event.message):
                found.append((place, name, event))
    found.sort(key=lambda entry: entry[0])
    n_events = _fitting([event for _, _, event in found[:limit]])
    shown = [event.to_filter_dict() | {"logStreamName": name} for _, name, event in found[:n_events]]
    return _answer(shown, found[n_events - 1][0] if n_events < len(found) else None)


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


def _fitting(events: list[LogEvent]) -> int:
    """How many of the first events one page holds: one at the least, where there is one."""
    left = PAGE_BYTES
    for number, event in enumerate(events):
        left -= len(event.message.encode()) + _EVENT_BYTES
        if left < 0:
            return max(1, number)
    return len(events)


def _answer(events: list[dict[str, Any]], last: _Place | None) -> dict[str, Any]:
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
