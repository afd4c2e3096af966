"""``launch_remote`` of experiments whose trials are SageMaker training jobs: tuning jobs that create training jobs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tunewright.experiments import Experiment, SageMakerChoice, sagemaker_settings
from tunewright.experiments.remote.package import bundle_remote, check_travels
from tunewright.launchers.confirm import settle_endpoint
from tunewright.launchers.console import say
from tunewright.launchers.exits import run_command
from tunewright.launchers.extra import ExtraArgs, MethodArgsMap
from tunewright.launchers.flags import add_sagemaker_flags, sagemaker_choice
from tunewright.launchers.forwarding import forwarded_flags
from tunewright.launchers.launch import Definitions, Launch, Methods, begin_launch
from tunewright.launchers.parser import Parser
from tunewright.launchers.remote import (
    SMALL_INSTANCE,
    RemoteOptions,
    SlicePlan,
    add_remote_flags,
    entry_path,
    launch_slices,
)

_DESCRIPTION = "Tune a benchmark's training script with SageMaker training jobs"


def launch_remote(
    entry_point: str,
    methods: Methods,
    benchmark_definitions: Definitions,
    extra_args: ExtraArgs = (),
    map_method_args: MethodArgsMap | None = None,
    options: RemoteOptions | None = None,
) -> None:
    """Launch a tuning job per method and seed as the command line says, and exit.

    Parameters
    ----------
    entry_point
        ``__file__`` of the folder's ``launch_remote.py``, or the path of its ``hpo_main.py``.
    methods, benchmark_definitions, extra_args, map_method_args
        As in the folder's ``hpo_main.py``.
    options
        Dependencies, environment, tags and further fields of the tuning jobs.
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
    add_sagemaker_flags(parser)
    return parser


def remote_parser(launch: Launch) -> Parser:
    """The parser of ``launch_remote.py``."""
    parser = launch.parser(f"{_DESCRIPTION}, from a tuning job per method and seed.")
    add_sagemaker_flags(parser)
    add_remote_flags(parser, default_instance=SMALL_INSTANCE, instance_flag="tuner_instance_type")
    return parser


def _run(launch: Launch, path: Path, options: RemoteOptions, given: Sequence[str]) -> int:
    parser = remote_parser(launch)
    arguments, benchmark = begin_launch(launch, parser, given)
    choice = sagemaker_choice(arguments)
    plan = launch.plan(arguments, benchmark, choice)
    for experiment in plan:
        experiment.build_scheduler()
    dependencies = [Path(one) for one in (*options.dependencies, *arguments.dependencies)]
    check_travels(benchmark.script, path, dependencies)
    code = bundle_remote(path, dependencies)
    instance_type = arguments.tuner_instance_type or SMALL_INSTANCE
    settings = sagemaker_settings(benchmark, choice)
    say(
        f"{len(plan)} tuning jobs on {instance_type}, each of which runs trials on {settings.n_workers} x {settings.instance_type}"
    )
    settled = settle_endpoint(
        choice, replace(settings, n_workers=settings.n_workers * len(plan)), is_agreed=arguments.yes
    )
    flags = [_flags(launch, arguments, settled, experiment) for experiment in plan]
    return launch_slices(
        [SlicePlan.of(experiment, line) for experiment, line in zip(plan, flags, strict=True)],
        arguments,
        choice=settled,
        code=code,
        instance_type=instance_type,
        options=options,
    )


def _flags(
    launch: Launch, arguments: Namespace, settled: SageMakerChoice, experiment: Experiment
) -> list[str]:
    """Of ``hpo_main.py`` in the tuning job of one experiment."""
    replaced = {
        "method": experiment.label,
        "start_seed": experiment.seed,
        "num_seeds": 1,
        "endpoint": settled.endpoint,
        "region": settled.region,
        "resume": True,
        "dependencies": [Path(one).name for one in arguments.dependencies],
        "yes": True,
    }
    return forwarded_flags(hpo_main_parser(launch), arguments, replaced)
