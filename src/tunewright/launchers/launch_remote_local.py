"""``launch_remote`` of experiments whose trials are processes: tuning jobs that train on their own instance."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from tunewright.backends.sagemaker import SageMakerSettings
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment
from tunewright.experiments.remote.package import bundle_remote, check_travels
from tunewright.launchers.confirm import settle_endpoint
from tunewright.launchers.console import say
from tunewright.launchers.exits import run_command
from tunewright.launchers.extra import ExtraArgs, MethodArgsMap
from tunewright.launchers.flags import add_local_flags, add_place_flags, local_choice, place_choice
from tunewright.launchers.forwarding import forwarded_flags
from tunewright.launchers.launch import Definitions, Launch, Methods, begin_launch
from tunewright.launchers.parser import Parser
from tunewright.launchers.remote import (
    RemoteOptions,
    SlicePlan,
    add_remote_flags,
    entry_path,
    launch_slices,
)

_DESCRIPTION = "Tune a benchmark's training script with processes"


def launch_remote(
    entry_point: str,
    methods: Methods,
    benchmark_definitions: Definitions,
    extra_args: ExtraArgs = (),
    map_method_args: MethodArgsMap | None = None,
    options: RemoteOptions | None = None,
) -> None:
    """Launch a tuning job per method and seed, whose instance runs all trials, and exit.

    Parameters
    ----------
    entry_point, methods, benchmark_definitions, extra_args, map_method_args, options
        As in `tunewright.launchers.launch_remote_sagemaker.launch_remote`.
    """
    launch = Launch(
        methods=methods,
        definitions=benchmark_definitions,
        extra_args=extra_args or (),
        map_method_args=map_method_args,
    )
    path = entry_path(entry_point)
    run_command(lambda given: _run(launch, path, options or RemoteOptions(), given))


def hpo_main_parser(launch: Launch) -> Parser:
    """The parser of the ``hpo_main.py`` that runs in the tuning jobs."""
    parser = launch.parser(_DESCRIPTION)
    add_local_flags(parser)
    return parser


def remote_parser(launch: Launch) -> Parser:
    """The parser of ``launch_remote.py``."""
    parser = launch.parser(f"{_DESCRIPTION} of a tuning job per method and seed.")
    add_local_flags(parser)
    add_place_flags(parser)
    add_remote_flags(parser, default_instance="the benchmark's")
    return parser


def _run(launch: Launch, path: Path, options: RemoteOptions, given: Sequence[str]) -> int:
    arguments, benchmark = begin_launch(launch, remote_parser(launch), given)
    plan = launch.plan(arguments, benchmark, local_choice(arguments))
    for experiment in plan:
        experiment.build_scheduler()
    instance_type = arguments.instance_type or benchmark.instance_type
    if instance_type is None:
        raise SettingsError(f"{benchmark.name} names no instance_type: give --instance_type")
    dependencies = [Path(one) for one in (*options.dependencies, *arguments.dependencies)]
    check_travels(benchmark.script, path, dependencies)
    code = bundle_remote(path, dependencies)
    say(
        f"{len(plan)} tuning jobs on {instance_type}, each of which runs {benchmark.n_workers} trials at a time"
    )
    settled = settle_endpoint(
        place_choice(arguments, instance_type),
        SageMakerSettings(n_workers=len(plan), instance_type=instance_type),
        is_agreed=arguments.yes,
    )
    flags = [_flags(launch, arguments, experiment) for experiment in plan]
    return launch_slices(
        [SlicePlan.of(experiment, line) for experiment, line in zip(plan, flags, strict=True)],
        arguments,
        choice=settled,
        code=code,
        instance_type=instance_type,
        options=options,
    )


def _flags(launch: Launch, arguments: Namespace, experiment: Experiment) -> list[str]:
    """Of ``hpo_main.py`` in the tuning job of one experiment."""
    replaced = {
        "method": experiment.label,
        "start_seed": experiment.seed,
        "num_seeds": 1,
        "resume": True,
        "dependencies": [Path(one).name for one in arguments.dependencies],
    }
    return forwarded_flags(hpo_main_parser(launch), arguments, replaced)
