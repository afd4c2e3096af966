"""What is known about a stored experiment beside its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from tunewright.analysis.columns import Totals
from tunewright.metadata import metadata_from
from tunewright.metric import Constraint, Metric
from tunewright.storage import ExperimentFolder


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentInfo:
    """One experiment: what was run, and what it came to."""

    name: str
    path: Path
    tag: str
    method: str
    """The label under which it is compared."""
    benchmark: str
    seed: int
    metrics: tuple[Metric, ...]
    """What was tuned; comparisons take the first where nothing else is asked for."""
    clock: str
    """``wall`` or ``simulated``."""
    values: str
    """``measured`` (real training), ``recorded`` (a table of it) or ``surrogate`` (predicted)."""
    note: str = ""
    """What a reader must know about the values."""
    resource: str = "resource"
    """What the resource counts."""
    constraints: tuple[Constraint, ...] = ()
    """What must hold of a result that counts."""
    n_workers: int | None = None
    max_time: float | None = None
    """The time limit in seconds of the experiment's clock; None: none."""
    totals: Totals
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)


def info_from(path: Path, metadata: Mapping[str, Any], totals: Totals) -> ExperimentInfo:
    """Read the metadata of an experiment of ours.

    Raises
    ------
    SettingsError
        They are none.
    """
    record = metadata_from(metadata, ExperimentFolder(path))
    return ExperimentInfo(
        name=path.name,
        path=path,
        tag=record.tag,
        method=record.label,
        benchmark=record.benchmark.name,
        seed=record.seed,
        metrics=record.metrics,
        clock=record.clock,
        values=record.values,
        note=record.table.note if record.table else "",
        resource=record.resource,
        constraints=record.bounds,
        n_workers=record.benchmark.n_workers,
        max_time=record.limits.max_wallclock_time,
        totals=totals,
        metadata=metadata,
    )
