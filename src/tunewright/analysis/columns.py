"""The results of one experiment as columns, and their concatenation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tunewright.events import ResultFields
from tunewright.trial import ExperimentStatus

Floats: TypeAlias = NDArray[np.float64]
Integers: TypeAlias = NDArray[np.int64]

DECISIONS: Final = ("continue", "pause", "stop")
"""Meaning of the numbers in the column ``decision``."""


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
