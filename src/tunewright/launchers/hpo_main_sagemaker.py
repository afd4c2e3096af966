"""``main`` of the ``hpo_main.py`` whose trials are SageMaker training jobs."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.experiments import sagemaker_settings
from tunewright.launchers.confirm import say_execution, settle_endpoint
from tunewright.launchers.dry import show_first_request
from tunewright.launchers.exits import run_command
from tunewright.launchers.extra import ExtraArgs, MethodArgsMap
from tunewright.launchers.flags import add_sagemaker_flags, sagemaker_choice
from tunewright.launchers.launch import Definitions, Launch, Methods, begin_launch, run_and_report


def main(
    methods: Methods,
    benchmark_definitions: Definitions,
    extra_args: ExtraArgs = (),
    map_method_args: MethodArgsMap | None = None,
) -> None:
    """Run what the command line asks for, and exit.

    Parameters
    ----------
    methods, benchmark_definitions, extra_args, map_method_args
        As in `tunewright.launchers.hpo_main_local.main`.
    """
    launch = Launch(
        methods=methods,
        definitions=benchmark_definitions,
        extra_args=extra_args or (),
        map_method_args=map_method_args,
    )
    run_command(lambda given: _run(launch, given))


def _run(launch: Launch, given: Sequence[str]) -> int:
    parser = launch.parser("Tune a benchmark's training script with SageMaker training jobs.")
    add_sagemaker_flags(parser)
    arguments, benchmark = begin_launch(launch, parser, given)
    choice = say_execution(benchmark, sagemaker_choice(arguments), is_quiet=arguments.dry_run)
    if arguments.dry_run:
        return show_first_request(launch.plan(arguments, benchmark, choice)[0], choice)
    launch.plan(arguments, benchmark, choice)  # what cannot work is said before anything is asked
    settled = settle_endpoint(choice, sagemaker_settings(benchmark, choice), is_agreed=arguments.yes)
    plan = launch.plan(arguments, benchmark, settled)
    return run_and_report(plan, resume=arguments.resume, is_verbose=arguments.verbose)
