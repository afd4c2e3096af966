"""The flags that several commands share, and what they become."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tunewright.backends.sagemaker.settings import CHANNELS
from tunewright.exceptions import SettingsError
from tunewright.experiments import (
    EXECUTIONS,
    Limits,
    LocalChoice,
    SageMakerChoice,
    ScriptOptions,
    SimulatedChoice,
)
from tunewright.launchers.parser import Parser, natural, parse_bool, positive, positive_int


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


def script_options(arguments: Namespace) -> ScriptOptions:
    """What trials get, as the flags say.

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
    return ScriptOptions(
        environment=pairs("environment", arguments.environment),
        inputs=pairs("inputs", arguments.inputs),
        dependencies=tuple(str(Path(one).absolute()) for one in arguments.dependencies),
        config_json=arguments.config_json,
    )


def pairs(flag: str, given: Sequence[str]) -> dict[str, str]:
    """``NAME=VALUE`` texts as a mapping.

    Raises
    ------
    SettingsError
        A text has another form.
    """
    parts = [text.partition("=") for text in given]
    for name, equals, value in parts:
        if not name or not equals:
            raise SettingsError(f"--{flag} takes NAME=VALUE, not {name + value!r}")
    return {name: value for name, _, value in parts}


def _template(arguments: Namespace) -> dict[str, Any]:
    """VPC and keys, as fields of a CreateTrainingJob request."""
    template: dict[str, Any] = {}
    if arguments.kms_key:
        template["OutputDataConfig"] = {"KmsKeyId": arguments.kms_key}
        template["ResourceConfig"] = {"VolumeKmsKeyId": arguments.kms_key}
    if bool(arguments.subnets) != bool(arguments.security_group_ids):
        raise SettingsError("A VPC needs both: --subnets and --security_group_ids")
    if arguments.subnets:
        groups = arguments.security_group_ids.split(",")
        template["VpcConfig"] = {"Subnets": arguments.subnets.split(","), "SecurityGroupIds": groups}
    return template


def add_local_flags(parser: Parser) -> None:
    """What the local backend alone understands."""
    parser.flag(
        "num_gpus_per_trial",
        "GPUs of each trial, where there are any (default: 1)",
        type=positive_int,
        default=1,
    )


def add_sagemaker_flags(parser: Parser) -> None:
    """What the SageMaker backend alone understands."""
    parser.switch(
        "warm_pool", "keep instances between trials: the next one starts in seconds; idle time is billed"
    )
    parser.switch(
        "spot", "run trials on spot instances: cheaper; interrupted ones go on from their checkpoints"
    )
    parser.flag(
        "max_wait",
        "seconds that a spot job may take with its waits (default: a day more than --max_run)",
        type=positive_int,
    )
    parser.flag(
        "execution",
        "jobs: a training job per run; workers: a few long jobs that take run after run; auto: workers where jobs"
        " cannot keep all busy (default: auto)",
        choices=EXECUTIONS,
        default="auto",
    )
    parser.flag(
        "channel",
        "s3: jobs report through S3; logs: through their logs, so that they need no network (default: s3, and logs with"
        " --network_isolation)",
        choices=CHANNELS,
    )
    parser.flag(
        "trials_per_instance",
        "trials at the same time on each instance of workers (default: one per GPU, or one)",
        type=positive_int,
    )
    parser.flag(
        "instance_type",
        "of each training job, such as ml.c5.xlarge; several with commas: where one lacks capacity, the next is taken"
        " (default: the benchmark's)",
    )
    parser.flag("max_run", "seconds after which a training job is cut (default: a day)", type=positive_int)
    parser.flag("volume_gb", "disk of each instance (default: 30)", type=positive_int)
    _add_network_flags(parser)
    add_place_flags(parser)
    parser.switch("dry_run", "print the first trial's CreateTrainingJob request, and create nothing")


def _add_network_flags(parser: Parser) -> None:
    """What protects jobs, and what they are known by."""
    parser.switch("network_isolation", "let jobs reach no network, S3 included")
    parser.flag("subnets", "of your VPC, with commas")
    parser.flag("security_group_ids", "of your VPC, with commas")
    parser.flag("kms_key", "that encrypts disks and what jobs write")
    parser.repeated("tags", "NAME=VALUE", "an AWS tag of each training job")


def add_place_flags(parser: Parser) -> None:
    """Where training jobs run, and as what."""
    parser.flag(
        "endpoint",
        "auto: AWS where credentials are found, else embedded; aws; embedded: an endpoint on this machine; or a URL",
        default="auto",
    )
    parser.flag("speed", "service seconds per second of the embedded endpoint (default: 60)", type=positive)
    parser.flag("region", "of AWS (default: as boto3 finds it)")
    parser.flag(
        "role", "that jobs run as (default: $TUNEWRIGHT_SAGEMAKER_ROLE, else the account's SageMaker role)"
    )
    parser.flag("bucket", "that holds code, reports and checkpoints (default: sagemaker-REGION-ACCOUNT)")
    parser.flag("image_uri", "container image of the jobs (default: by framework and region)")
    parser.switch("yes", "do not ask before something is created on AWS")


def add_simulated_flags(parser: Parser) -> None:
    """What the simulated backend alone understands."""
    parser.flag("n_jobs", "processes that run cells (default: one per processor)", type=positive_int)
    parser.flag(
        "profile",
        "delays: default (processes on one machine), ideal (none), sagemaker (training jobs)",
        choices=("default", "ideal", "sagemaker"),
        default="default",
    )
    parser.flag(
        "keep_alive",
        "simulated seconds that an instance waits for the next trial, which then starts warm",
        type=positive,
        default=0.0,
    )
    parser.flag("dollars_per_hour", "price of an instance", type=positive, default=0.0)
    parser.flag(
        "support_checkpointing",
        "0: a resumed trial begins anew (default: 1)",
        type=parse_bool,
        default=True,
    )
    parser.switch("charge_suggest_time", "count the real seconds of deciding; then no run repeats exactly")
    parser.switch("restrict_configurations", "suggest only configurations that were recorded")
    parser.switch(
        "scale_max_wallclock_time",
        "fewer workers get more time: times the benchmark's workers over --n_workers, if that is more than 1",
    )
    parser.switch("export", "write results.csv.zip of each cell beside its journal")


def simulated_choice(arguments: Namespace) -> SimulatedChoice:
    """The simulated backend as the flags say."""
    return SimulatedChoice(
        profile=arguments.profile,
        keep_alive=arguments.keep_alive,
        dollars_per_hour=arguments.dollars_per_hour,
        checkpoints=arguments.support_checkpointing,
        charge_suggest_time=arguments.charge_suggest_time,
    )


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


def local_choice(arguments: Namespace) -> LocalChoice:
    """The local backend as the flags say."""
    return LocalChoice(gpus_per_trial=arguments.num_gpus_per_trial, script=script_options(arguments))


def place_choice(arguments: Namespace, instance_type: str) -> SageMakerChoice:
    """Where tuning jobs run, as the flags say."""
    return SageMakerChoice(
        endpoint=arguments.endpoint,
        region=arguments.region,
        speed=arguments.speed,
        role=arguments.role,
        bucket=arguments.bucket,
        image_uri=arguments.image_uri,
        instance_type=instance_type,
    )


def sagemaker_choice(arguments: Namespace) -> SageMakerChoice:
    """The SageMaker backend as the flags say."""
    return SageMakerChoice(
        endpoint=arguments.endpoint,
        region=arguments.region,
        speed=arguments.speed,
        role=arguments.role,
        bucket=arguments.bucket,
        image_uri=arguments.image_uri,
        instance_type=arguments.instance_type,
        execution=arguments.execution,
        trials_per_instance=arguments.trials_per_instance,
        channel=arguments.channel,
        network_isolation=arguments.network_isolation,
        warm_pool=arguments.warm_pool,
        spot=arguments.spot,
        max_wait=arguments.max_wait,
        volume_gb=arguments.volume_gb,
        max_run=arguments.max_run,
        tags=pairs("tags", arguments.tags),
        request_template=_template(arguments),
        script=script_options(arguments),
    )
