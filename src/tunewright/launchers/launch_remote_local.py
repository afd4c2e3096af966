"""``launch_remote`` of experiments whose trials are processes: tuning jobs that train on their own instance."""

from __future__ import annotations

from argparse import Namespace
from typing import Final

from tunewright.backends.local.config import LocalConfig
from tunewright.backends.sagemaker import SageMakerSettings
from tunewright.backends.sagemaker.config import TuningJobPlace
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.launchers.config_flags import config_from
from tunewright.launchers.extra import ExtraArgs, MethodArgsMap
from tunewright.launchers.flags import add_local_flags, add_place_flags
from tunewright.launchers.launch import Definitions, Launch, Methods
from tunewright.launchers.parser import Parser
from tunewright.launchers.remote import RemoteOptions, add_remote_flags
from tunewright.launchers.remote_real import RealKind, Tuners, launch_real


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
    launch_real(KIND, launch, entry_point, options)


def _add_remote_flags(parser: Parser) -> None:
    add_place_flags(parser)
    add_remote_flags(parser, default_instance="the benchmark's")


def _tuners(arguments: Namespace, benchmark: RealBenchmarkDefinition, n_jobs: int) -> Tuners:
    instance_type = arguments.instance_type or benchmark.instance_type
    if instance_type is None:
        raise SettingsError(f"{benchmark.name} names no instance_type: give --instance_type")
    return Tuners(
        instance_type=instance_type,
        place=config_from(TuningJobPlace, arguments),
        settings=SageMakerSettings(n_workers=n_jobs, instance_type=instance_type),
        what=f"runs {benchmark.n_workers} trials at a time",
    )


KIND: Final = RealKind(
    description="Tune a benchmark's training script with processes",
    add_flags=add_local_flags,
    add_remote_flags=_add_remote_flags,
    config=LocalConfig,
    tuners=_tuners,
    flags_inside=lambda _: {},
)
"""Trials that are processes of the tuning job."""

hpo_main_parser = KIND.hpo_main_parser
remote_parser = KIND.remote_parser
