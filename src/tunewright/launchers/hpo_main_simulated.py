"""``main`` of the ``hpo_main.py`` that compares methods on recorded tables, in simulated time."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.simulated import SurrogateBenchmarkDefinition
from tunewright.benchmarks.tables import absent_table
from tunewright.blackbox import table_names
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.experiments import Experiment, Limits, MethodSpec, announce_choices, run_cells
from tunewright.experiments.harness import fitting
from tunewright.launchers.config_flags import config_from
from tunewright.launchers.console import say, set_up_logging
from tunewright.launchers.exits import run_command
from tunewright.launchers.extra import ExtraArgs, MethodArgsMap, add_extra_flags, extra_settings
from tunewright.launchers.flags import (
    add_limit_flags,
    add_run_flags,
    add_simulated_flags,
    limits_from,
)
from tunewright.launchers.launch import DEFAULT_TAG, Methods, show_safe_tag
from tunewright.launchers.parser import Parser, natural, positive_int
from tunewright.launchers.plan_progress import report_cells, watching
from tunewright.launchers.selecting import select
from tunewright.methods import find_method
from tunewright.types import Json

Definitions: TypeAlias = Mapping[str, SurrogateBenchmarkDefinition]
_SHOWN: Final = 12  # names in the help


def main(
    methods: Methods,
    benchmark_definitions: Definitions,
    extra_args: ExtraArgs = (),
    map_method_args: MethodArgsMap | None = None,
    *,
    default_methods: Collection[str] = (),
) -> None:
    """Run methods x benchmarks x seeds over processes as the command line says, and exit.

    Parameters
    ----------
    methods
        Name -> `tunewright.experiments.method`, or a function ``(benchmark, seed, settings) -> Scheduler`` at the top
        level of a module. A ``MethodSpec`` of a method that this version has not is left out, and a line says so.
    benchmark_definitions
        Name -> definition. Without ``--benchmark`` those whose table is here are run.
    extra_args, map_method_args
        As in `tunewright.launchers.hpo_main_local.main`.
    default_methods
        Names of those that run without ``--method``; empty: all.
    """
    folder = SimulatedLaunch(
        methods=methods,
        definitions=benchmark_definitions,
        extra_args=extra_args or (),
        map_method_args=map_method_args,
        default_methods=tuple(default_methods),
    )
    run_command(folder.run)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedLaunch:
    """What an experiment folder hands to the launcher."""

    methods: Methods
    definitions: Definitions
    extra_args: ExtraArgs = ()
    map_method_args: MethodArgsMap | None = None
    default_methods: Collection[str] = ()

    def run(self, given: Sequence[str]) -> int:
        """Run what the arguments ask for; the exit code.

        Raises
        ------
        SettingsError, TableError
            It cannot work; nothing was started.
        KeyboardInterrupt
            It was interrupted, in order.
        """
        arguments = self.parser().read(given)
        set_up_logging(is_verbose=arguments.verbose)
        show_safe_tag(arguments.experiment_tag)
        plan = fitting(self.plan(arguments), say)
        announce_choices(plan, say)
        with watching(len(plan)) as look:
            cells = run_cells(
                plan,
                n_jobs=arguments.n_jobs,
                resume=arguments.resume,
                export=arguments.export,
                look=look,
            )
        return report_cells(cells, tag=arguments.experiment_tag)

    def parser(self) -> Parser:
        """The flags of this launcher."""
        parser = Parser(None, "Compare methods on recorded tables in simulated time, over all processors.")
        parser.flag(
            "experiment_tag",
            f"name shared by what belongs together (default: {DEFAULT_TAG})",
            default=DEFAULT_TAG,
        )
        parser.flag(
            "benchmark",
            f"{_names_as('lcbench-*')} (default: all whose table is here), of {_some(list(self.definitions))}",
        )
        default = ", ".join(self.default_methods) or "all"
        parser.flag("method", f"{_names_as('ASHA*')} (default: {default}), of {_some(list(self.methods))}")
        parser.flag(
            "num_seeds", "how many seeds, counted from start_seed (default: 1)", type=positive_int, default=1
        )
        parser.flag("start_seed", "the first seed (default: 0)", type=natural, default=0)
        parser.switch("resume", "skip what is finished under this tag, continue what was interrupted")
        add_limit_flags(parser)
        add_simulated_flags(parser)
        add_run_flags(parser)
        add_extra_flags(parser, self.extra_args)
        return parser

    def plan(self, arguments: Namespace) -> list[Experiment]:
        """All cells, seed by seed, so that what is interrupted compares all methods on the seeds that are done.

        Raises
        ------
        SettingsError
            A name is unknown, or a setting cannot work.
        """
        labels = self._labels(arguments.method, is_warm=bool(arguments.warm_start))
        benchmarks = [self._benchmark(name, arguments) for name in self._names(arguments.benchmark)]
        config = config_from(SimulatedConfig, arguments)
        seeds = range(arguments.start_seed, arguments.start_seed + arguments.num_seeds)
        return [
            Experiment(
                tag=arguments.experiment_tag,
                benchmark=benchmark,
                method=self.methods[label],
                label=label,
                backend=config,
                settings=self._settings(arguments, label),
                seed=seed,
                random_seed=arguments.random_seed,
                warm_start=tuple(arguments.warm_start),
                max_num_checkpoints=arguments.max_num_checkpoints,
                tensorboard=arguments.tensorboard,
                limits=limits_from(arguments, self._limits(benchmark, arguments)),
            )
            for seed in seeds
            for benchmark in benchmarks
            for label in labels
        ]

    def _benchmark(self, name: str, arguments: Namespace) -> SurrogateBenchmarkDefinition:
        return self.definitions[name].replace(
            n_workers=arguments.n_workers, restrict_configurations=arguments.restrict_configurations or None
        )

    def _limits(self, benchmark: SurrogateBenchmarkDefinition, arguments: Namespace) -> Limits:
        seconds = benchmark.max_wallclock_time
        if arguments.scale_max_wallclock_time and seconds is not None:
            seconds *= max(1.0, self.definitions[benchmark.name].n_workers / benchmark.n_workers)
        return Limits(max_wallclock_time=seconds, max_num_evaluations=benchmark.max_num_evaluations)

    def _names(self, given: str | None) -> list[str]:
        if given is not None:
            _need_tables(given)
            return select("benchmark", given, list(self.definitions))
        here = set(table_names())
        names = [name for name, definition in self.definitions.items() if definition.table in here]
        absent = sorted({definition.table for definition in self.definitions.values()} - here)
        if not names:
            raise SettingsError(f"No table is here: tunewright tables add {absent[0] if absent else 'NAME'}")
        if absent:
            say(f"Left out, as their tables are not here: {', '.join(absent)} (see: tunewright tables list)")
        return names

    def _labels(self, given: str | None, *, is_warm: bool) -> list[str]:
        if given is not None:
            return select("method", given, list(self.methods))
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

    def _settings(self, arguments: Namespace, label: str) -> dict[str, Json]:
        settings = extra_settings(arguments, self.methods[label], self.extra_args)
        return settings if self.map_method_args is None else self.map_method_args(arguments, label, settings)


def _is_here(spec: MethodSpec) -> bool:
    try:
        find_method(spec.name)
    except UnknownNameError:
        return False
    return True


def _need_tables(given: str) -> None:
    """Tell how to get a table whose benchmarks have no names before it is here."""
    for part in given.split(","):
        if table := absent_table(part.strip()):
            raise SettingsError(
                f"The table {table!r} is not here: 'tunewright tables info {table}' says how to get it"
            )


def _names_as(example: str) -> str:
    return f"names, globs such as '{example}', or several of them with commas"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
