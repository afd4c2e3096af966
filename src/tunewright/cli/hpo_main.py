"""``main`` of an experiment folder's ``hpo_main.py``: methods x benchmarks x seeds with one backend."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tunewright.cli.confirm import settle, show_dry_run
from tunewright.cli.exits import run_command, say
from tunewright.cli.flags import ConfirmFlags, ExtraArgs, OutputFlags, TableFlags
from tunewright.cli.launch import (
    Definitions,
    Launch,
    MethodArgsMap,
    Methods,
    PlanFlags,
    begin,
    program_name,
    run_and_report,
)
from tunewright.cli.output import plan_progress, report_plan
from tunewright.cli.parsing import record_app, run_app
from tunewright.cli.records import Given
from tunewright.experiments import ExperimentPlan, announce_choices, run_plan

_SUMMARIES = {
    True: "Compare methods on recorded tables in simulated time, over all processors.",
    False: "Tune a benchmark's training script: methods x seeds.",
}


def main(
    methods: Methods,
    benchmark_definitions: Definitions,
    extra_args: ExtraArgs = (),
    map_method_args: MethodArgsMap | None = None,
    *,
    backend: str,
    default_methods: Collection[str] = (),
    most_seeds: Mapping[str, int] | None = None,
) -> None:
    """Run the experiments that the command line asks for, and exit.

    Parameters
    ----------
    methods
        Name -> `tunewright.experiments.method`, or a function ``(benchmark, seed, settings) -> Scheduler`` at the top
        level of a module.
    benchmark_definitions
        Name -> definition: scripts or, for a simulated backend, recorded tables.
    extra_args
        Flags of the folder's own: mappings with ``name`` and the options of argparse's ``add_argument``.
    map_method_args
        ``(flags, method name, settings) -> settings``; by default a flag that is named as a setting of a method
        reaches that method.
    backend
        Name of the backend, such as ``local``, ``sagemaker`` or ``simulated``; ``--backend`` overrides it.
    default_methods
        Names of the methods that run without ``--method``; empty: all.
    most_seeds
        Method -> highest number of seeds, for methods that get fewer than ``--num_seeds``.
    """

    def run(tokens: Sequence[str]) -> int:
        launch = Launch(
            methods=methods,
            definitions=benchmark_definitions,
            backend=backend,
            extra_args=extra_args or (),
            map_method_args=map_method_args,
            default_methods=tuple(default_methods),
            most_seeds=most_seeds or {},
        )
        return run_launch(launch.for_command_line(tokens), tokens)

    run_command(run)


def run_launch(launch: Launch, tokens: Sequence[str]) -> int:
    """Run the experiments that a command line asks for; return the exit code.

    Raises
    ------
    SettingsError, SpaceError, TableError
        A flag or setting is not valid; nothing was started.
    KeyboardInterrupt
        It was interrupted, in order.
    """
    command = launch.command(lambda given: _run(launch, given))
    return run_app(record_app(command, program_name(), _SUMMARIES[launch.is_simulated]), tokens)


def _run(launch: Launch, given: Given) -> int:
    flags, confirm = given.record(PlanFlags), given.record(ConfirmFlags)
    begin(given, flags.experiment_tag)
    plan = launch.plan(given)
    if confirm.dry_run:
        return show_dry_run(plan[0])
    if launch.is_simulated:
        return _run_tables(plan.validated(skip=say), flags, given.record(TableFlags))
    plan = plan.validated()
    settled = settle(plan[0], is_agreed=confirm.yes).backend
    plan = plan.map(lambda experiment: replace(experiment, backend=settled))
    return run_and_report(plan, resume=flags.resume, is_verbose=given.record(OutputFlags).verbose)


def _run_tables(plan: ExperimentPlan, flags: PlanFlags, tables: TableFlags) -> int:
    announce_choices(plan, say)
    with plan_progress(len(plan)) as look:
        results = run_plan(
            plan,
            n_processes=tables.n_jobs or 0,
            resume=flags.resume,
            export=tables.export,
            look=look,
            say=_say_nothing,
        )
    return report_plan(results, tag=flags.experiment_tag)


def _say_nothing(line: str) -> None:
    del line
