"""Launch: the methods and benchmarks of an experiment folder, and the experiments that a command line asks for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, TypeAlias, final

from cyclopts.types import NonNegativeInt, PositiveInt

from tunewright.backends.plugin import BackendConfig, find_backend
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.benchmarks.tables import absent_table
from tunewright.blackbox import table_names
from tunewright.cli.exits import report_error, say
from tunewright.cli.flags import (
    ConfirmFlags,
    ExtraArgs,
    FileFlags,
    FixedFlags,
    OutputFlags,
    RunFlags,
    ScriptFlags,
    TableFlags,
    WorkerFlags,
    backend_table,
    explain_backend_flag,
    extra_converters,
    extra_parameters,
)
from tunewright.cli.output import select, set_up_logging, watch_progress
from tunewright.cli.parsing import chosen_value
from tunewright.cli.records import Given, RecordCommand, flag_names
from tunewright.exceptions import NoResultError, SettingsError, UnknownNameError
from tunewright.experiments import (
    BuildFunction,
    CellResult,
    Experiment,
    ExperimentPlan,
    Limits,
    MethodSpec,
    Outcome,
    run_plan,
    seeds_differ_by_benchmark,
)
from tunewright.formatting import plural
from tunewright.methods import find_method
from tunewright.storage import safe_name
from tunewright.trial import TrialStatus
from tunewright.types import Json

DEFAULT_TAG: Final = "experiment"
_SHOWN: Final = 12  # names in the help

Methods: TypeAlias = Mapping[str, MethodSpec | BuildFunction]
Definitions: TypeAlias = Mapping[str, RealBenchmarkDefinition] | Mapping[str, SurrogateBenchmarkDefinition]
MethodArgsMap: TypeAlias = Callable[[Any, str, dict[str, Json]], dict[str, Json]]
"""``(all flags as attributes, method's name, settings so far) -> settings``."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFlags:
    """The cells of a plan."""

    experiment_tag: str = DEFAULT_TAG
    """Name shared by the experiments that belong together."""
    benchmark: str | None = None
    """Names or globs, with commas."""
    method: str | None = None
    """Names or globs, with commas."""
    num_seeds: PositiveInt = 1
    """Number of seeds, counted from start_seed."""
    start_seed: NonNegativeInt = 0
    """The first seed."""
    seed_per_benchmark: bool | None = None
    """Draw other configurations on each benchmark with the same seed (default: yes, unless the tag's experiments do not)."""
    resume: bool = False
    """Skip experiments that are finished under this tag, continue those that were interrupted."""

    @property
    def seeds(self) -> range:
        """All seeds."""
        return range(self.start_seed, self.start_seed + self.num_seeds)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BackendFlags:
    """The backend of a folder's experiments."""

    backend: str | None = None
    """Backend of the trials (default: the folder's)."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """An experiment folder: its methods, benchmarks, backend and own flags."""

    methods: Methods
    definitions: Definitions
    backend: str
    extra_args: ExtraArgs = ()
    map_method_args: MethodArgsMap | None = None
    default_methods: Collection[str] = ()
    """Names of the methods that run without ``--method``; empty: all."""
    most_seeds: Mapping[str, int] = field(default_factory=dict[str, int])
    """Method -> highest number of seeds; methods that are absent get all."""

    @property
    def config(self) -> type[BackendConfig]:
        """Config class of the backend.

        Raises
        ------
        UnknownNameError
            No installed package has such a backend.
        """
        return find_backend(self.backend).config

    @property
    def is_simulated(self) -> bool:
        """Whether the backend runs recorded tables."""
        return self.config.is_simulated

    def for_command_line(self, tokens: Sequence[str]) -> Launch:
        """Return this launch with the backend that a command line names."""
        backend = chosen_value(tokens, "backend")
        if backend is None or backend == self.backend:
            return self
        return replace(self, backend=backend)

    def command(
        self, run: Callable[[Given], int], more: Mapping[str, Sequence[type]] | None = None
    ) -> RecordCommand:
        """Make the command of this folder.

        Parameters
        ----------
        run
            Takes the given flags, returns the exit code.
        more
            Further records of flags under their headings.
        """
        kind: Sequence[type] = (TableFlags, FileFlags) if self.is_simulated else (ScriptFlags, FixedFlags)
        groups: dict[str, Sequence[Any]] = {
            "Plan": [PlanFlags, BackendFlags],
            "Limits": [WorkerFlags, Limits],
            "Run": [RunFlags, ConfirmFlags, OutputFlags],
            "Tables" if self.is_simulated else "Script": kind,
            f"Backend {self.backend}": [self.config],
            **(more or {}),
        }
        taken = [name for records in groups.values() for record in records for name in flag_names(record)]
        if own := extra_parameters(self.extra_args, taken):
            groups["This folder"] = own
        return RecordCommand(
            run,
            groups,
            explain=lambda name: explain_backend_flag(name, self.backend),
            read_table=self._read_table,
            converters=extra_converters(self.extra_args),
            docs={
                "max_wallclock_time": "Seconds on the experiment's clock (default: the benchmark's)",
                "max_num_evaluations": "Reports (default: the benchmark's)",
                "benchmark": f"{_names('lcbench-*')}, of {_some(self.definitions)}{self._default_benchmark}",
                "method": f"{_names('ASHA*')}, of {_some(self.methods)} (default: {', '.join(self.default_methods) or 'all'})",
                "backend": f"Backend of the trials (default: {self.backend})",
            },
        )

    @property
    def _default_benchmark(self) -> str:
        if self.is_simulated:
            return " (default: all whose table is here)"
        return " (default: the only one)" if len(self.definitions) == 1 else ""

    def _read_table(self, name: str, table: Mapping[str, Any]) -> Mapping[str, Any]:
        flags = backend_table(name, table, self.backend)
        if flags is not None:
            return flags
        if name in self.methods:
            raise SettingsError(f"[{name}]: settings of this folder's methods belong into baselines.py")
        raise SettingsError(f"The table [{name}] of the --config file names no backend")

    def plan(self, given: Given) -> ExperimentPlan:
        """All experiments: those of tables seed by seed, so that an interrupted plan compares all methods on some seeds.

        Raises
        ------
        SettingsError
            A name is unknown, or a setting is not valid.
        SpaceError
            A fixed value is illegal.
        """
        flags, run = given.record(PlanFlags), given.record(RunFlags)
        backend = given.record(self.config)
        labels = self._labels(flags.method, is_warm=bool(run.warm_start))
        arguments = SimpleNamespace(**given.all_values)
        settings = {label: self._settings(arguments, label) for label in labels}
        benchmarks = [
            run.with_points(self._benchmark(name, given)) for name in self._benchmark_names(flags.benchmark)
        ]
        mixes = flags.seed_per_benchmark
        if mixes is None:
            mixes = seeds_differ_by_benchmark(flags.experiment_tag)
        plan = [
            Experiment(
                tag=flags.experiment_tag,
                benchmark=benchmark,
                known_results=known,
                method=self.methods[label],
                label=label,
                backend=backend,
                settings=settings[label],
                seed=seed,
                random_seed=run.random_seed,
                seed_per_benchmark=mixes,
                warm_start=run.warm_start,
                max_num_checkpoints=run.max_num_checkpoints,
                callbacks=run.callbacks,
                on_end=run.on_end,
                limits=given.over(self._limits(benchmark, given)),
                delete_checkpoints=run.delete_checkpoints,
            )
            for seed in flags.seeds
            for benchmark, known in benchmarks
            for label in labels
            if seed < flags.start_seed + self.most_seeds.get(label, flags.num_seeds)
        ]
        if not self.is_simulated:
            plan.sort(key=lambda cell: labels.index(cell.label))
        return ExperimentPlan(tuple(plan))

    def _benchmark(self, name: str, given: Given) -> RealBenchmarkDefinition | SurrogateBenchmarkDefinition:
        benchmark = self.definitions[name].replace(n_workers=given.record(WorkerFlags).n_workers)
        if isinstance(benchmark, SurrogateBenchmarkDefinition):
            restricted = given.record(TableFlags).restrict_configurations if self.is_simulated else False
            benchmark = benchmark.replace(restrict_configurations=restricted or None)
        elif not self.is_simulated:
            benchmark = given.record(FixedFlags).apply(given.record(ScriptFlags).apply(benchmark))
        return benchmark

    def _limits(
        self, benchmark: RealBenchmarkDefinition | SurrogateBenchmarkDefinition, given: Given
    ) -> Limits:
        seconds = benchmark.max_wallclock_time
        if self.is_simulated and seconds is not None and given.record(TableFlags).scale_max_wallclock_time:
            seconds *= max(1.0, self.definitions[benchmark.name].n_workers / benchmark.n_workers)
        return Limits(max_wallclock_time=seconds, max_num_evaluations=benchmark.max_num_evaluations)

    def _benchmark_names(self, text: str | None) -> list[str]:
        if text is not None:
            if self.is_simulated:
                _need_tables(text)
            return select("benchmark", text, list(self.definitions))
        if self.is_simulated:
            return self._benchmarks_with_table()
        if len(self.definitions) != 1:
            raise SettingsError(f"Choose with --benchmark one of {', '.join(self.definitions)}")
        return list(self.definitions)

    def _benchmarks_with_table(self) -> list[str]:
        tables = {
            name: definition.table
            for name, definition in self.definitions.items()
            if isinstance(definition, SurrogateBenchmarkDefinition)
        }
        here = set(table_names())
        names = [name for name, table in tables.items() if table in here]
        absent = sorted(set(tables.values()) - here)
        if not names:
            raise SettingsError(f"No table is here: tunewright tables add {absent[0] if absent else 'NAME'}")
        if absent:
            say(f"Left out, as their tables are not here: {', '.join(absent)} (see: tunewright tables list)")
        return names

    def _labels(self, text: str | None, *, is_warm: bool) -> list[str]:
        if text is not None:
            return select("method", text, list(self.methods))
        labels: list[str] = []
        for label, spec in self._default_methods().items():
            if isinstance(spec, MethodSpec) and not _is_here(spec):
                say(f"{label} is left out: this version has no method {spec.name}")
            elif isinstance(spec, MethodSpec) and find_method(spec.name).needs_evaluations and not is_warm:
                say(f"{label} is left out: it learns from earlier experiments, which --warm_start names")
            else:
                labels.append(label)
        return labels

    def _default_methods(self) -> Methods:
        if not self.default_methods:
            return self.methods
        others = [label for label in self.methods if label not in self.default_methods]
        if others:
            say(f"Not run by default: {', '.join(others)} (--method names them; --method '*' is all)")
        return {label: self.methods[label] for label in self.default_methods}

    def _settings(self, arguments: SimpleNamespace, label: str) -> dict[str, Json]:
        """Own flags that are named as a setting of the method; a function of the user's gets all of them."""
        method = self.methods[label]
        names = [str(extra["name"]).replace("-", "_") for extra in self.extra_args]
        settings = {name: getattr(arguments, name) for name in names if getattr(arguments, name) is not None}
        if isinstance(method, MethodSpec):
            known = find_method(method.name).parameters
            settings = {name: value for name, value in settings.items() if name in known}
        return settings if self.map_method_args is None else self.map_method_args(arguments, label, settings)


def begin(given: Given, tag: str | None) -> None:
    """Set up logging, and print the name of the folder of a given tag if it differs from the tag."""
    set_up_logging(is_verbose=given.record(OutputFlags).verbose)
    if tag is not None and (safe := safe_name(tag, "experiment tag")) != tag:
        sys.stderr.write(f"The experiment tag {tag!r} is stored as {safe!r}\n")


def run_and_report(plan: ExperimentPlan | Sequence[Experiment], *, resume: bool, is_verbose: bool) -> int:
    """Run a plan with progress output, summarise failures at the end, and return the exit code."""
    return report_failures(
        run_plan(plan, resume=resume, watch=watch_progress, say=say), is_verbose=is_verbose
    )


def report_failures(results: Sequence[CellResult], *, is_verbose: bool) -> int:
    """Print the errors of a plan's cells, and return the exit code."""
    code = 0
    for result in results:
        if result.error is not None:
            if len(results) > 1:
                say(f"{result.experiment.label}, seed {result.experiment.seed} failed:")
            code = report_error(result.error, is_verbose=is_verbose)
        elif result.outcome is not None and (error := without_result(result.outcome)):
            code = report_error(error, is_verbose=is_verbose)
    return code


def without_result(outcome: Outcome) -> NoResultError | None:
    """Explain why an ended experiment found nothing; None if it found a result, or may still do so."""
    failed = list(outcome.history.ids(TrialStatus.FAILED))
    if outcome.is_running or outcome.history.n_results + len(failed) == 0:
        return None
    logs = f"tunewright logs {outcome.folder.name} TRIAL shows the output of a trial"
    if outcome.history.n_results == 0:
        text = f"{outcome.folder.name} has no result: {plural(len(failed), 'trial')} failed. {logs}. The last error: "
        return NoResultError(text + outcome.history.error(failed[-1]))
    if outcome.best is None and not outcome.constraints:
        name = outcome.metric.name
        return NoResultError(
            f"{outcome.folder.name} has no best result: no {name!r} was a finite number. {logs}"
        )
    return None


def program_name() -> str:
    """Name of the running script, for messages."""
    return Path(sys.argv[0]).name


def _is_here(spec: MethodSpec) -> bool:
    try:
        find_method(spec.name)
    except UnknownNameError:
        return False
    return True


def _need_tables(text: str) -> None:
    """Name the command that gets a table whose benchmarks are unknown before it is here."""
    for part in text.split(","):
        if table := absent_table(part.strip()):
            raise SettingsError(
                f"The table {table!r} is not here: 'tunewright tables info {table}' says how to get it"
            )


def _names(example: str) -> str:
    return f"Names, globs such as '{example}', or several of them with commas"


def _some(names: Collection[str]) -> str:
    return ", ".join(list(names)[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
