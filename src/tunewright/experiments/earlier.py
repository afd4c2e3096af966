"""What the cells of a plan learn from earlier experiments."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.experiments.experiment import Experiment
from tunewright.transfer.evaluations import TransferEvaluations


def earlier_evaluations(plan: Sequence[Experiment]) -> list[TransferEvaluations | None]:
    """`Experiment.evaluations` of each cell, read once for all cells that share a benchmark and what they learn from.

    Raises
    ------
    SettingsError, JournalError
        As `Experiment.evaluations`.
    """
    read: dict[tuple[int, tuple[str, ...]], TransferEvaluations | None] = {}
    for cell in plan:
        if (key := _key(cell)) not in read:
            read[key] = cell.evaluations()
    return [read[_key(cell)] for cell in plan]


def _key(cell: Experiment) -> tuple[int, tuple[str, ...]]:
    return id(cell.benchmark), cell.warm_start
