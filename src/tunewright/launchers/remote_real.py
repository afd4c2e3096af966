"""``launch_remote`` where trials train: a tuning job per method and seed, whatever the trials of a tuning job are."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, final

from tunewright.backends.plugin import BackendConfig
from tunewright.backends.sagemaker import SageMakerSettings
from tunewright.backends.sagemaker.config import SageMakerPlace
from tunewright.backends.sagemaker.plugin import describe_jobs
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.experiments import Experiment
from tunewright.experiments.plan import ExperimentPlan
from tunewright.launchers.config_flags import config_from
from tunewright.launchers.confirm import confirm, show_dry_run
from tunewright.launchers.console import say
from tunewright.launchers.exits import run_command
from tunewright.launchers.forwarding import forwarded_flags
from tunewright.launchers.launch import Launch, begin_launch
from tunewright.launchers.luggage import needed_extras, pack_warm_start
from tunewright.launchers.parser import Parser
from tunewright.launchers.remote import RemoteOptions, SlicePlan, entry_path, launch_slices
from tunewright.remote.package import bundle_remote, check_travels


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tuners:
    """The tuning jobs of a launch."""

    instance_type: str
    place: SageMakerPlace
    """Where they run."""
    settings: SageMakerSettings
    """All jobs that may run at a time, for the price and the quota."""
    what: str
    """What each of them does, for people."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RealKind:
    """How trials run inside a tuning job: all that distinguishes one launcher from another."""

    description: str
    add_flags: Callable[[Parser], None]
    """The flags of ``hpo_main.py`` beside those that all have."""
    add_remote_flags: Callable[[Parser], None]
    """What ``launch_remote.py`` has beside the flags of ``hpo_main.py``."""
    config: type[BackendConfig]
    tuners: Callable[[Namespace, RealBenchmarkDefinition, int], Tuners]
    """From the number of tuning jobs that may run at a time."""
    flags_inside: Callable[[SageMakerPlace], Mapping[str, Any]]
    """Flags of ``hpo_main.py`` that the place decides."""

    def hpo_main_parser(self, launch: Launch) -> Parser:
        """The parser of the ``hpo_main.py`` that runs in the tuning jobs."""
        parser = launch.parser(self.description)
        self.add_flags(parser)
        return parser

    def remote_parser(self, launch: Launch) -> Parser:
        """The parser of ``launch_remote.py``."""
        parser = launch.parser(f"{self.description}, from a tuning job per method and seed.")
        self.add_flags(parser)
        self.add_remote_flags(parser)
        return parser


def launch_real(kind: RealKind, launch: Launch, entry_point: str, options: RemoteOptions | None) -> NoReturn:
    """Do what the command line asks for, and exit.

    Parameters
    ----------
    kind
        How trials run.
    launch
        What the folder says of methods and benchmarks.
    entry_point
        ``__file__`` of the folder's ``launch_remote.py``, or the path of its ``hpo_main.py``.
    options
        What else the folder says.
    """
    path = entry_path(entry_point)
    run_command(lambda given: _run(kind, launch, path, options or RemoteOptions(), given))


def jobs_at_a_time(arguments: Namespace, n_jobs: int) -> int:
    """How many of the tuning jobs may run at a time."""
    return min(n_jobs, arguments.max_parallel_jobs or n_jobs)


def tuning_jobs_text(arguments: Namespace, n_jobs: int, instance_type: str) -> str:
    """How many tuning jobs there will be, for people."""
    at_a_time = jobs_at_a_time(arguments, n_jobs)
    line = f", {at_a_time} at a time," if at_a_time < n_jobs else ""
    return f"{n_jobs} tuning jobs{line} on {instance_type}"


def _run(kind: RealKind, launch: Launch, path: Path, options: RemoteOptions, given: Sequence[str]) -> int:
    arguments, benchmark = begin_launch(launch, kind.remote_parser(launch), given)
    plan = launch.plan(arguments, benchmark, config_from(kind.config, arguments))
    ExperimentPlan(tuple(plan)).validated()
    dependencies = [Path(one) for one in (*options.dependencies, *arguments.dependencies)]
    check_travels(benchmark.script, path, dependencies)
    tuners = kind.tuners(arguments, benchmark, jobs_at_a_time(arguments, len(plan)))
    if vars(arguments).get("dry_run"):
        return show_dry_run(plan[0])
    packed = pack_warm_start(arguments.warm_start)
    code = bundle_remote(path, dependencies, files=packed, extras=needed_extras(arguments))
    say(f"{tuning_jobs_text(arguments, len(plan), tuners.instance_type)}, each of which {tuners.what}")
    settled = confirm(describe_jobs(tuners.place, tuners.settings), is_agreed=arguments.yes)
    inside = {**kind.flags_inside(settled), "warm_start": list(packed)}
    flags = [_flags(kind.hpo_main_parser(launch), arguments, experiment, inside) for experiment in plan]
    return launch_slices(
        [SlicePlan.of(experiment, line) for experiment, line in zip(plan, flags, strict=True)],
        arguments,
        place=settled,
        code=code,
        instance_type=tuners.instance_type,
        options=options,
    )


def _flags(
    hpo_main: Parser, arguments: Namespace, experiment: Experiment, inside: Mapping[str, Any]
) -> list[str]:
    """Of ``hpo_main.py`` in the tuning job of one experiment."""
    replaced = {
        "method": experiment.label,
        "start_seed": experiment.seed,
        "num_seeds": 1,
        "resume": True,
        "dependencies": [Path(one).name for one in arguments.dependencies],
        **inside,
    }
    return forwarded_flags(hpo_main, arguments, replaced)
