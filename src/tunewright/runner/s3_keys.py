"""Names of the S3 objects that connect jobs and their backend; both sides use this module.

Everything of an experiment lies under one prefix::

    reports/{time}-{trial}-{attempt}-{retry}-{seq}-{kind}~{payload}     reports and ends, in order of time
    reports-{shard}/...                                                 the same, if one prefix would get too many
    shards                                                              how many prefixes of reports there are at most
    control/{trial}-{attempt}-{retry}                                   the backend's request to a run
    lives/{trial}-{attempt}-{retry}                                     a start of a job that the service may restart
    checkpoints/{trial}/{resource}/{file}                               a checkpoint's files, then its marker
    checkpoints/{trial}/{resource}/_complete
    tasks/{trial}-{attempt}-{retry}                                     a run that waits for a worker
    leases/{trial}-{attempt}-{retry}                                    a run that a worker has, renewed by it
    logs/{trial}-{attempt}-{retry}                                      the output of a run on a worker

``time`` is in milliseconds since 1970, 13 digits, so that a listing is in order of time. The payload is the report
itself if the key has room for it (S3 allows 1,024 bytes), so that one listing brings up to 1,000 reports.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass

from .channel import End, Report, from_fields, to_fields

REPORTS = "reports/"
SHARDS = "shards"
CONTROL = "control/"
CHECKPOINTS = "checkpoints/"
TASKS = "tasks/"
LEASES = "leases/"
LOGS = "logs/"
SESSION = "session"
"""The tuner's sign of life for workers: its content changes as long as there is a tuner."""
COMPLETE = "_complete"
"""A checkpoint is whole when this object is there; it lists the files and their sizes."""

KEY_BYTES = 1024
"""Longest key that S3 takes."""

_REPORT = "r"
_END = "e"
_IN_BODY = "body"
_RUN = re.compile(r"[0-9]+-[0-9]+-[0-9]+")
_PATTERN = re.compile(r"reports(?:-\d+)?/(\d{13})-(\d+)-(\d+)-(\d+)-(\d+)-([re])~([A-Za-z0-9_=-]+)")


@dataclass(frozen=True)
class ReportKey:
    """Content of the key of a report or of an end."""

    time: int
    """Milliseconds since 1970 by the clock of S3, to which the job corrects its own."""
    trial_id: int
    attempt: int
    retry: int
    seq: int
    """Number of the report from 1; an end has the number that the next report would have had."""
    is_end: bool
    payload: str
    """Base64 of JSON, or the mark that it is in the object's body."""

    @property
    def is_in_body(self) -> bool:
        """Whether the object itself must be read."""
        return self.payload == _IN_BODY


def report_place(shard: int) -> str:
    """Prefix of the keys of a shard's reports; S3 takes 3,500 writes a second under each such prefix."""
    return f"reports-{shard}/" if shard else REPORTS


def shard_of(trial_id: int, n_shards: int) -> int:
    """Where the reports of a trial go: always to the same shard, and neighbours to different ones."""
    return trial_id % n_shards


def encode(run_name: str, seq: int, message: Report | End, *, room: int, shard: int = 0) -> tuple[str, bytes]:
    """The key and the body of a report or an end.

    Parameters
    ----------
    run_name
        ``{trial}-{attempt}-{retry}``.
    seq
        Number of the report, from 1; for an end that of the last report plus 1.
    message
        The report or end.
    room
        Bytes that the key may have.
    shard
        From :func:`shard_of`.

    Returns
    -------
    (str, bytes)
        The body holds the message in any case.
    """
    body = json.dumps(to_fields(message), separators=(",", ":")).encode("ascii")
    kind = _END if isinstance(message, End) else _REPORT
    head = f"{report_place(shard)}{time_key(message.wall)}-{run_name}-{seq}-{kind}~"
    payload = base64.urlsafe_b64encode(body).decode("ascii")
    return head + (payload if len(head) + len(payload) <= room else _IN_BODY), body


def decode(key: str) -> ReportKey | None:
    """The content of a key; None for other keys."""
    match = _PATTERN.fullmatch(key)
    if match is None:
        return None
    time, trial_id, attempt, retry, seq = (int(group) for group in match.groups()[:5])
    return ReportKey(time, trial_id, attempt, retry, seq, match[6] == _END, match[7])


def message_of(key: ReportKey, body: bytes | None = None) -> Report | End:
    """The report or end of a key.

    Parameters
    ----------
    key
        From :func:`decode`.
    body
        The object's content, needed if the key had no room.

    Raises
    ------
    ValueError
        No runner wrote the content, or it is needed and missing.
    """
    content = body if key.is_in_body else base64.urlsafe_b64decode(key.payload)
    if content is None:
        raise ValueError("The content of the report is in the object, which was not read")
    return from_fields(json.loads(content), is_end=key.is_end)


def is_run(name: str) -> bool:
    """Whether a text is ``{trial}-{attempt}-{retry}``, and not another object among the keys of runs."""
    return _RUN.fullmatch(name) is not None


def time_key(wall: float) -> str:
    """Seconds since 1970 as 13 digits of milliseconds."""
    return f"{max(0, int(wall * 1000)):013d}"


def control_key(run_name: str) -> str:
    """Key of the backend's request to a run."""
    return CONTROL + run_name


def worker_control(number: int) -> str:
    """Key of the backend's request to a job of workers."""
    return f"{worker_control_prefix()}{number}"


def worker_control_prefix() -> str:
    """Prefix of these keys."""
    return f"{CONTROL}worker-"


def checkpoint_prefix(trial_id: int, resource: int) -> str:
    """Prefix of the keys of a checkpoint."""
    return f"{CHECKPOINTS}{trial_id}/{resource}/"
