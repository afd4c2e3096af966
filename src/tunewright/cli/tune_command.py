"""``tunewright tune``: any script or function, any method, any backend, no Python needed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from tunewright.backends.plugin import BackendPlugin, backend_names, find_backend
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, Limits, MethodSpec, method
from tunewright.launchers.config_flags import add_config_flags, config_from
from tunewright.launchers.confirm import settle, show_dry_run
from tunewright.launchers.console import set_up_logging
from tunewright.launchers.flags import (
    add_limit_flags,
    add_run_flags,
    add_script_flags,
    limits_from,
    with_script_flags,
)
from tunewright.launchers.launch import run_and_report, show_safe_tag
from tunewright.launchers.parser import Parser, natural, positive_int
from tunewright.launchers.remote import add_remote_flags
from tunewright.launchers.remote_tune import launch_experiment
from tunewright.metric import Goal, metrics_from
from tunewright.space import load_space
from tunewright.types import Json

DEFAULT_WORKERS = 4


def run(arguments: Sequence[str]) -> int:
    """Tune a script."""
    given = _parser(_chosen_backend(arguments)).read(arguments)
    set_up_logging(is_verbose=given.verbose)
    _check_flags(given)
    experiment = _experiment(given)
    experiment.build_scheduler()
    if given.remote:
        show_safe_tag(experiment.tag)
        given.experiment_tag = experiment.tag
        return launch_experiment(experiment, given)
    if given.dry_run:
        return show_dry_run(experiment)
    experiment = settle(experiment, is_agreed=given.yes)
    show_safe_tag(experiment.tag)
    return run_and_report([experiment], resume=given.resume, is_verbose=given.verbose)


def _chosen_backend(arguments: Sequence[str]) -> str:
    """The backend of a command line, read before its other flags, which depend on it."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, equals, value = argument.partition("=")
        if name == "--backend":
            return value if equals else following
    return "local"


def _script_backends() -> dict[str, BackendPlugin[Any]]:
    """All backends that run scripts."""
    plugins = {name: find_backend(name) for name in backend_names()}
    return {name: plugin for name, plugin in plugins.items() if not plugin.config.is_simulated}


def _parser(backend: str) -> Parser:
    parser = Parser(
        "tunewright tune",
        "Tune a script that takes its hyperparameters as --name value and prints one line per report.",
    )
    parser.positional("script", "path of a script, or module:name of a function")
    parser.flag("space", "TOML file with one table per hyperparameter", required=True)
    _add_metric_flags(parser)
    parser.flag("resource", "key of the resource in reports, such as epoch (default: reports are counted)")
    parser.flag("max_resource", "resource of a full run", type=positive_int)
    parser.flag("max_resource_attr", "the script's argument that says how far a full run goes")
    parser.flag("method", "see tunewright methods (default: RandomSearch)", default="RandomSearch")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of the method; may be repeated",
    )
    parser.flag("seed", "of all random numbers (default: 0)", type=natural, default=0)
    plugins = _script_backends()
    parser.flag("backend", "where trials run (default: local)", choices=tuple(plugins), default="local")
    parser.flag("experiment_tag", "name shared by what belongs together (default: the script's name)")
    parser.switch("resume", "skip what is finished under this tag, continue what was interrupted")
    add_limit_flags(parser)
    add_run_flags(parser)
    add_script_flags(parser)
    _add_backend_flags(parser, plugins, backend)
    return parser


def _add_backend_flags(parser: Parser, plugins: Mapping[str, BackendPlugin[Any]], backend: str) -> None:
    """Flags of all backends, first those of the chosen one."""
    for plugin in sorted(plugins.values(), key=lambda plugin: plugin.name != backend):
        add_config_flags(parser, plugin.config, known=parser.defaults())
    parser.switch("yes", "do not ask before something that costs money is created")
    parser.switch("dry_run", "print the request that begins the first trial, and create nothing")
    parser.switch("remote", "run the experiment in a training job of its own: see 'tunewright remote'")
    add_remote_flags(
        parser,
        default_instance="; ".join(
            f"{plugin.config.tuner_instance_type} with --backend {name}"
            for name, plugin in plugins.items()
            if plugin.config.tuner_instance_type
        ),
        instance_flag="tuner_instance_type",
    )


def _check_flags(given: Namespace) -> None:
    """Refuse flags that would be without effect."""
    if given.remote:
        return
    tuning_jobs = Parser("", "")
    add_remote_flags(tuning_jobs, default_instance="", instance_flag="tuner_instance_type")
    for name, default in tuning_jobs.defaults().items():
        if name != "help" and getattr(given, name) != default:
            raise SettingsError(f"--{name} is for tuning jobs: add --remote")
    plugins = _script_backends()
    chosen = {field.name for field in fields(plugins[given.backend].config)}
    for plugin in plugins.values():
        flags = Parser("", "")
        add_config_flags(flags, plugin.config, known=chosen)
        for name, default in flags.defaults().items():
            if name != "help" and getattr(given, name) != default:
                raise SettingsError(f"--{name} is for the {plugin.name} backend: add --backend {plugin.name}")


def _add_metric_flags(parser: Parser) -> None:
    parser.add_argument(
        "--metric",
        action="append",
        required=True,
        metavar="METRIC",
        help="the reported value that is tuned; several with commas or by repetition",
    )
    parser.add_argument(
        "--goal",
        action="append",
        metavar="{min,max}",
        help="of the metric; with several one for all, or one for each (default: min)",
    )


def _experiment(given: Namespace) -> Experiment:
    name = given.script.rpartition(":")[2] if ":" in given.script else Path(given.script).stem
    benchmark = RealBenchmarkDefinition(
        name=name,
        script=_absolute(given.script),
        space=load_space(given.space),
        metrics=metrics_from(given.metric, given.goal or Goal.MINIMIZE),
        n_workers=given.n_workers or DEFAULT_WORKERS,
        resource_attr=given.resource,
        max_resource=given.max_resource,
        max_resource_attr=given.max_resource_attr,
    )
    benchmark = with_script_flags(benchmark, given)
    chosen = _method(given)
    return Experiment(
        tag=given.experiment_tag or name,
        benchmark=benchmark,
        method=chosen,
        label=chosen.name,
        backend=config_from(find_backend(given.backend).config, given),
        seed=given.seed,
        random_seed=given.random_seed,
        warm_start=tuple(given.warm_start),
        max_num_checkpoints=given.max_num_checkpoints,
        tensorboard=given.tensorboard,
        limits=limits_from(given, Limits()),
        delete_checkpoints=given.delete_checkpoints,
    )


def _method(given: Namespace) -> MethodSpec:
    settings: dict[str, Json] = {}
    for pair in given.set:
        name, equals, value = pair.partition("=")
        if not equals:
            raise SettingsError(f"--set takes NAME=VALUE, not {pair!r}")
        settings[name] = value
    return method(given.method, **settings)


def _absolute(script: str) -> str:
    """A script's absolute path, so that resuming works from anywhere; ``module:name`` stays."""
    place, colon, name = script.rpartition(":")
    if not colon:
        return str(Path(script).absolute())
    return f"{Path(place).absolute()}:{name}" if place.endswith(".py") else script
