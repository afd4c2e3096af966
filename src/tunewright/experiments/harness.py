"""A plan in simulated time over processes: each of them runs cell after cell."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, final

from tunewright.exceptions import SettingsError
from tunewright.experiments.cells import CellSummary, last_outcome
from tunewright.experiments.crew import Crew
from tunewright.experiments.earlier import earlier_evaluations
from tunewright.experiments.experiment import Experiment
from tunewright.experiments.functions import function_path
from tunewright.experiments.kept import announce
from tunewright.experiments.stored import stored_by_identity
from tunewright.journal import is_locked
from tunewright.methods import MethodSpec
from tunewright.storage import ExperimentFolder
from tunewright.trial import ExperimentStatus

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
