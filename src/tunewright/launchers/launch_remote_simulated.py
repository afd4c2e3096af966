"""``launch_remote`` of simulated experiments: tuning jobs that read recorded tables, which travel along."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

from tunewright.backends.sagemaker import SageMakerSettings
from tunewright.backends.sagemaker.config import TuningJobPlace
from tunewright.backends.sagemaker.plugin import describe_jobs
from tunewright.experiments import Experiment
from tunewright.experiments.harness import fitting
from tunewright.launchers.config_flags import config_from
from tunewright.launchers.confirm import confirm
from tunewright.launchers.console import say, set_up_logging
from tunewright.launchers.exits import run_command
from tunewright.launchers.extra import ExtraArgs, MethodArgsMap
from tunewright.launchers.flags import add_place_flags
from tunewright.launchers.forwarding import forwarded_flags
from tunewright.launchers.hpo_main_simulated import Definitions, SimulatedLaunch
from tunewright.launchers.launch import Methods, show_safe_tag
from tunewright.launchers.luggage import needed_extras, pack_warm_start
from tunewright.launchers.parser import Parser
from tunewright.launchers.remote import (
    RemoteOptions,
    SlicePlan,
    add_remote_flags,
    entry_path,
    launch_slices,
)
from tunewright.launchers.remote_real import jobs_at_a_time, tuning_jobs_text
from tunewright.remote.package import bundle_remote
from tunewright.storage import safe_name

_INSTANCE: Final = "ml.c5.4xlarge"


def launch_remote(
    entry_point: str,
    methods: Methods,
    benchmark_definitions: Definitions,
    extra_args: ExtraArgs = (),
    map_method_args: MethodArgsMap | None = None,
    options: RemoteOptions | None = None,
    *,
    expensive_methods: Collection[str] = (),
) -> None:
    """Launch a tuning job per method, and of expensive methods one per seed, and exit.

    Parameters
    ----------
    entry_point, methods, benchmark_definitions, extra_args, map_method_args, options
        As in `tunewright.launchers.launch_remote_sagemaker.launch_remote`.
    expensive_methods
        Names of methods whose decisions take long.
    """
    launch = SimulatedLaunch(
        methods=methods,
        definitions=benchmark_definitions,
        extra_args=extra_args or (),
        map_method_args=map_method_args,
    )
    path = entry_path(entry_point)
    run_command(lambda given: _run(launch, path, options or RemoteOptions(), expensive_methods, given))


def remote_parser(launch: SimulatedLaunch) -> Parser:
    """The parser of ``launch_remote.py``."""
    parser = launch.parser()
    add_place_flags(parser)
    add_remote_flags(parser, default_instance=_INSTANCE)
    return parser


def _run(
    launch: SimulatedLaunch,
    path: Path,
    options: RemoteOptions,
    expensive: Collection[str],
    given: Sequence[str],
) -> int:
    arguments = remote_parser(launch).read(given)
    set_up_logging(is_verbose=arguments.verbose)
    show_safe_tag(arguments.experiment_tag)
    plan = fitting(launch.plan(arguments), say)
    instance_type = arguments.instance_type or _INSTANCE
    tables = sorted({experiment.table_benchmark.table for experiment in plan})
    packed = pack_warm_start(arguments.warm_start)
    code = bundle_remote(
        path,
        [Path(one) for one in options.dependencies],
        tables=tables,
        files=packed,
        extras=needed_extras(arguments),
    )
    groups = _groups(plan, expensive)
    say(f"{tuning_jobs_text(arguments, len(groups), instance_type)}, which run {len(plan)} experiments")
    description = describe_jobs(
        config_from(TuningJobPlace, arguments),
        SageMakerSettings(n_workers=jobs_at_a_time(arguments, len(groups)), instance_type=instance_type),
    )
    settled = confirm(description, is_agreed=arguments.yes)
    hpo_main = launch.parser()

    def slice_of(label: str, seed: int | None, experiments: Sequence[Experiment]) -> SlicePlan:
        replaced: dict[str, Any] = {"method": label, "resume": True, "warm_start": list(packed)}
        if seed is not None:
            replaced |= {"start_seed": seed, "num_seeds": 1}
        flags = forwarded_flags(hpo_main, arguments, replaced)
        name = safe_name(label if seed is None else f"{label}-{seed}")
        return SlicePlan(experiments=experiments, flags=flags, name=name, seed=seed, is_simulated=True)

    return launch_slices(
        [slice_of(label, seed, experiments) for (label, seed), experiments in groups.items()],
        arguments,
        place=settled,
        code=code,
        instance_type=instance_type,
        options=options,
    )


def _groups(
    plan: Sequence[Experiment], expensive: Collection[str]
) -> dict[tuple[str, int | None], list[Experiment]]:
    """The experiments of each tuning job, by the method's label, and by seed where the method is expensive."""
    groups: dict[tuple[str, int | None], list[Experiment]] = {}
    for experiment in plan:
        seed = experiment.seed if experiment.label in expensive else None
        groups.setdefault((experiment.label, seed), []).append(experiment)
    return groups
