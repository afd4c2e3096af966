"""``main`` of the ``hpo_main.py`` whose trials are SageMaker training jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.launchers.config_flags import config_from
from tunewright.launchers.confirm import settle, show_dry_run
from tunewright.launchers.exits import run_command
from tunewright.launchers.extra import ExtraArgs, MethodArgsMap
from tunewright.launchers.flags import add_sagemaker_flags
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
    plan = launch.plan(arguments, benchmark, config_from(SageMakerConfig, arguments))
    if arguments.dry_run:
        return show_dry_run(plan[0])
    settled = settle(plan[0], is_agreed=arguments.yes).backend
    plan = [replace(experiment, backend=settled) for experiment in plan]
    return run_and_report(plan, resume=arguments.resume, is_verbose=arguments.verbose)
