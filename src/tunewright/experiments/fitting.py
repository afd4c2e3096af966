"""Which cells of a plan can be run at all: not every method fits every benchmark."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from tunewright.exceptions import UnfitError
from tunewright.experiments.earlier import earlier_evaluations
from tunewright.experiments.experiment import Experiment
from tunewright.transfer.evaluations import TransferEvaluations


def fitting(plan: Sequence[Experiment], say: Callable[[str], Any]) -> list[Experiment]:
    """The cells whose method fits their benchmark, in the plan's order.

    Parameters
    ----------
    plan
        All cells.
    say
        Takes a line for each benchmark and reason: which methods are left out.

    Raises
    ------
    UnfitError
        No cell can be run.
    SettingsError, TableError
        A cell cannot work for another reason; see `Experiment.build_scheduler`.
    """
    unfit: dict[tuple[str, str], UnfitError | None] = {}
    for cell, known in zip(plan, earlier_evaluations(plan), strict=True):
        kind = cell.label, cell.benchmark.name
        if kind not in unfit:
            unfit[kind] = _what_is_amiss(cell, known)
    errors = [error for error in unfit.values() if error is not None]
    if plan and len(errors) == len(unfit):
        raise errors[0]
    about: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (label, benchmark), error in unfit.items():
        if error is not None:
            about[benchmark, error.reason].append(label)
    for (benchmark, reason), labels in about.items():
        say(f"Left out on {benchmark}: {', '.join(labels)}, as each {reason}")
    return [cell for cell in plan if unfit[cell.label, cell.benchmark.name] is None]


def _what_is_amiss(cell: Experiment, known: TransferEvaluations | None) -> UnfitError | None:
    try:
        cell.build_scheduler(known)
    except UnfitError as error:
        return error
    return None
