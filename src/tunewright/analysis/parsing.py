"""From a journal to columns, fast: all lines are decoded in one call, and only the fields that are compared."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from tunewright.analysis.columns import DECISIONS, Columns, Totals, columns_of
from tunewright.events import (
    SCHEMA_VERSION,
    EndFields,
    EventFields,
    ResultFields,
    SessionEvent,
    StartFields,
    decode_fields,
)
from tunewright.exceptions import JournalError
from tunewright.trial import ExperimentStatus

_ACCEPTED = frozenset(DECISIONS)


def parse_journal(path: Path) -> tuple[Columns, Totals]:
    """The accepted reports of a journal, and the experiment's totals.

    The journal may be written to meanwhile; a torn last line is left out.

    Raises
    ------
    JournalError
        It cannot be read, or is damaged.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error}") from error
    lines = data[: data.rfind(b"\n") + 1].splitlines()
    if lines:
        _check_header(path, lines[0])
    try:
        events = decode_fields(lines[1:])
        return columns_of(
            [e for e in events if type(e) is ResultFields and e.decision in _ACCEPTED]
        ), _totals(events)
    except (ValueError, OverflowError) as error:
        raise JournalError(f"{path} is damaged: {error}") from error


def _check_header(path: Path, raw: bytes) -> None:
    try:
        header: object = json.loads(raw)
    except ValueError as error:
        raise JournalError(f"{path} is damaged: {error}") from error
    fields = cast("dict[str, object]", header) if isinstance(header, dict) else {}
    if fields.get("kind") != "experiment" or fields.get("schema") != SCHEMA_VERSION:
        raise JournalError(f"{path} is not a journal of a version that can be read")


def _totals(events: Sequence[EventFields]) -> Totals:
    starts = [event for event in events if type(event) is StartFields]
    last = events[-1] if events else None
    outcome = last.outcome if isinstance(last, SessionEvent) else None
    return Totals(
        status=outcome or ExperimentStatus.INTERRUPTED,
        end_time=last.t if last else 0.0,
        n_trials=sum(start.attempt == 0 for start in starts),
        n_runs=len(starts),
        suggest_time=math.fsum(start.suggest_time or 0.0 for start in starts),
        cost=math.fsum(event.cost for event in events if type(event) is EndFields),
    )
