"""From the bytes of a journal to columns, fast: only lines with results are decoded one by one."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, Final

from tunewright.analysis.columns import DECISIONS, Columns, Totals, columns_of
from tunewright.exceptions import JournalError
from tunewright.journal import SCHEMA_VERSION
from tunewright.trial import ExperimentStatus

_ANY: Final = b'{"kind":"'
_RESULT: Final = b'{"kind":"result"'
_START: Final = b'{"kind":"start"'
_END: Final = b'{"kind":"end"'
_SUGGEST_TIME: Final = re.compile(rb'"suggest_time":([^,}]+)\}$')
_ACCEPTED: Final = frozenset(DECISIONS)


def parse_journal(path: Path) -> tuple[Columns, Totals]:
    """The accepted reports of a journal, and what the experiment came to.

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
    if not lines:
        return columns_of(()), Totals(
            status=ExperimentStatus.INTERRUPTED,
            end_time=0.0,
            n_trials=0,
            n_runs=0,
            suggest_time=0.0,
            cost=0.0,
        )
    header = _decode(path, lines[:1])[0]
    if (
        not isinstance(header, dict)
        or header.get("kind") != "experiment"
        or header.get("schema") != SCHEMA_VERSION
    ):
        raise JournalError(f"{path} is not a journal of a version that can be read")
    odd = next((number for number, line in enumerate(lines[1:], start=2) if not line.startswith(_ANY)), None)
    if odd is not None:
        raise JournalError(f"{path} is damaged: line {odd} is none that Tunewright wrote")
    try:
        rows = _decode(path, [line for line in lines if line.startswith(_RESULT)])
        return columns_of([row for row in rows if row["decision"] in _ACCEPTED]), _totals(path, lines)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise JournalError(f"{path} is damaged: a line lacks or mistakes a value ({error!r})") from error


def _totals(path: Path, lines: list[bytes]) -> Totals:
    starts = [line for line in lines if line.startswith(_START)]
    last: dict[str, Any] = _decode(path, lines[-1:])[0]
    times = (found for line in starts if (found := _SUGGEST_TIME.search(line)))
    costly = [line for line in lines if line.startswith(_END) and b'"cost":0.0' not in line]
    is_over = last.get("kind") == "session" and last.get("event") == "end"
    return Totals(
        status=ExperimentStatus(last["outcome"]) if is_over else ExperimentStatus.INTERRUPTED,
        end_time=float(last.get("t", 0.0)),
        n_trials=sum(b'"attempt":0,' in line for line in starts),
        n_runs=len(starts),
        suggest_time=math.fsum(float(found[1]) for found in times if found[1] != b"null"),
        cost=math.fsum(float(row["cost"]) for row in _decode(path, costly)),
    )


def _decode(path: Path, lines: list[bytes]) -> list[Any]:
    try:
        return json.loads(b"[" + b",".join(lines) + b"]")
    except ValueError as error:
        raise JournalError(f"{path} is damaged: {error}") from error
