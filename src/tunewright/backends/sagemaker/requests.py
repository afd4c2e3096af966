"""CreateTrainingJob requests of runs and of workers: pure functions, so that every field is tested without a network."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tunewright.aws import has_gpu
from tunewright.backends.engine.job_service import JobOrder
from tunewright.backends.engine.worker_jobs import WorkerJobOrder
from tunewright.backends.s3.code import RUNNER
from tunewright.backends.s3.orders import run_facts, script_config
from tunewright.backends.sagemaker.config import LOGS
from tunewright.backends.sagemaker.settings import SPOT_WAIT_SECONDS, JobSettings
from tunewright.backends.sagemaker.template import (
    CODE_CHANNEL,
    input_channel,
    merge,
    without_key_of_local_disks,
)
from tunewright.exceptions import SettingsError
from tunewright.runner.checkpoints import SYNCED_FOLDER, synced_prefix
from tunewright.runner.contract import (
    CHECKPOINT_CHANNEL,
    CODE_VARIABLE,
    CONFIG_CHANNEL,
    CONFIG_PARAMETER,
    RUN_VARIABLE,
    S3_VARIABLE,
    WORKER_VARIABLE,
    BucketTerms,
    Mode,
)
from tunewright.runner.training_job import CHANGED_CODE
from tunewright.types import Config

EXPERIMENT_LENGTH: Final = 40
"""Of 63 characters that a job's name may have; the rest is for the three numbers."""

_DIGEST_LENGTH: Final = 6
LONGEST_PREFIX: Final = EXPERIMENT_LENGTH - _DIGEST_LENGTH - 1
"""Characters of an experiment's name with which its job names and S3 prefix begin, however long it is."""


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
    kept = legal[:LONGEST_PREFIX].rstrip("-")
    return f"{kept}-{digest}" if kept else f"t-{digest}"


def job_name(prefix: str, key: str) -> str:
    """The name of a job, at most 63 characters.

    Parameters
    ----------
    prefix
        From :func:`job_prefix`.
    key
        ``{trial}-{attempt}-{retry}``.
    """
    return f"{prefix}-{key}"


def parse_job_name(prefix: str, text: str) -> str | None:
    """The key of a job's name; None for a job of another experiment."""
    match = re.fullmatch(rf"{re.escape(prefix)}-(\d+-\d+-\d+)", text)
    return match[1] if match else None


HASH_VARIABLE: Final = "TUNEWRIGHT_HASH"
"""Environment variable and tag that tell two jobs of the same name apart: hash of the request, and id of the session."""
HASH_TAG: Final = "tunewright:hash"
EXPERIMENT_TAG: Final = "tunewright:experiment"

_RUNNER_FILE: Final = f"/opt/ml/input/data/{CODE_CHANNEL}/{RUNNER}"
_CHECKED_RUNNER: Final = (
    "import hashlib,runpy,sys;_,d,p,*a=sys.argv;sys.argv=[p,*a];sys.path[0]=p;"
    "hashlib.sha256(open(p,'rb').read()).hexdigest()==d or "
    "sys.exit(open(a[1]+'/output/failure','w').write('CODE'));runpy.run_path(p,None,'__main__')"
).replace("CODE", CHANGED_CODE)
"""Python that runs a zipapp if its SHA-256 is the first argument. The service takes 256 characters, without line breaks."""

_MAX_HYPERPARAMETERS: Final = 100
_MAX_NAME: Final = 256
_MAX_VALUE: Final = 2500
_MAX_ENVIRONMENT_VALUE: Final = 512
_MAX_TAG_VALUE: Final = 256
_MAX_METRICS: Final = 40
_MAX_METRIC_NAME: Final = 255
_MAX_REGEX: Final = 500
_NOT_IN_CLOUDWATCH: Final = re.compile(r"[^A-Za-z0-9_ .:/#-]")
_REPORT: Final = r"\[tune-metric\]:\s*\{.*?"
"""Beginning of the line that a report prints, up to one of its values."""
_NUMBER: Final = r":\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)"
_WITHOUT_NETWORK: Final[Mapping[str, str]] = {"PIP_NO_INDEX": "1"}
"""Lets pip say at once that a package is missing, instead of asking a network that is not there."""

TYPE_NAMES: Final = ("instance_type", "st_instance_type")
_COUNT_NAMES: Final = ("instance_count", "st_instance_count")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """Account, images and S3 prefixes of one experiment's jobs."""

    experiment: str
    job_prefix: str
    role_arn: str
    cpu_image: str
    gpu_image: str
    bucket: str
    prefix: str
    """Of all S3 objects of the experiment, without slashes at its ends."""
    code_prefix: str
    """Full key prefix of the code, ending in a slash; it holds the hash of the code."""
    code_sha256: str
    runner_sha256: str
    session: str = ""
    """Random id of the tuner process, which distinguishes its jobs from those of another one; empty in dry runs."""
    bucket_terms: BucketTerms = BucketTerms()

    @property
    def s3_variables(self) -> dict[str, str]:
        """Environment of a runner that uses the bucket."""
        return {S3_VARIABLE: self.uri, **self.bucket_terms.to_environment()}

    @property
    def uri(self) -> str:
        """``s3://bucket/prefix/``."""
        return f"s3://{self.bucket}/{self.prefix}/"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParameters:
    """Parameters of workers that are the same for all jobs of an experiment; durations are real seconds."""

    slots: int
    """Runs at the same time on each instance."""
    lease_seconds: float
    take_seconds: float
    hand_over_seconds: float
    abandon_seconds: float
    job_seconds: int
    """MaxRuntimeInSeconds of a job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A request, and the object that it needs in S3."""

    fields: Mapping[str, Any]
    """The CreateTrainingJob request."""
    config_key: str = ""
    """Key below the experiment's prefix of the configuration; empty if the request holds it."""
    config_body: bytes = b""
    refusal: str = ""
    """Why the run cannot have a job; empty: it can."""

    def created(self, job: Mapping[str, Any], *, by_any_session: bool = False) -> bool:
        """Whether this request created an existing job.

        Parameters
        ----------
        job
            Answer of DescribeTrainingJob.
        by_any_session
            Also accept a job that an earlier session created by the same request.
        """
        ours = str(self.fields["Environment"][HASH_VARIABLE])
        theirs = str(job.get("Environment", {}).get(HASH_VARIABLE, ""))
        return theirs == ours or (by_any_session and theirs.partition("-")[0] == ours.partition("-")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class _JobParts:
    """The parts of a request in which jobs differ."""

    key: str
    config: Config
    until: int | None
    trial_tag: str
    mode: Mode
    variables: Mapping[str, str]
    """Environment of the runner."""
    limits: Mapping[str, int]
    """StoppingCondition."""


def build_request(order: JobOrder, deployment: Deployment, settings: JobSettings) -> JobRequest:
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
    facts = run_facts(order) | ({"restarts": True} if settings.is_restartable else {})
    is_isolated = settings.channel == LOGS
    parts = _JobParts(
        key=order.name.key,
        config=script_config(order, settings.benchmark),
        until=order.run.until,
        trial_tag=str(order.run.trial_id),
        mode=Mode.LOGS if is_isolated else Mode.S3,
        variables={RUN_VARIABLE: _compact(facts)} | ({} if is_isolated else deployment.s3_variables),
        limits=_limits(settings),
    )
    request = _request(parts, deployment, settings)
    if not is_isolated:
        return request
    isolated = {
        "InputDataConfig": _channels_of_isolated(order, deployment, request.config_key),
        "CheckpointConfig": {
            "S3Uri": deployment.uri + synced_prefix(order.run.trial_id, order.run.attempt, order.retry),
            "LocalPath": f"/opt/ml/{SYNCED_FOLDER}",
        },
    }
    return replace(request, fields=merge(request.fields, isolated))


def build_worker_request(
    order: WorkerJobOrder, deployment: Deployment, settings: JobSettings, workers: WorkerParameters
) -> JobRequest:
    """The CreateTrainingJob request of a job of workers.

    Parameters
    ----------
    order
        The job.
    deployment
        Role, image, bucket, code; from :func:`worker_deployment`.
    settings
        Instances and template; ``max_run`` is that of a run.
    workers
        Of all workers.

    Raises
    ------
    SettingsError
        The environment has a value that the service does not take.
    """
    if order.instance_type:
        settings = settings.on(order.instance_type)
    facts = {
        "number": order.number,
        "slots": workers.slots,
        "lease_seconds": workers.lease_seconds,
        "take_seconds": workers.take_seconds,
        "hand_over_seconds": workers.hand_over_seconds,
        "abandon_seconds": workers.abandon_seconds,
        "max_run_seconds": settings.max_run,
    }
    limits = {"MaxRuntimeInSeconds": workers.job_seconds}
    if settings.config.spot:
        limits["MaxWaitTimeInSeconds"] = settings.config.max_wait or workers.job_seconds + SPOT_WAIT_SECONDS
    parts = _JobParts(
        key=order.key,
        config=order.config,
        until=None,
        trial_tag=str(order.number),
        mode=Mode.WORKER,
        variables={**deployment.s3_variables, WORKER_VARIABLE: _compact(facts)},
        limits=limits,
    )
    return _request(parts, deployment, settings)


def worker_deployment(deployment: Deployment) -> Deployment:
    """The deployment with a prefix of its own for the names of jobs of workers."""
    return replace(deployment, job_prefix=worker_prefix(deployment.job_prefix))


def worker_prefix(prefix: str) -> str:
    """The beginning of the names of an experiment's jobs of workers, from that of all its jobs."""
    return f"{prefix}-w"


def tag_value(experiment: str) -> str:
    """Value of a job's tag :data:`EXPERIMENT_TAG`."""
    return re.sub(r"[^\w .:/=+@-]", "-", experiment)[:_MAX_TAG_VALUE]


def _request(parts: _JobParts, deployment: Deployment, settings: JobSettings) -> JobRequest:
    text = _compact(parts.config)
    is_inline = len(text) <= _MAX_VALUE
    config_key = "" if is_inline else f"configs/{parts.key}.json"
    ours: dict[str, Any] = {
        "TrainingJobName": job_name(deployment.job_prefix, parts.key),
        "RoleArn": deployment.role_arn,
        "AlgorithmSpecification": _algorithm(parts, deployment, settings),
        "HyperParameters": _hyperparameters(parts.config, text if is_inline else deployment.uri + config_key),
        "InputDataConfig": [
            input_channel(CODE_CHANNEL, f"s3://{deployment.bucket}/{deployment.code_prefix}")
        ],
        "OutputDataConfig": {"S3OutputPath": deployment.uri + "output"},
        "ResourceConfig": _resources(parts.config, settings),
        "StoppingCondition": dict(parts.limits),
        **({"EnableManagedSpotTraining": True} if settings.config.spot else {}),
        **({"EnableNetworkIsolation": True} if settings.network_isolation else {}),
        "Environment": {**_environment(parts, settings), CODE_VARIABLE: deployment.code_sha256},
        "Tags": _tags(parts, deployment, settings),
    }
    fields = without_key_of_local_disks(merge(settings.request_template, ours))
    digest = _hash(fields, text, parts.until, deployment.session)
    fields["Environment"] = {**fields["Environment"], HASH_VARIABLE: digest}
    fields["Tags"] = [*fields["Tags"], {"Key": HASH_TAG, "Value": digest}]
    return JobRequest(
        fields=fields, config_key=config_key, config_body=b"" if is_inline else text.encode("ascii")
    )


def _hash(fields: Mapping[str, Any], config: str, until: int | None, session: str) -> str:
    """Hash of a request, in hexadecimal digits, with the id of the session.

    It covers the code, the image, the instances, the configuration and all other fields but the description of the run, which
    holds the costs so far.
    """
    environment = {name: value for name, value in fields["Environment"].items() if name != RUN_VARIABLE}
    covered = [{**fields, "Environment": environment}, config, until]
    digest = hashlib.sha256(json.dumps(covered, sort_keys=True).encode("ascii")).hexdigest()[:32]
    return f"{digest}-{session}" if session else digest


def _compact(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"))


def instance_of(config: Config, settings: JobSettings) -> tuple[str, int]:
    """Instance type and count of a job: a hyperparameter of that name wins over the settings.

    Raises
    ------
    SettingsError
        The hyperparameter for the count is no integer >= 1.
    """
    instance_type = next((config[name] for name in TYPE_NAMES if name in config), settings.instance_type)
    name = next((name for name in _COUNT_NAMES if name in config), None)
    if name is None:
        return str(instance_type), settings.benchmark.instance_count
    count = config[name]
    if not isinstance(count, int) or count < 1:
        raise SettingsError(
            f"The hyperparameter {name!r} is the number of instances of a job: {count!r} is no integer >= 1"
        )
    return str(instance_type), count


def chooses_count(config: Config) -> bool:
    """Whether the configuration itself gives the number of instances."""
    return any(name in config for name in _COUNT_NAMES)


def chooses_type(config: Config) -> bool:
    """Whether the configuration itself names the instance type."""
    return any(name in config for name in TYPE_NAMES)


def _algorithm(parts: _JobParts, deployment: Deployment, settings: JobSettings) -> dict[str, Any]:
    instance_type, _ = instance_of(parts.config, settings)
    metrics = [] if parts.mode is Mode.WORKER else _metric_definitions(settings)
    return {
        "TrainingImage": deployment.gpu_image if has_gpu(instance_type) else deployment.cpu_image,
        "TrainingInputMode": "File",
        **runner_command(deployment.runner_sha256, parts.mode),
        **({"MetricDefinitions": metrics} if metrics else {}),
    }


def _metric_definitions(settings: JobSettings) -> list[dict[str, str]]:
    """Regular expressions by which the service finds the metrics and the resource in the log's lines of reports.

    The template's own definitions come first, and win if they have the same name. Names that CloudWatch may not take are
    changed: it takes ASCII characters.
    """
    if not settings.config.metric_definitions:
        return []
    given = settings.request_template.get("AlgorithmSpecification", {}).get("MetricDefinitions", ())
    taken = {definition["Name"] for definition in given}
    benchmark, found = settings.benchmark, dict[str, str]()
    for metric in (*(metric.name for metric in benchmark.metrics), benchmark.resource_attr or ""):
        name = _NOT_IN_CLOUDWATCH.sub("_", metric)[:_MAX_METRIC_NAME].lstrip(":")
        expression = f"{_REPORT}{re.escape(json.dumps(metric))}{_NUMBER}"
        if name and name not in taken and len(expression) <= _MAX_REGEX:
            found.setdefault(name, expression)
    room = max(0, _MAX_METRICS - len(taken))
    return [{"Name": name, "Regex": expression} for name, expression in list(found.items())[:room]]


def runner_command(sha256: str, mode: Mode) -> dict[str, Any]:
    """Members of the AlgorithmSpecification that start the runner.

    A runner in S3 that was changed is not started: it would have the rights of the job's role.

    Parameters
    ----------
    sha256
        Of the runner, in hexadecimal digits.
    mode
        Its program.
    """
    arguments = ["-c", _CHECKED_RUNNER, sha256, _RUNNER_FILE, mode.value, "/opt/ml"]
    return {"ContainerEntrypoint": ["python3"], "ContainerArguments": arguments}


def _hyperparameters(config: Config, pointer: str) -> dict[str, str]:
    """The configuration for the runner, and its printable values for the console."""
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
    """Whether the console can show a text; others travel in the JSON only."""
    return text.isprintable()


def _channels_of_isolated(order: JobOrder, deployment: Deployment, config_key: str) -> list[dict[str, Any]]:
    """Input channels of a job that cannot fetch its checkpoint and its configuration."""
    channels: list[dict[str, Any]] = []
    if order.checkpoint_key:
        channels.append(input_channel(CHECKPOINT_CHANNEL, deployment.uri + order.checkpoint_key))
    if config_key:
        channels.append(input_channel(CONFIG_CHANNEL, deployment.uri + config_key))
    return channels


def _resources(config: Config, settings: JobSettings) -> dict[str, Any]:
    instance_type, count = instance_of(config, settings)
    resources = {"InstanceType": instance_type, "InstanceCount": count, "VolumeSizeInGB": settings.volume_gb}
    if settings.keep_alive:
        resources["KeepAlivePeriodInSeconds"] = settings.keep_alive
    return resources


def _limits(settings: JobSettings) -> dict[str, int]:
    """StoppingCondition of a job that runs one run."""
    limits = {"MaxRuntimeInSeconds": settings.max_run}
    return limits | {"MaxWaitTimeInSeconds": settings.max_wait} if settings.config.spot else limits


def _environment(parts: _JobParts, settings: JobSettings) -> dict[str, str]:
    environment = {
        **(_WITHOUT_NETWORK if settings.network_isolation else {}),
        **settings.benchmark.environment,
        **parts.variables,
    }
    for name, value in environment.items():
        if len(value) > _MAX_ENVIRONMENT_VALUE:
            raise SettingsError(
                f"The environment variable {name} has {len(value)} characters; SageMaker takes {_MAX_ENVIRONMENT_VALUE}"
            )
    return environment


def _tags(parts: _JobParts, deployment: Deployment, settings: JobSettings) -> list[dict[str, str]]:
    tags = {
        **settings.config.tags,
        EXPERIMENT_TAG: tag_value(deployment.experiment),
        "tunewright:trial": parts.trial_tag,
    }
    return [{"Key": name, "Value": value[:_MAX_TAG_VALUE]} for name, value in tags.items()]
