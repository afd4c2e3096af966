"""From a run to a CreateTrainingJob request: pure functions, so that every field is tested without a network."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tunewright.aws import has_gpu
from tunewright.backends.sagemaker.settings import LOGS, SageMakerSettings
from tunewright.exceptions import SettingsError
from tunewright.runner.checkpoints import SYNCED_FOLDER, synced_prefix
from tunewright.runner.contract import (
    CHECKPOINT_CHANNEL,
    CONFIG_CHANNEL,
    CONFIG_PARAMETER,
    RUN_VARIABLE,
    S3_VARIABLE,
    Mode,
)
from tunewright.trial import Run
from tunewright.types import Config, ConfigValue

EXPERIMENT_LENGTH: Final = 40
"""Of 63 characters that a job's name may have; the rest is for the three numbers."""

_DIGEST_LENGTH: Final = 6


@dataclass(frozen=True, slots=True)
class JobName:
    """Which retry of which run a job is."""

    trial_id: int
    attempt: int
    retry: int

    @property
    def run(self) -> str:
        """``{trial}-{attempt}-{retry}``, as in report and control keys."""
        return f"{self.trial_id}-{self.attempt}-{self.retry}"


def job_prefix(experiment: str) -> str:
    """The beginning of all job names of an experiment, without the last hyphen.

    Other characters than letters and digits become hyphens. A name that is changed by that, or too long, gets a
    digest of the original, so that two experiments never share a prefix.
    """
    plain = unicodedata.normalize("NFKD", experiment).encode("ascii", "ignore").decode("ascii")
    legal = re.sub(r"[^A-Za-z0-9]+", "-", plain).strip("-")
    if legal and legal == experiment and len(legal) <= EXPERIMENT_LENGTH:
        return legal
    digest = hashlib.sha256(experiment.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    kept = legal[: EXPERIMENT_LENGTH - _DIGEST_LENGTH - 1].rstrip("-")
    return f"{kept}-{digest}" if kept else f"t-{digest}"


def job_name(prefix: str, name: JobName) -> str:
    """The name of a job, at most 63 characters."""
    return f"{prefix}-{name.run}"


def parse_job_name(prefix: str, text: str) -> JobName | None:
    """Which run a job is; None for a job of something else."""
    match = re.fullmatch(rf"{re.escape(prefix)}-(\d+)-(\d+)-(\d+)", text)
    return JobName(int(match[1]), int(match[2]), int(match[3])) if match else None


HASH_VARIABLE: Final = "TUNEWRIGHT_HASH"
"""Environment variable and tag that tell two jobs of the same name apart."""
HASH_TAG: Final = "tunewright:hash"

CODE_CHANNEL: Final = "code"
CODE_FOLDER: Final = f"/opt/ml/input/data/{CODE_CHANNEL}"

_MAX_HYPERPARAMETERS: Final = 100
_MAX_NAME: Final = 256
_MAX_VALUE: Final = 2500
_MAX_ENVIRONMENT_VALUE: Final = 512
_MAX_TAG_VALUE: Final = 256
_LIST_FIELDS: Final[Mapping[str, str]] = {"InputDataConfig": "ChannelName", "Tags": "Key"}
"""Lists that are merged by the value of one member."""

_WITHOUT_NETWORK: Final[Mapping[str, str]] = {"PIP_NO_INDEX": "1"}
"""Lets pip say at once that a package is missing, instead of asking a network that is not there."""

_TYPE_NAMES: Final = ("instance_type", "st_instance_type")
_COUNT_NAMES: Final = ("instance_count", "st_instance_count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Where the jobs of one experiment run and where their files lie."""

    experiment: str
    job_prefix: str
    role_arn: str
    cpu_image: str
    gpu_image: str
    bucket: str
    prefix: str
    """Of all S3 objects of the experiment, without slashes at its ends."""
    code_prefix: str
    """Full key prefix of the code, ending in a slash."""

    @property
    def uri(self) -> str:
        """``s3://bucket/prefix/``."""
        return f"s3://{self.bucket}/{self.prefix}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOrder:
    """One retry of one run, as a job."""

    run: Run
    config: Config
    retry: int = 0
    cost_before: float = 0.0
    """Dollars of earlier retries."""
    instance_type: str = ""
    """The one of several listed types that was chosen; empty: that of the settings, or of the configuration."""
    dollars_per_hour: float = 0.0
    """Of all instances of the job together, on demand."""
    billed_share: float = 1.0
    """Part of the job's time that is taken to be billed: less than 1 on spot instances."""
    checkpoint_key: str = ""
    """What the keys of the checkpoint to begin with have in common, below the experiment's prefix, where an input channel
    brings it; empty: the runner fetches it, or there is none."""

    @property
    def name(self) -> JobName:
        """Which run and retry it is."""
        return JobName(self.run.trial_id, self.run.attempt, self.retry)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What to send, and what must lie in S3 before."""

    fields: Mapping[str, Any]
    """The CreateTrainingJob request."""
    config_key: str = ""
    """Key below the experiment's prefix of the configuration; empty where the request holds it."""
    config_body: bytes = b""
    refusal: str = ""
    """Why the run cannot have a job; empty: it can."""

    @property
    def hash(self) -> str:
        """What an existing job of that name must have, to be this one."""
        return str(self.fields["Environment"][HASH_VARIABLE])


def build_request(order: JobOrder, deployment: Deployment, settings: SageMakerSettings) -> JobRequest:
    """The CreateTrainingJob request of one retry of a run.

    Parameters
    ----------
    order
        The run.
    deployment
        Role, image, bucket, code.
    settings
        Instances, limits, template.

    Raises
    ------
    SettingsError
        The environment has a value that the service does not take.
    """
    if order.instance_type:
        settings = settings.on(order.instance_type)
    config = script_config(order, settings)
    text = json.dumps(config, separators=(",", ":"))
    is_inline = len(text) <= _MAX_VALUE
    config_key = "" if is_inline else f"configs/{order.name.run}.json"
    pointer = text if is_inline else deployment.uri + config_key
    digest = _digest(text, order)
    ours: dict[str, Any] = {
        "TrainingJobName": job_name(deployment.job_prefix, order.name),
        "RoleArn": deployment.role_arn,
        "AlgorithmSpecification": _algorithm(config, deployment, settings),
        "HyperParameters": _hyperparameters(config, pointer),
        "InputDataConfig": _channels(order, deployment, settings, config_key),
        "OutputDataConfig": {"S3OutputPath": deployment.uri + "output"},
        "ResourceConfig": _resources(config, settings),
        **_limits(settings),
        **_isolation(order, deployment, settings),
        "Environment": _environment(order, deployment, settings, digest),
        "Tags": _tags(order, deployment, settings, digest),
    }
    fields = merge(settings.request_template, ours)
    return JobRequest(
        fields=fields, config_key=config_key, config_body=b"" if is_inline else text.encode("ascii")
    )


def merge(template: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """``ours`` over ``template``: mappings member by member, channels and tags by their names."""
    merged = dict(template)
    for name, value in ours.items():
        below = merged.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[name] = merge(below, value)
        elif name in _LIST_FIELDS and below:
            key = _LIST_FIELDS[name]
            taken = {entry[key] for entry in value}
            merged[name] = [entry for entry in below if entry[key] not in taken] + list(value)
        else:
            merged[name] = value
    return merged


def instance_of(config: Config, settings: SageMakerSettings) -> tuple[str, int]:
    """Instance type and count of a job: a hyperparameter of that name wins over the settings."""
    instance_type = next((config[name] for name in _TYPE_NAMES if name in config), settings.instance_type)
    count = next((config[name] for name in _COUNT_NAMES if name in config), settings.instance_count)
    return str(instance_type), int(count)


def chooses_type(config: Config) -> bool:
    """Whether the configuration itself names the instance type."""
    return any(name in config for name in _TYPE_NAMES)


def _digest(config_text: str, order: JobOrder) -> str:
    content = json.dumps([config_text, order.run.until])
    return hashlib.sha256(content.encode("ascii")).hexdigest()[:32]


def script_config(order: JobOrder, settings: SageMakerSettings) -> dict[str, ConfigValue]:
    """What the script gets."""
    config = dict(order.config)
    if settings.until_as_max_resource and order.run.until is not None:
        config[settings.max_resource_attr] = order.run.until
    return config


def run_facts(order: JobOrder) -> dict[str, Any]:
    """What the runner is told of a run beside its configuration."""
    run = order.run
    source = run.from_checkpoint
    return {
        "trial_id": run.trial_id,
        "attempt": run.attempt,
        "retry": order.retry,
        "until": run.until,
        "resume_from": run.resume_from,
        "source": None if source is None else [source.trial_id, source.resource],
        "dollars_per_hour": order.dollars_per_hour * order.billed_share,
        "cost_before": round(order.cost_before, 6),
    }


def _algorithm(config: Config, deployment: Deployment, settings: SageMakerSettings) -> dict[str, Any]:
    instance_type, _ = instance_of(config, settings)
    mode = Mode.LOGS if settings.channel == LOGS else Mode.S3
    return {
        "TrainingImage": deployment.gpu_image if has_gpu(instance_type) else deployment.cpu_image,
        "TrainingInputMode": "File",
        "ContainerEntrypoint": ["python3"],
        "ContainerArguments": [f"{CODE_FOLDER}/runner.pyz", mode.value, "/opt/ml"],
    }


def _hyperparameters(config: Config, pointer: str) -> dict[str, str]:
    """The configuration for the runner, and for people what of it the service can show."""
    shown = {
        name: str(value)
        for name, value in config.items()
        if len(name) <= _MAX_NAME
        and _is_plain(name)
        and len(str(value)) <= _MAX_VALUE
        and _is_plain(str(value))
    }
    kept = dict(list(shown.items())[: _MAX_HYPERPARAMETERS - 1])
    return {**kept, CONFIG_PARAMETER: pointer}


def _is_plain(text: str) -> bool:
    """Printable characters on one line; what else there is travels in the JSON only."""
    return text.isprintable()


def _channels(
    order: JobOrder, deployment: Deployment, settings: SageMakerSettings, config_key: str
) -> list[dict[str, Any]]:
    """The code, and what a job brings along that cannot fetch it."""
    channels = [_channel(CODE_CHANNEL, f"s3://{deployment.bucket}/{deployment.code_prefix}")]
    if settings.channel == LOGS:
        if order.checkpoint_key:
            channels.append(_channel(CHECKPOINT_CHANNEL, deployment.uri + order.checkpoint_key))
        if config_key:
            channels.append(_channel(CONFIG_CHANNEL, deployment.uri + config_key))
    return channels


def _channel(name: str, uri: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }


def _isolation(order: JobOrder, deployment: Deployment, settings: SageMakerSettings) -> dict[str, Any]:
    """Where the service copies checkpoints to, and whether the job has a network."""
    fields: dict[str, Any] = {}
    if settings.channel == LOGS:
        fields["CheckpointConfig"] = {
            "S3Uri": deployment.uri + synced_prefix(order.run.trial_id, order.run.attempt, order.retry),
            "LocalPath": f"/opt/ml/{SYNCED_FOLDER}",
        }
    if settings.network_isolation:
        fields["EnableNetworkIsolation"] = True
    return fields


def _resources(config: Config, settings: SageMakerSettings) -> dict[str, Any]:
    instance_type, count = instance_of(config, settings)
    resources = {"InstanceType": instance_type, "InstanceCount": count, "VolumeSizeInGB": settings.volume_gb}
    if settings.keep_alive:
        resources["KeepAlivePeriodInSeconds"] = settings.keep_alive
    return resources


def _limits(settings: SageMakerSettings) -> dict[str, Any]:
    """How long the job may take, and whether it may be interrupted."""
    limits = {"MaxRuntimeInSeconds": settings.max_run_seconds}
    if not settings.spot:
        return {"StoppingCondition": limits}
    limits["MaxWaitTimeInSeconds"] = settings.max_wait
    return {"StoppingCondition": limits, "EnableManagedSpotTraining": True}


def _environment(
    order: JobOrder, deployment: Deployment, settings: SageMakerSettings, digest: str
) -> dict[str, str]:
    facts = run_facts(order) | ({"restarts": True} if settings.is_restartable else {})
    environment = {
        **(_WITHOUT_NETWORK if settings.network_isolation else {}),
        **settings.environment,
        RUN_VARIABLE: json.dumps(facts, separators=(",", ":")),
        **({} if settings.channel == LOGS else {S3_VARIABLE: deployment.uri}),
        HASH_VARIABLE: digest,
    }
    for name, value in environment.items():
        if len(value) > _MAX_ENVIRONMENT_VALUE:
            raise SettingsError(
                f"The environment variable {name} has {len(value)} characters; SageMaker takes {_MAX_ENVIRONMENT_VALUE}"
            )
    return environment


def _tags(
    order: JobOrder, deployment: Deployment, settings: SageMakerSettings, digest: str
) -> list[dict[str, str]]:
    tags = {
        **settings.tags,
        "tunewright:experiment": re.sub(r"[^\w .:/=+@-]", "-", deployment.experiment),
        "tunewright:trial": str(order.run.trial_id),
        HASH_TAG: digest,
    }
    return [{"Key": name, "Value": value[:_MAX_TAG_VALUE]} for name, value in tags.items()]
