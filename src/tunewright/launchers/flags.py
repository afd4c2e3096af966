"""The flags that several commands share, and what they become."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from tunewright.backends.local.config import LocalConfig
from tunewright.backends.sagemaker.config import SageMakerConfig, TuningJobPlace
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.experiments import Limits
from tunewright.launchers.config_flags import add_config_flags, name_value_pairs
from tunewright.launchers.parser import Parser, natural, positive, positive_int


def add_limit_flags(parser: Parser) -> None:
    """Workers and limits; without them the benchmark's own hold."""
    parser.flag("n_workers", "trials at the same time (default: the benchmark's)", type=positive_int)
    parser.flag("max_wallclock_time", "seconds of tuning (default: the benchmark's)", type=positive)
    parser.flag("max_num_trials", "trials to start", type=positive_int)
    parser.flag("max_num_evaluations", "reports to take (default: the benchmark's)", type=positive_int)
    parser.flag("max_cost", "dollars of all trials, resumed work included", type=positive)
    parser.flag(
        "stop_when_regret_below",
        "end when a model bounds what is still to be gained by so much, on the metric's scale",
        type=positive,
    )
    parser.flag(
        "max_failures", "trials that may fail; one more ends the experiment (default: 3)", type=natural
    )


def add_run_flags(parser: Parser) -> None:
    """What else decides how an experiment runs."""
    parser.flag("random_seed", "master seed, added to each seed (default: 0)", type=natural, default=0)
    parser.repeated(
        "warm_start", "TAG", "an earlier experiment to learn from: its tag or name, or a file of evaluations"
    )
    parser.switch("delete_checkpoints", "remove checkpoints as soon as no trial can need them")
    parser.flag(
        "max_num_checkpoints",
        "checkpoints of paused trials to keep: those that are likely and costly to be missed (default: all)",
        type=positive_int,
    )
    parser.switch("tensorboard", "write event files for TensorBoard into the folder of each experiment")
    parser.switch("verbose", "show what happens inside, and tracebacks")


def add_script_flags(parser: Parser) -> None:
    """What trials get beside their hyperparameters."""
    parser.repeated(
        "inputs", "NAME=PLACE", "input folder, as SM_CHANNEL_NAME: s3://..., or a path for processes"
    )
    parser.repeated("environment", "NAME=VALUE", "environment variable of each trial")
    parser.repeated("dependencies", "PATH", "folder or file that the script imports")
    parser.switch("config_json", "give the script its configuration as --config_json FILE")


def with_script_flags(benchmark: RealBenchmarkDefinition, arguments: Namespace) -> RealBenchmarkDefinition:
    """A benchmark whose trials get what the flags say, beside their hyperparameters.

    Raises
    ------
    SettingsError
        A text is not of the form ``NAME=VALUE``, or there is no such dependency.
    """
    for one in arguments.dependencies:
        if not Path(one).exists():
            raise SettingsError(
                f"--dependencies: there is no dependency {one}: give files and folders of this machine"
            )
    dependencies = (str(Path(one).absolute()) for one in arguments.dependencies)
    return benchmark.replace(
        environment={
            **benchmark.environment,
            **name_value_pairs("environment", arguments.environment),
        },
        inputs={**benchmark.inputs, **name_value_pairs("inputs", arguments.inputs)},
        dependencies=(*benchmark.dependencies, *dependencies),
        config_json=benchmark.config_json or arguments.config_json,
    )


def add_local_flags(parser: Parser) -> None:
    """Flags of the local backend."""
    add_config_flags(parser, LocalConfig)


def add_sagemaker_flags(parser: Parser) -> None:
    """Flags of the SageMaker backend."""
    add_config_flags(parser, SageMakerConfig)
    parser.switch("yes", "do not ask before something is created on AWS")
    parser.switch("dry_run", "print the first trial's CreateTrainingJob request, and create nothing")


def add_place_flags(parser: Parser) -> None:
    """Flags that say where tuning jobs run."""
    add_config_flags(parser, TuningJobPlace)
    parser.switch("yes", "do not ask before something is created on AWS")


def add_simulated_flags(parser: Parser) -> None:
    """What the simulated backend alone understands."""
    parser.flag("n_jobs", "processes that run cells (default: one per processor)", type=positive_int)
    add_config_flags(parser, SimulatedConfig)
    parser.switch("restrict_configurations", "suggest only configurations that were recorded")
    parser.switch(
        "scale_max_wallclock_time",
        "fewer workers get more time: times the benchmark's workers over --n_workers, if that is more than 1",
    )
    parser.switch("export", "write results.csv.zip of each cell beside its journal")


def limits_from(arguments: Namespace, default: Limits) -> Limits:
    """Limits as the flags say; ``default`` where they say nothing.

    Raises
    ------
    SettingsError
        A limit cannot work.
    """
    return default.replace(
        max_wallclock_time=arguments.max_wallclock_time,
        max_num_trials=arguments.max_num_trials,
        max_num_evaluations=arguments.max_num_evaluations,
        max_cost=arguments.max_cost,
        stop_when_regret_below=arguments.stop_when_regret_below,
        max_failures=arguments.max_failures,
    )
