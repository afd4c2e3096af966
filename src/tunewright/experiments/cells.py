"""Cells of a plan in simulated time: one is run, or continued, and summed up in a few numbers."""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass
from time import process_time
from typing import Any, final

from tunewright.exceptions import TunewrightError
from tunewright.experiments.choosing import as_chosen
from tunewright.experiments.experiment import Experiment
from tunewright.experiments.kept import kept_evaluations
from tunewright.experiments.run import new_folder, renew_folder, tune
from tunewright.experiments.watch import Watch, unwatched
from tunewright.journal import last_outcome
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CellSummary:
    """What became of a cell."""

    status: str
    """``completed``, ``stopped`` (by a limit), ``skipped`` (it was finished before), or ``failed``."""
    folder: str = ""
    """Path; empty where there is none."""
    n_trials: int = 0
    n_results: int = 0
    cpu_seconds: float = 0.0
    """Processor time of the whole cell, in the process that ran it."""
    tuning_seconds: float = 0.0
    """The part of it that the tuner needed."""
    error: str = ""
    """One line; empty where nothing went wrong."""
    traceback: str = ""
    """Of an error that Tunewright did not raise on purpose; empty otherwise."""

    def to_json(self) -> dict[str, Any]:
        """What :meth:`from_json` reads."""
        return asdict(self)

    @staticmethod
    def from_json(data: dict[str, Any]) -> CellSummary:
        """The inverse of :meth:`to_json`."""
        return CellSummary(**data)


def run_cell(
    experiment: Experiment, folder: ExperimentFolder | None = None, watch: Watch = unwatched
) -> CellSummary:
    """Run a cell, or continue it where a folder is given. An error is part of the answer.

    Raises
    ------
    KeyboardInterrupt
        It was interrupted, in order; what was observed is kept.
    """
    begin = process_time()
    try:
        evaluations = experiment.evaluations() if folder is None else kept_evaluations(folder)
        chosen = experiment if folder is None else as_chosen(folder, experiment)
        scheduler = chosen.build_scheduler(evaluations)
        if folder is None:
            folder = new_folder(experiment, evaluations)
        else:
            renew_folder(folder, experiment)
        middle = process_time()
        history = tune(experiment, scheduler, folder, watch)
        end = process_time()
    except Exception as error:
        return CellSummary(
            status=ExperimentStatus.FAILED,
            folder="" if folder is None else str(folder.path),
            error=f"{type(error).__name__}: {error}".splitlines()[0],
            traceback="" if isinstance(error, TunewrightError) else traceback.format_exc(),
        )
    return CellSummary(
        status=last_outcome(folder.journal_path),
        folder=str(folder.path),
        n_trials=history.n_trials,
        n_results=history.n_results,
        cpu_seconds=process_time() - begin,
        tuning_seconds=end - middle,
    )
