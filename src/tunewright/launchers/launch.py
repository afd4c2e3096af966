"""What the launchers have in common: from the command line to a plan, and running it."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, final

from tunewright.backends.plugin import BackendConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import NoResultError, SettingsError, UnknownNameError
from tunewright.experiments import (
    BuildFunction,
    Experiment,
    Limits,
    MethodSpec,
    Outcome,
    run_plan,
)
from tunewright.launchers.console import say, set_up_logging, watch_progress
from tunewright.launchers.exits import report_error
from tunewright.launchers.extra import ExtraArgs, MethodArgsMap, add_extra_flags, extra_settings
from tunewright.launchers.fixed import add_fixed_flags, with_fixed_values
from tunewright.launchers.flags import (
    add_limit_flags,
    add_run_flags,
    add_script_flags,
    limits_from,
    with_script_flags,
)
from tunewright.launchers.parser import Parser, natural, positive_int
from tunewright.storage import safe_name
from tunewright.trial import TrialStatus
from tunewright.types import Json

DEFAULT_TAG: Final = "experiment"

Methods: TypeAlias = Mapping[str, MethodSpec | BuildFunction]
Definitions: TypeAlias = Mapping[str, RealBenchmarkDefinition]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What an experiment folder hands to a launcher."""

    methods: Methods
    definitions: Definitions
    extra_args: ExtraArgs = ()
    map_method_args: MethodArgsMap | None = None

    def parser(self, description: str) -> Parser:
        """The flags that all launchers share."""
        parser = Parser(None, description)
        parser.flag(
            "experiment_tag",
            f"name shared by what belongs together (default: {DEFAULT_TAG})",
            default=DEFAULT_TAG,
        )
        parser.flag("benchmark", f"one of {', '.join(self.definitions)}")
        parser.flag("method", f"one or several, with commas, of {', '.join(self.methods)} (default: all)")
        parser.flag(
            "num_seeds", "how many seeds, counted from start_seed (default: 1)", type=positive_int, default=1
        )
        parser.flag("start_seed", "the first seed (default: 0)", type=natural, default=0)
        parser.switch("resume", "skip what is finished under this tag, continue what was interrupted")
        add_fixed_flags(parser)
        add_script_flags(parser)
        add_limit_flags(parser)
        add_run_flags(parser)
        add_extra_flags(parser, self.extra_args)
        return parser

    def benchmark(self, arguments: Namespace) -> RealBenchmarkDefinition:
        """The chosen benchmark, with the workers, script options and fixed values of the flags.

        Raises
        ------
        SettingsError
            It is unknown, or several are there and none was chosen; a value is not of the form ``NAME=VALUE``.
        SpaceError
            A fixed value is illegal.
        """
        name = arguments.benchmark
        if name is None and len(self.definitions) == 1:
            name = next(iter(self.definitions))
        if name is None:
            raise SettingsError(f"Choose with --benchmark one of {', '.join(self.definitions)}")
        if name not in self.definitions:
            raise UnknownNameError("benchmark", name, self.definitions)
        benchmark = self.definitions[name].replace(n_workers=arguments.n_workers)
        return with_fixed_values(with_script_flags(benchmark, arguments), arguments)

    def plan(
        self, arguments: Namespace, benchmark: RealBenchmarkDefinition, backend: BackendConfig
    ) -> list[Experiment]:
        """All cells: methods times seeds.

        Raises
        ------
        SettingsError
            A method is unknown, or a setting cannot work.
        """
        default = Limits(
            max_wallclock_time=benchmark.max_wallclock_time, max_num_evaluations=benchmark.max_num_evaluations
        )
        limits = limits_from(arguments, default)
        seeds = range(arguments.start_seed, arguments.start_seed + arguments.num_seeds)
        return [
            Experiment(
                tag=arguments.experiment_tag,
                benchmark=benchmark,
                method=self.methods[label],
                label=label,
                backend=backend,
                settings=self._settings(arguments, label),
                seed=seed,
                random_seed=arguments.random_seed,
                warm_start=tuple(arguments.warm_start),
                max_num_checkpoints=arguments.max_num_checkpoints,
                tensorboard=arguments.tensorboard,
                limits=limits,
                delete_checkpoints=arguments.delete_checkpoints,
            )
            for label in self._labels(arguments.method)
            for seed in seeds
        ]

    def _labels(self, given: str | None) -> list[str]:
        labels = list(self.methods) if given is None else [name.strip() for name in given.split(",")]
        for label in labels:
            if label not in self.methods:
                raise UnknownNameError("method", label, self.methods)
        return list(dict.fromkeys(labels))

    def _settings(self, arguments: Namespace, label: str) -> dict[str, Json]:
        settings = extra_settings(arguments, self.methods[label], self.extra_args)
        return settings if self.map_method_args is None else self.map_method_args(arguments, label, settings)


def begin_launch(
    launch: Launch, parser: Parser, given: Sequence[str]
) -> tuple[Namespace, RealBenchmarkDefinition]:
    """Read the command line: the arguments, and the benchmark that they choose.

    Raises
    ------
    SettingsError
        What was given cannot work.
    """
    arguments = parser.read(given)
    set_up_logging(is_verbose=arguments.verbose)
    show_safe_tag(arguments.experiment_tag)
    return arguments, launch.benchmark(arguments)


def run_and_report(plan: Sequence[Experiment], *, resume: bool, is_verbose: bool) -> int:
    """Run a plan before the user's eyes; errors of cells are told at the end as well. Return the exit code."""
    results = run_plan(plan, resume=resume, watch=watch_progress, say=say)
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
    """Say why nothing was found by an experiment that has ended; None where something was, or may be still."""
    failed = list(outcome.history.ids(TrialStatus.FAILED))
    if outcome.is_running or outcome.history.n_results + len(failed) == 0:
        return None
    logs = f"tunewright logs {outcome.folder.name} TRIAL shows what a trial printed"
    if outcome.history.n_results == 0:
        text = f"{outcome.folder.name} has no result: {len(failed)} trials failed. {logs}. The last error: "
        return NoResultError(text + outcome.history.error(failed[-1]))
    if outcome.best is None and not outcome.constraints:
        name = outcome.metric.name
        return NoResultError(
            f"{outcome.folder.name} has no best result: no {name!r} was a finite number. {logs}"
        )
    return None


def show_safe_tag(tag: str) -> None:
    """Say under which name a tag is stored, where that is another."""
    safe = safe_name(tag, "experiment tag")
    if safe != tag:
        sys.stderr.write(f"The experiment tag {tag!r} is stored as {safe!r}\n")
