"""``main`` of the ``hpo_main.py`` whose trials are processes on this machine."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.backends.local.config import LocalConfig
from tunewright.launchers.config_flags import config_from
from tunewright.launchers.exits import run_command
from tunewright.launchers.extra import ExtraArgs, MethodArgsMap
from tunewright.launchers.flags import add_local_flags
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
    methods
        Name -> `tunewright.experiments.method`, or a function ``(benchmark, seed, settings) -> Scheduler``.
    benchmark_definitions
        Name -> definition.
    extra_args
        Flags of the folder's own: mappings with ``name`` and what argparse's ``add_argument`` takes.
    map_method_args
        ``(arguments, method name, settings) -> settings``; by default a flag that is named as a setting of a method
        reaches that method.
    """
    launch = Launch(
        methods=methods,
        definitions=benchmark_definitions,
        extra_args=extra_args or (),
        map_method_args=map_method_args,
    )
    run_command(lambda given: _run(launch, given))


def _run(launch: Launch, given: Sequence[str]) -> int:
    parser = launch.parser("Tune a benchmark's training script with processes on this machine.")
    add_local_flags(parser)
    arguments, benchmark = begin_launch(launch, parser, given)
    plan = launch.plan(arguments, benchmark, config_from(LocalConfig, arguments))
    return run_and_report(plan, resume=arguments.resume, is_verbose=arguments.verbose)
