"""Cells of a plan in simulated time: one is run, or continued, and summed up in a few numbers."""

from __future__ import annotations

import os
import traceback
from dataclasses import asdict, dataclass
from time import process_time
from typing import Any, Final, final

from tunewright.exceptions import JournalError, TunewrightError
from tunewright.experiments.experiment import Experiment
from tunewright.experiments.run import open_experiment, tune
from tunewright.experiments.watch import Watch, unwatched
from tunewright.journal import Line, decode_line
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus

_TAIL: Final = 65536  # bytes in which the last line of a journal is looked for


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
        experiment, scheduler, folder = open_experiment(experiment, folder)
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
        status=last_outcome(folder),
        folder=str(folder.path),
        n_trials=history.n_trials,
        n_results=history.n_results,
        cpu_seconds=process_time() - begin,
        tuning_seconds=end - middle,
    )


def last_outcome(folder: ExperimentFolder) -> ExperimentStatus:
    """How the last session on an experiment ended, from the last line of its journal; ``interrupted`` where it did not."""
    line = _last_line(folder)
    is_end = line.get("kind") == "session" and line.get("event") == "end"
    return ExperimentStatus(line["outcome"]) if is_end else ExperimentStatus.INTERRUPTED


def _last_line(folder: ExperimentFolder) -> Line:
    try:
        with folder.journal_path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise JournalError(f"{folder.journal_path} cannot be read: {error}") from error
    if not tail.endswith(b"\n"):
        return {}
    try:
        return decode_line(tail[:-1].rpartition(b"\n")[2])
    except ValueError:
        return {}
