"""ExperimentPlan: methods x seeds on a benchmark, one after the other; what is finished is not run again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

from tunewright.exceptions import TunewrightError
from tunewright.experiments.choosing import announce_choices
from tunewright.experiments.earlier import earlier_evaluations
from tunewright.experiments.experiment import Experiment
from tunewright.experiments.kept import announce
from tunewright.experiments.outcome import Outcome, load_outcome
from tunewright.experiments.run import resume_experiment, run_experiment
from tunewright.experiments.stored import stored_by_identity
from tunewright.experiments.watch import Watch, unwatched
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus

"""Statuses of experiments that need nothing more."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """How one cell of a plan went."""

    experiment: Experiment
    outcome: Outcome | None
    """None where it could not be run."""
    error: TunewrightError | None = None


def run_plan(
    plan: Sequence[Experiment],
    *,
    resume: bool = False,
    watch: Watch = unwatched,
    say: Callable[[str], Any] = print,
) -> list[CellResult]:
    """Run all cells, one after the other; one that fails does not keep the others from running.

    Parameters
    ----------
    plan
        The cells.
    resume
        Skip cells that are finished (same benchmark, method, seed and settings) and continue those that were
        interrupted. Otherwise everything runs anew, beside what is there.
    watch
        Makes each cell's callbacks.
    say
        Takes lines for the user.

    Raises
    ------
    SettingsError
        The settings of a cell cannot work; then nothing was started.
    KeyboardInterrupt
        A cell was interrupted; it and the rest can be continued.
    """
    known = earlier_evaluations(plan)
    for cell, evaluations in zip(plan, known, strict=True):
        cell.build_scheduler(evaluations)
    announce(known)
    announce_choices(plan, say)
    stored = stored_by_identity(plan)
    if not resume:
        _mention_interrupted(plan, stored, say)
    return [_run_cell(cell, stored.get(cell.identity(), []) if resume else [], watch, say) for cell in plan]


def _run_cell(
    cell: Experiment, stored: Sequence[ExperimentFolder], watch: Watch, say: Callable[[str], Any]
) -> CellResult:
    try:
        found = [load_outcome(folder) for folder in reversed(stored)]
        for outcome in found:
            if outcome.status.is_finished:
                say(f"Finished already: {outcome.folder.name}")
                return CellResult(experiment=cell, outcome=outcome)
            if outcome.is_running:
                where = (
                    "in a tuning job"
                    if outcome.status == ExperimentStatus.RUNNING_ELSEWHERE
                    else "in another process"
                )
                say(f"Running already, {where}: {outcome.folder.name}")
                return CellResult(experiment=cell, outcome=outcome)
        if found:
            last = found[0]
            say(f"Continuing {last.folder.name} ({last.status}, {last.history.n_results} results)")
            return CellResult(experiment=cell, outcome=resume_experiment(last.folder, cell, watch=watch))
        return CellResult(experiment=cell, outcome=run_experiment(cell, watch=watch))
    except TunewrightError as error:
        return CellResult(experiment=cell, outcome=None, error=error)


def _mention_interrupted(
    plan: Sequence[Experiment], stored: Mapping[str, list[ExperimentFolder]], say: Callable[[str], Any]
) -> None:
    names = [
        folder.name
        for cell in plan
        for folder in stored.get(cell.identity(), [])
        if not (outcome := load_outcome(folder)).is_running and not outcome.status.is_finished
    ]
    if names:
        say(f"Interrupted before, and continued with --resume: {', '.join(names)}. This run begins anew.")
