"""The results of one experiment as columns: their concatenation, and reading them fast from a journal, all lines in one call."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias, cast, final

import numpy as np
from numpy.typing import NDArray

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

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

DECISIONS: Final = ("continue", "pause", "stop")
"""Meaning of the numbers in the column ``decision``."""

_ACCEPTED: Final = frozenset(DECISIONS)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Columns:
    """Accepted reports in their order; all arrays have one entry per report."""

    time: Floats
    """Seconds on the experiment's clock."""
    trial: Integers
    resource: Integers
    decision: Integers
    """Positions in `DECISIONS`."""
    metrics: Mapping[str, Floats]
    """By name; NaN if a report lacks the value."""

    @property
    def size(self) -> int:
        """Number of reports."""
        return len(self.time)

    def between(self, begin: int, end: int) -> Columns:
        """A view of the reports from ``begin`` (included) to ``end`` (excluded)."""
        return Columns(
            time=self.time[begin:end],
            trial=self.trial[begin:end],
            resource=self.resource[begin:end],
            decision=self.decision[begin:end],
            metrics={name: values[begin:end] for name, values in self.metrics.items()},
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """Totals of an experiment."""

    status: ExperimentStatus
    """COMPLETED, STOPPED, FAILED or INTERRUPTED (also: still running)."""
    end_time: float
    """Seconds on the experiment's clock at its last line."""
    n_trials: int
    n_runs: int
    suggest_time: float
    """Seconds of deciding."""
    cost: float
    """Dollars."""


def columns_of(rows: Sequence[ResultFields]) -> Columns:
    """The columns of accepted reports."""
    names = dict.fromkeys(name for row in rows for name in row.metrics)
    return Columns(
        time=np.array([row.t for row in rows], dtype=np.float64),
        trial=np.array([row.trial_id for row in rows], dtype=np.int64),
        resource=np.array([row.resource for row in rows], dtype=np.int64),
        decision=np.array([DECISIONS.index(row.decision) for row in rows], dtype=np.int64),
        metrics={
            name: np.array([row.metrics.get(name, np.nan) for row in rows], dtype=np.float64)
            for name in names
        },
    )


def concatenate(parts: Sequence[Columns]) -> Columns:
    """Concatenate parts; a metric that a part lacks is NaN there."""
    names = dict.fromkeys(name for part in parts for name in part.metrics)
    floats, integers = np.empty(0), np.empty(0, dtype=np.int64)  # also without parts
    return Columns(
        time=np.concatenate([floats, *(part.time for part in parts)]),
        trial=np.concatenate([integers, *(part.trial for part in parts)]),
        resource=np.concatenate([integers, *(part.resource for part in parts)]),
        decision=np.concatenate([integers, *(part.decision for part in parts)]),
        metrics={name: np.concatenate([floats, *(_metric(part, name) for part in parts)]) for name in names},
    )


def _metric(part: Columns, name: str) -> Floats:
    values = part.metrics.get(name)
    return np.full(part.size, np.nan) if values is None else values


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
