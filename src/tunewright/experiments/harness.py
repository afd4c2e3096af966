"""Former names of the plan runner over processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from tunewright.experiments.experiment import Experiment
from tunewright.experiments.plan import (
    CellResult,
    ExperimentPlan,
    Look,
    PlanProgress,
    Say,
    error_line,
    run_plan,
    unseen,
)

__all__ = ["Cell", "CellSummary", "PlanProgress", "fitting", "run_cells"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CellSummary:
    """A `CellResult` in texts and numbers."""

    status: str
    folder: str = ""
    n_trials: int = 0
    n_results: int = 0
    cpu_seconds: float = 0.0
    tuning_seconds: float = 0.0
    error: str = ""
    traceback: str = ""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One experiment of a plan, and its summary."""

    experiment: Experiment
    summary: CellSummary


def run_cells(
    plan: Sequence[Experiment],
    *,
    n_jobs: int | None = None,
    resume: bool = False,
    export: bool = False,
    look: Look = unseen,
) -> list[Cell]:
    """`run_plan` over processes, without lines for the user."""
    results = run_plan(
        plan, n_processes=n_jobs or 0, resume=resume, export=export, look=look, say=_in_silence
    )
    return [Cell(experiment=result.experiment, summary=_summary(result)) for result in results]


def fitting(plan: Sequence[Experiment], say: Say) -> list[Experiment]:
    """`ExperimentPlan.validated` as a list of cells."""
    return list(ExperimentPlan(tuple(plan)).validated(skip=say))


def _summary(result: CellResult) -> CellSummary:
    return CellSummary(
        status="skipped" if result.is_skipped else str(result.status),
        folder="" if result.folder is None else str(result.folder.path),
        n_trials=result.n_trials,
        n_results=result.n_results,
        cpu_seconds=result.cpu_seconds,
        tuning_seconds=result.tuning_seconds,
        error="" if result.error is None else str(result.error) or error_line(result.error),
        traceback=result.traceback,
    )


def _in_silence(line: str) -> None:
    del line
