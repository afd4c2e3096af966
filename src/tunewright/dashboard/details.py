"""Documents about one trial: its reports, error and requests, and its log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypedDict

from tunewright.backends.local.run import LOG_FILES
from tunewright.dashboard.feed import ExperimentFeed, Number, TrialRow, finite_or_text, open_regular
from tunewright.events import EndEvent, RequestEvent, ResultEvent
from tunewright.exceptions import UnknownNameError
from tunewright.formatting import arguments_text
from tunewright.metadata import ExperimentMetadata
from tunewright.storage import ExperimentFolder
from tunewright.types import ConfigValue, Json

MOST_BYTES: Final = 256 * 1024
"""Bytes of a log in one answer, the last ones."""
_MOST_FILES: Final = 500


class ReportRow(TypedDict):
    """A report of a trial, accepted or not."""

    resource: int
    time: float
    metrics: Mapping[str, Number]
    decision: str
    reason: str


class RequestRow(TypedDict):
    """A request about a trial, and what was done."""

    time: float
    action: str
    arguments: Mapping[str, Json]
    done: str
    reason: str


class LogText(TypedDict):
    """Part of a log."""

    text: str
    offset: str
    """Position of the end: bytes of each file so far, joined by hyphens; a page gives it back as it is."""
    is_whole: bool
    """Whether nothing is left out between the position that was asked for and the text."""
    error: str
    """Why the rest cannot be read; empty if it can."""
    is_remote: bool
    """Whether a service holds the output, which is read only when a page asks for it."""


class TrialDetail(TypedDict):
    """A trial in full; the fields of `TrialRow` and more."""

    id: int
    status: str
    config: Mapping[str, ConfigValue]
    resource: int | None
    last: Mapping[str, Number]
    best: Number | None
    best_resource: int | None
    cost: float
    started: float
    ended: float | None
    attempts: int
    is_known: bool
    rung: int | None
    error: str
    """The whole text."""
    results: list[ReportRow]
    log: LogText | None
    """None if there is no output on this machine."""
    arguments: str
    requests: list[RequestRow]


def trial_detail(
    folder: ExperimentFolder, feed: ExperimentFeed, metadata: ExperimentMetadata, trial_id: int
) -> TrialDetail:
    """The document of a trial.

    Raises
    ------
    UnknownNameError
        There is no such trial.
    OSError, ValueError
        The journal cannot be read.
    """
    check_trial(feed, trial_id)
    trial = feed.trials[trial_id]
    events = feed.events_of(trial_id)
    row: TrialRow = trial.row()
    return {
        **row,
        "error": next((e.error for e in reversed(events) if isinstance(e, EndEvent) and e.error), ""),
        "results": [
            {
                "resource": event.resource,
                "time": event.t,
                "metrics": finite_or_text(event.metrics),
                "decision": str(event.decision),
                "reason": event.reason,
            }
            for event in events
            if isinstance(event, ResultEvent)
        ],
        "log": read_log(folder, trial_id, ""),
        "arguments": arguments_text(trial.config, metadata.benchmark.argument_style),
        "requests": [
            {
                "time": event.t,
                "action": event.action,
                "arguments": event.arguments,
                "done": event.done,
                "reason": event.reason,
            }
            for event in events
            if isinstance(event, RequestEvent)
        ],
    }


def check_trial(feed: ExperimentFeed, trial_id: int) -> None:
    """Check that an experiment has a trial.

    Raises
    ------
    UnknownNameError
        It has not.
    """
    if not 0 <= trial_id < len(feed.trials):
        raise UnknownNameError("trial", str(trial_id), ())


def read_log(folder: ExperimentFolder, trial_id: int, after: str) -> LogText | None:
    """Read the output of a trial on this machine: of each run output, errors and the runner's messages.

    Parameters
    ----------
    folder, trial_id
        The trial.
    after
        Position of an earlier answer; empty: from the beginning.

    Returns
    -------
    LogText or None
        At most the last 256 KiB; None if there are no files.
    """
    files = log_files(folder, trial_id)
    if not files:
        return None
    begins = [int(part) for part in after.split("-")] if after else []
    sizes: list[int] = []
    parts: list[bytes] = []
    n_left, is_whole = MOST_BYTES, True
    spans = [(path, begins[n] if n < len(begins) else 0) for n, path in enumerate(files)]
    for path, begin in reversed(spans):
        data, size = b"", begin
        with suppress(OSError), open_regular(path) as file:
            size = max(begin, file.seek(0, 2))
            first = max(begin, size - n_left)
            is_whole = is_whole and first == begin
            file.seek(first)
            data = file.read(size - first)
        n_left -= len(data)
        sizes.append(size)
        parts.append(data)
    return {
        "text": b"".join(reversed(parts)).decode("utf-8", "replace"),
        "offset": "-".join(map(str, reversed(sizes))),
        "is_whole": is_whole,
        "error": "",
        "is_remote": False,
    }


def log_files(folder: ExperimentFolder, trial_id: int) -> Sequence[Path]:
    """Files with the output of a trial in the order of its runs; none of them lies behind a link."""
    runs = folder.trials_path / str(trial_id) / "runs"
    if runs.resolve() != folder.path.resolve() / "trials" / str(trial_id) / "runs":
        return ()
    found: list[tuple[int, int]] = []
    for path in runs.glob("*-*"):
        attempt, _, retry = path.name.partition("-")
        if attempt.isdecimal() and retry.isdecimal() and path.is_dir() and not path.is_symlink():
            found.append((int(attempt), int(retry)))
    folders = [runs / f"{attempt}-{retry}" for attempt, retry in sorted(found)[-_MOST_FILES:]]
    return [path / name for path in folders for name in LOG_FILES]
