"""A plan in simulated time over processes: each of them runs cell after cell."""

from __future__ import annotations

import os
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from time import process_time
from typing import Any, Final, TypeAlias, final

from tunewright.exceptions import JournalError, SettingsError, TunewrightError, UnfitError
from tunewright.experiments.experiment import Experiment
from tunewright.experiments.functions import function_path
from tunewright.experiments.plan import earlier_evaluations, stored_by_identity
from tunewright.experiments.process_pool import Crew
from tunewright.experiments.run import open_experiment, tune
from tunewright.experiments.warm_start import announce
from tunewright.experiments.watch import Watch, unwatched
from tunewright.journal import Line, decode_line, is_locked
from tunewright.methods import MethodSpec
from tunewright.storage import ExperimentFolder
from tunewright.transfer.evaluations import TransferEvaluations
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


_LOOK: Final = 0.5  # seconds between two reports of progress


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One experiment of a plan, and how it went."""

    experiment: Experiment
    summary: CellSummary


@final
@dataclass(slots=True, kw_only=True)
class PlanProgress:
    """How far a plan is."""

    n_cells: int
    n_jobs: int
    begun: float = field(default_factory=time.monotonic)
    cells: list[Cell] = field(default_factory=list[Cell])
    """Those that are over, in the order of their ends."""
    _seconds: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    _waiting: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def expect(self, experiment: Experiment) -> None:
        """Count a cell that is still to be run."""
        self._waiting[_kind(experiment)] += 1

    def add(self, cell: Cell, seconds: float | None = None) -> None:
        """Take in a cell that is over; ``seconds``: how long it ran here."""
        self.cells.append(cell)
        if seconds is not None:
            self._waiting[_kind(cell.experiment)] -= 1
            self._seconds[_kind(cell.experiment)].append(seconds)

    @property
    def n_failed(self) -> int:
        """Cells that could not be run to their end."""
        return sum(cell.summary.status == ExperimentStatus.FAILED for cell in self.cells)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.begun

    @property
    def remaining(self) -> float | None:
        """Seconds that the rest will need, from the cells of the same method and benchmark; None: nobody knows yet."""
        known = [second for seconds in self._seconds.values() for second in seconds]
        if not known:
            return None
        overall = sum(known) / len(known)
        rest = 0.0
        for kind, n_waiting in self._waiting.items():
            own = self._seconds.get(kind)
            rest += n_waiting * (sum(own) / len(own) if own else overall)
        return rest / self.n_jobs


Look: TypeAlias = Callable[[PlanProgress], Any]
"""Is called with the progress of a plan, about twice a second and at the end."""


def unseen(progress: PlanProgress) -> None:
    """Show nothing."""


def run_cells(
    plan: Sequence[Experiment],
    *,
    n_jobs: int | None = None,
    resume: bool = False,
    export: bool = False,
    look: Look = unseen,
) -> list[Cell]:
    """Run all cells of a plan in simulated time; those that fail do not keep the others from running.

    The journals depend on the plan alone: not on the number of processes, nor on when one was killed and resumed.

    Parameters
    ----------
    plan
        The cells; all of the simulated backend.
    n_jobs
        Processes at the same time; None: one for each processor that this process may use.
    resume
        Skip cells that are finished under their tag and continue those that were cut off. Otherwise all run anew.
    export
        Write ``results.csv.zip`` beside each journal.
    look
        Takes the progress.

    Returns
    -------
    list of Cell
        In the order of the plan.

    Raises
    ------
    SettingsError, TableError
        A method does not fit its benchmark, or cannot be found by a process; then nothing was started.
    KeyboardInterrupt
        It was interrupted, in order; ``resume`` goes on.
    """
    check_plan(plan)
    jobs = min(n_jobs or len(os.sched_getaffinity(0)), max(1, len(plan)))
    progress = PlanProgress(n_cells=len(plan), n_jobs=jobs)
    stored = stored_by_identity(plan) if resume else {}
    done: dict[int, Cell] = {}
    orders: list[tuple[int, ExperimentFolder | None]] = []
    for index, experiment in enumerate(plan):
        finished, unfinished = _sorted_out(stored.get(experiment.identity(), ()))
        if finished is None:
            orders.append((index, unfinished))
            progress.expect(experiment)
        else:
            done[index] = Cell(experiment=experiment, summary=finished)
            progress.add(done[index])
    look(progress)
    for index, summary, seconds in _results(plan, orders, jobs, export, lambda: look(progress)):
        done[index] = Cell(experiment=plan[index], summary=summary)
        progress.add(done[index], seconds)
    look(progress)
    return [done[index] for index in range(len(plan))]


def check_plan(plan: Sequence[Experiment]) -> None:
    """See before anything is started what cannot work.

    Raises
    ------
    SettingsError, TableError
        As `run_cells`.
    """
    seen: set[tuple[str, str]] = set()
    known = earlier_evaluations(plan)
    for experiment, evaluations in zip(plan, known, strict=True):
        if experiment.backend.clock != "simulated":
            raise SettingsError(f"{experiment.label} on {experiment.benchmark.name} is not simulated")
        if _kind(experiment) not in seen:
            seen.add(_kind(experiment))
            experiment.build_scheduler(evaluations)
            if not isinstance(experiment.method, MethodSpec):
                function_path(experiment.method)
    announce(known)


def _results(
    plan: Sequence[Experiment],
    orders: Sequence[tuple[int, ExperimentFolder | None]],
    n_jobs: int,
    export: bool,
    look: Callable[[], Any],
) -> Iterator[tuple[int, CellSummary, float]]:
    """The index, the summary and the seconds of every ordered cell, as they end."""
    waiting = list(reversed(orders))
    if not waiting:
        return
    with Crew(min(n_jobs, len(waiting))) as crew:
        while waiting or crew.n_busy:
            while waiting and crew.n_busy < crew.size:
                index, folder = waiting.pop()
                crew.give(index, plan[index], folder, export=export)
            yield from crew.wait(_LOOK)
            look()


def _sorted_out(folders: Sequence[ExperimentFolder]) -> tuple[CellSummary | None, ExperimentFolder | None]:
    """What is finished among the stored experiments of a cell, else the newest that can be continued."""
    for folder in reversed(folders):
        if last_outcome(folder).is_finished:
            return CellSummary(status="skipped", folder=str(folder.path)), None
    for folder in reversed(folders):
        if is_locked(folder.journal_path):
            return CellSummary(status="skipped", folder=str(folder.path), error="running elsewhere"), None
    return None, folders[-1] if folders else None


def _kind(experiment: Experiment) -> tuple[str, str]:
    return experiment.label, experiment.benchmark.name


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
