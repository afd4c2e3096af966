"""ExperimentPlan: methods x benchmarks x seeds; one validation, one runner, one result for each cell.

A cell is one experiment of a plan. The runner works in this process, cell after cell, or over processes, which is for
experiments in simulated time. What a stored experiment of a cell counts for is the same in both: one that is finished is
not run again, one that another process or a tuning job works on is left alone, and the newest of the others is continued.
"""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import process_time
from typing import Any, Final, TypeAlias, final, overload

from tunewright.callbacks import ResultsTable
from tunewright.codec import from_json, to_json
from tunewright.exceptions import CellError, SettingsError, TunewrightError, UnfitError
from tunewright.experiments.experiment import BenchmarkDefinition, Experiment, stored_by_identity
from tunewright.experiments.outcome import Outcome, load_outcome, stored_status
from tunewright.experiments.process_pool import Answer, ProcessPool
from tunewright.experiments.run import (
    Watch,
    announce_choices,
    informed,
    open_experiment,
    run_tuner,
    unwatched,
)
from tunewright.experiments.tuning import import_path
from tunewright.experiments.warm_start import log_notices
from tunewright.formatting import plural
from tunewright.interfaces import Callback
from tunewright.methods import BuildFunction, MethodSpec
from tunewright.runner.call_function import load_function
from tunewright.storage import ExperimentFolder, experiments
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.trial import ExperimentStatus
from tunewright.types import Json

_LOOK: Final = 0.5  # seconds between two reports of progress
_SHOWN: Final = 8  # names in a message

Say: TypeAlias = Callable[[str], Any]
"""Takes lines for the user."""


@final
@dataclass(frozen=True, slots=True)
class ExperimentPlan(Sequence[Experiment]):
    """Experiments that are run together, in this order.

    Parameters
    ----------
    cells
        The experiments.
    evaluations
        Of earlier experiments, for each cell; None before :meth:`validated`, which reads them.
    """

    cells: tuple[Experiment, ...]
    evaluations: tuple[TransferEvaluations | None, ...] | None = None

    @staticmethod
    def product(
        shared: Experiment,
        *,
        methods: Mapping[str, MethodSpec | BuildFunction],
        benchmarks: Sequence[BenchmarkDefinition],
        seeds: Iterable[int],
        seed_per_benchmark: bool | None = None,
    ) -> ExperimentPlan:
        """Combine methods, benchmarks and seeds.

        Cells are ordered by seed, then by benchmark, so that an interrupted plan compares all methods on the same seeds.

        Parameters
        ----------
        shared
            Its tag, backend, limits and other fields are those of all cells; method, label, benchmark and seed are
            replaced.
        methods
            By label.
        benchmarks
            All of the kind that the backend runs.
        seeds
            Numbers >= 0.
        seed_per_benchmark
            Mix the benchmark's name into each seed; None: as :func:`seeds_differ_by_benchmark`.

        Raises
        ------
        SettingsError
            The backend cannot run a benchmark, or a seed is negative.
        """
        if seed_per_benchmark is None:
            seed_per_benchmark = seeds_differ_by_benchmark(shared.tag)
        shared = replace(shared, seed_per_benchmark=seed_per_benchmark)
        return ExperimentPlan(
            tuple(
                replace(shared, method=method, label=label, benchmark=benchmark, seed=seed)
                for seed in seeds
                for benchmark in benchmarks
                for label, method in methods.items()
            )
        )

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.cells)

    @overload
    def __getitem__(self, index: int) -> Experiment: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Experiment, ...]: ...
    def __getitem__(self, index: int | slice) -> Experiment | tuple[Experiment, ...]:
        """Cells by their position."""
        return self.cells[index]

    def map(self, change: Callable[[Experiment], Experiment]) -> ExperimentPlan:
        """Return a plan with changed cells that needs no new validation, such as one with another endpoint."""
        return replace(self, cells=tuple(map(change, self.cells)))

    def validated(self, *, skip: Say | None = None) -> ExperimentPlan:
        """Read earlier experiments, and build a scheduler for the first seed of each kind of cell.

        A kind is all that cells share but for their seeds. Nothing is done for a plan that was validated before.

        Parameters
        ----------
        skip
            Leave out cells whose method does not fit their benchmark; takes a line for each benchmark and reason.
            None: they are an error.

        Raises
        ------
        UnfitError
            A method does not fit its benchmark; with ``skip``: no method fits.
        SettingsError, TableError, JournalError
            As `Experiment.build_scheduler` and `Experiment.evaluations`.
        """
        if self.evaluations is not None:
            return self
        known = _earlier_evaluations(self.cells)
        kinds = _Kinds()
        kept = [
            (cell, evaluations)
            for cell, evaluations in zip(self.cells, known, strict=True)
            if kinds.fits(cell, evaluations, raises=skip is None)
        ]
        if skip is not None:
            kinds.report(skip, is_any_left=bool(kept))
        log_notices(known)
        return ExperimentPlan(tuple(cell for cell, _ in kept), tuple(evaluations for _, evaluations in kept))


def seeds_differ_by_benchmark(tag: str) -> bool:
    """Return whether a new plan mixes the benchmark's name into its seeds.

    It does so unless the tag holds experiments that do not, such as those of version 0.1: methods are compared seed by
    seed, and those of one tag draw from the same random numbers.

    Raises
    ------
    SettingsError
        The tag cannot be stored.
    """
    for folder in experiments(tag):
        try:
            return bool(folder.metadata().get("seed_per_benchmark", False))
        except SettingsError:
            continue  # damaged
    return True


@final
class _Kinds:
    """Kinds of cells, and why some cannot be run."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], list[tuple[Experiment, UnfitError | None]]] = defaultdict(list)

    def fits(self, cell: Experiment, evaluations: TransferEvaluations | None, *, raises: bool) -> bool:
        kind = replace(cell, seed=0)
        seen = self._seen[cell.label, cell.benchmark.name]
        for other, error in seen:
            if other == kind:
                return error is None
        try:
            cell.build_scheduler(evaluations)
        except UnfitError as error:
            if raises:
                raise
            seen.append((kind, error))
            return False
        seen.append((kind, None))
        return True

    def report(self, say: Say, *, is_any_left: bool) -> None:
        about: dict[tuple[str, str], list[str]] = defaultdict(list)
        for (label, benchmark), seen in self._seen.items():
            for error in (error for _, error in seen if error is not None):
                if not is_any_left:
                    raise error
                about[benchmark, error.reason].append(label)
        for (benchmark, reason), labels in about.items():
            say(f"Left out on {benchmark}: {', '.join(dict.fromkeys(labels))}, as each {reason}")


def _earlier_evaluations(cells: Sequence[Experiment]) -> list[TransferEvaluations | None]:
    """Evaluations for each cell, read once for all that share a benchmark and sources."""
    read: dict[tuple[int, tuple[str, ...]], TransferEvaluations | None] = {}
    for cell in cells:
        if (key := (id(cell.benchmark), cell.warm_start)) not in read:
            read[key] = cell.evaluations()
    return [read[id(cell.benchmark), cell.warm_start] for cell in cells]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """Result of one cell of a plan."""

    experiment: Experiment
    status: ExperimentStatus
    folder: ExperimentFolder | None = None
    """None if the cell could not begin."""
    is_skipped: bool = False
    """Whether it was left alone: finished before, or run by another process or a tuning job."""
    n_trials: int = 0
    n_results: int = 0
    cpu_seconds: float = 0.0
    """Processor time of the whole cell, in the process that ran it."""
    tuning_seconds: float = 0.0
    """Processor time of the tuner."""
    error: TunewrightError | None = None
    traceback: str = ""
    """Of an error that Tunewright did not raise on purpose; empty otherwise."""

    @property
    def outcome(self) -> Outcome | None:
        """The stored experiment, read anew at each call; None if the cell failed.

        Raises
        ------
        JournalError
            The journal is damaged.
        """
        return None if self.folder is None or self.error is not None else load_outcome(self.folder)


@final
@dataclass(slots=True, kw_only=True)
class PlanProgress:
    """Progress of a plan."""

    n_cells: int
    n_processes: int
    begun: float = field(default_factory=time.monotonic)
    results: list[CellResult] = field(default_factory=list[CellResult])
    """Of the cells that have ended, in the order of their ends."""
    _seconds: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    _waiting: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))

    def expect(self, experiment: Experiment) -> None:
        """Count a cell that is still to be run."""
        self._waiting[experiment.label, experiment.benchmark.name] += 1

    def add(self, result: CellResult, seconds: float | None = None) -> None:
        """Add a result; ``seconds``: wall-clock time of a cell that ran."""
        self.results.append(result)
        if seconds is not None:
            kind = result.experiment.label, result.experiment.benchmark.name
            self._waiting[kind] -= 1
            self._seconds[kind].append(seconds)

    @property
    def n_failed(self) -> int:
        """Number of cells that failed."""
        return sum(result.error is not None for result in self.results)

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self.begun

    @property
    def remaining(self) -> float | None:
        """Expected seconds until the end, from cells of the same method and benchmark; None before the first end."""
        known = [second for seconds in self._seconds.values() for second in seconds]
        if not known:
            return None
        overall = sum(known) / len(known)
        rest = 0.0
        for kind, n_waiting in self._waiting.items():
            own = self._seconds.get(kind)
            rest += n_waiting * (sum(own) / len(own) if own else overall)
        return rest / self.n_processes


Look: TypeAlias = Callable[[PlanProgress], Any]
"""Takes the progress of a plan, about twice a second and at the end."""


def unseen(progress: PlanProgress) -> None:
    """Show nothing."""


def run_plan(
    plan: ExperimentPlan | Sequence[Experiment],
    *,
    n_processes: int | None = None,
    resume: bool = False,
    export: bool = False,
    watch: Watch = unwatched,
    look: Look = unseen,
    say: Say = print,
) -> list[CellResult]:
    """Run all cells of a plan; one that fails does not keep the others from running.

    In simulated time the journals depend on the plan alone: not on the number of processes, nor on when one was killed
    and resumed.

    Parameters
    ----------
    plan
        The cells; validated here unless that was done before.
    n_processes
        Number of processes, for cells in simulated time; 0: one for each processor that this process may use. None: this
        process runs one cell after the other.
    resume
        Skip cells that are finished under their tag (same benchmark, method, seed and settings), and continue those
        that were interrupted. Otherwise all run anew, beside what is stored.
    export
        Write ``results.csv.zip`` beside the journal of each cell in simulated time; others always have it.
    watch
        Makes the callbacks of each cell; without effect in other processes.
    look
        Takes the progress.
    say
        Takes lines for the user.

    Returns
    -------
    list of CellResult
        In the order of the plan.

    Raises
    ------
    SettingsError, TableError
        A cell cannot work; then nothing was started.
    KeyboardInterrupt
        It was interrupted, and everything observed is kept; ``resume`` continues.
    """
    plan = (plan if isinstance(plan, ExperimentPlan) else ExperimentPlan(tuple(plan))).validated()
    if n_processes is not None:
        _check_processes(plan)
        n_processes = min(n_processes or len(os.sched_getaffinity(0)), max(1, len(plan)))
    plan = replace(plan, cells=tuple(informed(plan)))
    announce_choices(plan, say)
    stored = stored_by_identity({cell.tag for cell in plan})
    if not resume:
        _mention_interrupted(plan, stored, say)
    progress = PlanProgress(n_cells=len(plan), n_processes=n_processes or 1)
    results: dict[int, CellResult] = {}
    tasks: list[_Task] = []
    for index, cell in enumerate(plan):
        folders = stored.get(cell.identity(), []) if resume else []
        if (result := _left_alone(cell, folders)) is None:
            tasks.append(_Task(index, cell, folders[-1] if folders else None))
            progress.expect(cell)
            continue
        results[index] = result
        progress.add(result)
        if n_processes is None:
            say(_left_alone_text(result))
    look(progress)
    runs = (
        _run_here(plan, tasks, _Options(export, watch, say))
        if n_processes is None
        else _run_in_processes(tasks, n_processes, lambda: look(progress), export=export)
    )
    for index, result, seconds in runs:
        results[index] = result
        progress.add(result, seconds)
        look(progress)
    return [results[index] for index in range(len(plan))]


@final
@dataclass(frozen=True, slots=True)
class _Task:
    """A cell that is to be run."""

    index: int
    cell: Experiment
    folder: ExperimentFolder | None
    """Of the stored experiment that is continued."""


@final
@dataclass(frozen=True, slots=True)
class _Options:
    export: bool
    watch: Watch
    say: Say


def _check_processes(plan: ExperimentPlan) -> None:
    for cell in plan:
        if cell.backend.clock != "simulated":
            raise SettingsError(
                f"{cell.label} on {cell.benchmark.name} is not simulated: run it without processes"
            )
        if not isinstance(cell.method, MethodSpec):
            _path_of(cell.method)


def _path_of(method: BuildFunction) -> str:
    """Return the import path of a user's method.

    Raises
    ------
    SettingsError
        Other processes cannot import it.
    """
    path = import_path(method)
    if path is None:
        raise SettingsError(
            f"{getattr(method, '__qualname__', method)!r} runs in other processes, which import it by its name: "
            "define it with def at the top level of a module"
        )
    return path


def _left_alone(cell: Experiment, folders: Sequence[ExperimentFolder]) -> CellResult | None:
    """Return the result of a cell that is finished or run elsewhere; None if it is to be run."""
    statuses = [(stored_status(folder), folder) for folder in reversed(folders)]
    finished = [(status, folder) for status, folder in statuses if status.is_finished]
    running = [(status, folder) for status, folder in statuses if status.is_running]
    for status, folder in (*finished, *running):
        return CellResult(experiment=cell, status=status, folder=folder, is_skipped=True)
    return None


def _left_alone_text(result: CellResult) -> str:
    name = "" if result.folder is None else result.folder.name
    if result.status.is_finished:
        return f"Finished already: {name}"
    is_remote = result.status is ExperimentStatus.RUNNING_ELSEWHERE
    return f"Running already, {'in a tuning job' if is_remote else 'in another process'}: {name}"


def _mention_interrupted(
    plan: ExperimentPlan, stored: Mapping[str, list[ExperimentFolder]], say: Say
) -> None:
    names = [
        folder.name
        for cell in plan
        for folder in stored.get(cell.identity(), [])
        if not (status := stored_status(folder)).is_running and not status.is_finished
    ]
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        say(
            f"Interrupted before, and continued with --resume: {', '.join(names[:_SHOWN])}{more}. This run begins anew."
        )


_Run: TypeAlias = tuple[int, CellResult, float]
"""Index, result and wall-clock seconds of a cell."""


def _run_here(plan: ExperimentPlan, tasks: Sequence[_Task], options: _Options) -> Iterator[_Run]:
    for task in tasks:
        if task.folder is not None:
            outcome = load_outcome(task.folder)
            options.say(
                f"Continuing {task.folder.name} ({outcome.status}, {plural(outcome.history.n_results, 'result')})"
            )
        begin = time.monotonic()
        watch = with_export(options.watch) if options.export else options.watch
        evaluations = plan.evaluations[task.index] if plan.evaluations else None
        result = run_cell(task.cell, task.folder, watch, evaluations)
        yield task.index, result, time.monotonic() - begin


def run_cell(
    experiment: Experiment,
    folder: ExperimentFolder | None = None,
    watch: Watch = unwatched,
    evaluations: TransferEvaluations | None = None,
) -> CellResult:
    """Run a cell in this process. An error that Tunewright raises on purpose is part of the result.

    Parameters
    ----------
    experiment
        The cell.
    folder
        The stored experiment that is continued; None: a new one.
    watch
        Makes the callbacks.
    evaluations
        Of earlier experiments, if they were read before.

    Raises
    ------
    KeyboardInterrupt
        It was interrupted, and everything observed is kept.
    """
    begin = process_time()
    try:
        experiment_, scheduler, folder = open_experiment(experiment, folder, evaluations)
        middle = process_time()
        history = run_tuner(experiment_, scheduler, folder, watch)
        end = process_time()
        status = stored_status(folder)
    except TunewrightError as error:
        return CellResult(experiment=experiment, status=ExperimentStatus.FAILED, folder=folder, error=error)
    return CellResult(
        experiment=experiment,
        status=status,
        folder=folder,
        n_trials=history.n_trials,
        n_results=history.n_results,
        cpu_seconds=process_time() - begin,
        tuning_seconds=end - middle,
    )


def with_export(watch: Watch) -> Watch:
    """Return a ``watch`` that also writes ``results.csv.zip`` of experiments in simulated time."""

    def exporting(experiment: Experiment, folder: ExperimentFolder) -> Sequence[Callback]:
        table = [ResultsTable(folder.journal_path, folder.results_path)]
        return [*(table if experiment.backend.clock == "simulated" else []), *watch(experiment, folder)]

    return exporting


def _run_in_processes(
    tasks: Sequence[_Task], n_processes: int, look: Callable[[], Any], *, export: bool
) -> Iterator[_Run]:
    waiting = list(reversed(tasks))
    if not waiting:
        return
    by_index = {task.index: task for task in tasks}
    with ProcessPool("tunewright.experiments.pool_worker", min(n_processes, len(waiting))) as pool:
        while waiting or pool.n_busy:
            while waiting and pool.n_busy < pool.size:
                task = waiting.pop()
                pool.submit(task.index, to_json(CellOrder.of(task.cell, task.folder, export=export)))
            for answer in pool.wait(_LOOK):
                yield answer.index, _result_of(by_index[answer.index].cell, answer), answer.seconds
            look()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CellOrder:
    """A cell for a process of its own, as JSON data."""

    experiment: dict[str, Json]
    function: str | None
    """Where the process finds a method that is a function of the user."""
    folder: str | None
    export: bool

    @staticmethod
    def of(cell: Experiment, folder: ExperimentFolder | None, *, export: bool) -> CellOrder:
        """Make the order of a cell.

        Raises
        ------
        SettingsError
            The cell's method is a function that other processes cannot find by a name.
        """
        return CellOrder(
            experiment=cell.to_json(),
            function=None if isinstance(cell.method, MethodSpec) else _path_of(cell.method),
            folder=None if folder is None else str(folder.path),
            export=export,
        )

    def cell(self) -> Experiment:
        """Return the cell.

        Raises
        ------
        ImportError
            Its method cannot be imported.
        """
        if self.function is None:
            return Experiment.from_json(self.experiment)
        stand_in: dict[str, Json] = {**self.experiment, "method": {"name": "", "settings": {}}}
        return Experiment.from_json(stand_in).with_method(load_function(self.function))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CellAnswer:
    """A `CellResult` as JSON data."""

    status: ExperimentStatus
    folder: str | None = None
    n_trials: int = 0
    n_results: int = 0
    cpu_seconds: float = 0.0
    tuning_seconds: float = 0.0
    error: str = ""
    traceback: str = ""

    @staticmethod
    def of(result: CellResult) -> CellAnswer:
        """Make the answer from a result."""
        return CellAnswer(
            status=result.status,
            folder=None if result.folder is None else str(result.folder.path),
            n_trials=result.n_trials,
            n_results=result.n_results,
            cpu_seconds=result.cpu_seconds,
            tuning_seconds=result.tuning_seconds,
            error="" if result.error is None else error_line(result.error),
        )


def error_line(error: BaseException) -> str:
    """Return kind and message of an error in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _result_of(cell: Experiment, answer: Answer) -> CellResult:
    if answer.data is None:
        error = CellError(
            f"The process that ran it ended with {answer.exit_text}: was it killed, or out of memory?"
        )
        return CellResult(experiment=cell, status=ExperimentStatus.FAILED, error=error)
    stored = from_json(CellAnswer, answer.data, "answer of a process")
    return CellResult(
        experiment=cell,
        status=stored.status,
        folder=None if stored.folder is None else ExperimentFolder(Path(stored.folder)),
        n_trials=stored.n_trials,
        n_results=stored.n_results,
        cpu_seconds=stored.cpu_seconds,
        tuning_seconds=stored.tuning_seconds,
        error=CellError(stored.error) if stored.error else None,
        traceback=stored.traceback,
    )
