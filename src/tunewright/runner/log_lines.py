"""Reports and ends as lines of a job's log; both sides use this module.

A message is one line, or several where it is long::

    [tunewright:message] {trial}-{attempt}-{retry} {seq} {kind} {part}/{parts} {text}

The texts of all parts, put together, are the JSON of the message. A line is at most 4,096 bytes, which a pipe takes whole:
whatever else the processes of a job print meanwhile lies before it or after it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from .channel import End, Report, from_fields, to_fields

MARKER = "[tunewright:message]"
"""Begins each message; text before it in a line is output of a script without an end of line."""
LINE_BYTES = 4096
"""Longest line, its end included."""

_REPORT = "r"
_END = "e"
_ROOM = 3900
"""Characters of the text in one line; the rest is for the marker and the numbers."""
_PATTERN = re.compile(re.escape(MARKER) + r" (\d+)-(\d+)-(\d+) (\d+) ([re]) (\d+)/(\d+) (.+)")


@dataclass(frozen=True)
class Part:
    """Content of one line."""

    trial_id: int
    attempt: int
    retry: int
    seq: int
    """Number of the report from 1; an end has the number that the next report would have had."""
    is_end: bool
    number: int
    """Which part of the message it is, from 1."""
    n_parts: int
    text: str


def encode(run_name: str, seq: int, message: Report | End) -> list[bytes]:
    """The lines of a report or an end, each with its end of line.

    Parameters
    ----------
    run_name
        ``{trial}-{attempt}-{retry}``.
    seq
        Number of the report, from 1; for an end that of the last report plus 1.
    message
        The report or end.
    """
    text = json.dumps(to_fields(message), separators=(",", ":"))
    texts = [text[begin : begin + _ROOM] for begin in range(0, len(text), _ROOM)]
    kind = _END if isinstance(message, End) else _REPORT
    return [
        f"{MARKER} {run_name} {seq} {kind} {number}/{len(texts)} {part}\n".encode("ascii")
        for number, part in enumerate(texts, 1)
    ]


def decode(line: str) -> Part | None:
    """The content of a line; None for other lines."""
    match = _PATTERN.search(line)
    if match is None:
        return None
    trial_id, attempt, retry, seq = (int(group) for group in match.groups()[:4])
    return Part(trial_id, attempt, retry, seq, match[5] == _END, int(match[6]), int(match[7]), match[8])


def message_of(parts: Sequence[Part]) -> Report | End:
    """The message of all its parts, in order.

    Raises
    ------
    ValueError
        No runner wrote it.
    """
    return from_fields(json.loads("".join(part.text for part in parts)), is_end=parts[0].is_end)


def without_messages(line: str) -> str:
    """The part of a line that a script printed."""
    return line.partition(MARKER)[0]
