"""``launch_remote`` of experiments whose trials are SageMaker training jobs: tuning jobs that create training jobs."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import Final

from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.sagemaker.plugin import sagemaker_settings
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.launchers.config_flags import config_from
from tunewright.launchers.extra import ExtraArgs, MethodArgsMap
from tunewright.launchers.flags import add_sagemaker_flags
from tunewright.launchers.launch import Definitions, Launch, Methods
from tunewright.launchers.parser import Parser
from tunewright.launchers.remote import SMALL_INSTANCE, RemoteOptions, add_remote_flags
from tunewright.launchers.remote_real import RealKind, Tuners, launch_real


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
    launch_real(KIND, launch, entry_point, options)


def _add_remote_flags(parser: Parser) -> None:
    add_remote_flags(parser, default_instance=SMALL_INSTANCE, instance_flag="tuner_instance_type")


def _tuners(arguments: Namespace, benchmark: RealBenchmarkDefinition, n_jobs: int) -> Tuners:
    config = config_from(SageMakerConfig, arguments)
    settings = sagemaker_settings(benchmark, config)
    return Tuners(
        instance_type=arguments.tuner_instance_type or SMALL_INSTANCE,
        place=config,
        settings=replace(settings, n_workers=settings.n_workers * n_jobs),
        what=f"runs trials on {settings.n_workers} x {settings.instance_type}",
    )


KIND: Final = RealKind(
    description="Tune a benchmark's training script with SageMaker training jobs",
    add_flags=add_sagemaker_flags,
    add_remote_flags=_add_remote_flags,
    config=SageMakerConfig,
    tuners=_tuners,
    flags_inside=lambda settled: {"endpoint": settled.endpoint, "region": settled.region, "yes": True},
)
"""Trials that are jobs of their own."""

hpo_main_parser = KIND.hpo_main_parser
remote_parser = KIND.remote_parser
