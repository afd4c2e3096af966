"""Config of the SageMaker backend: settings, flags, TOML and stored JSON."""

from __future__ import annotations

import re
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, TypeAlias, final

from typing_extensions import override

from tunewright.aws import DEFAULT_VERSION
from tunewright.backends.plugin import BackendConfig
from tunewright.exceptions import SettingsError, check_at_least
from tunewright.runner.contract import BucketTerms

Execution: TypeAlias = Literal["jobs", "workers", "auto"]
"""How trials become training jobs."""

S3: Final = "s3"
"""Reports, requests and checkpoints are S3 objects that the runner reads and writes."""
LOGS: Final = "logs"
"""Reports are lines of the log, checkpoints are copied by the service: jobs need no network."""

KEEP_ALIVE_MAX: Final = 3600
"""Longest keep-alive that every account has (default quota "Keep-alive for cluster reuse")."""
MAX_RUN_MAX: Final = 28 * 24 * 3600
"""The service's longest MaxRuntimeInSeconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SageMakerPlace(ABC):  # noqa: B024 - the fields of the two classes below
    """Where training jobs run, and with which role and image."""

    endpoint: str = field(default="auto", metadata={"metavar": "NAME|URL"})
    """auto: AWS if credentials are found, else embedded; aws; embedded: an endpoint on this machine; or a URL."""
    speed: float | None = None
    """Service seconds per second of the embedded endpoint (default: 60)."""
    region: str | None = None
    """AWS region (default: as boto3 finds it)."""
    profile: str | None = None
    """Profile of the AWS configuration (default: $AWS_PROFILE)."""
    assume_role: str | None = field(default=None, metadata={"metavar": "ARN"})
    """Role whose rights all requests have, by its ARN."""
    role: str | None = None
    """Role of the jobs, by name or ARN (default: $TUNEWRIGHT_SAGEMAKER_ROLE, else your own execution role, else the account's only one)."""
    bucket: str | None = None
    """Bucket for code, reports and checkpoints (default: sagemaker-REGION-ACCOUNT)."""
    bucket_owner: str | None = field(default=None, metadata={"metavar": "ACCOUNT"})
    """Account that must own --bucket, 12 digits: all requests to it are refused otherwise (the default bucket must be yours)."""
    kms_key: str | None = None
    """Key that encrypts all files in S3, and the disks of instance types without local NVMe disks."""
    image_uri: str | None = None
    """Container image of the jobs (default: by framework and region)."""
    max_code_mb: int = field(default=100, metadata={"metavar": "MB"})
    """Size of the files beside the script, which every job downloads; more is refused."""

    def __post_init__(self) -> None:
        _check_positive(self, "speed", "max_code_mb")
        _check_owner(self)

    @property
    def bucket_terms(self) -> BucketTerms:
        """Terms on which the bucket is used."""
        return BucketTerms(owner=self.bucket_owner or "", kms_key=self.kms_key or "")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TuningJobPlace(SageMakerPlace):
    """Where tuning jobs run whose trials are no training jobs."""

    profile: str | None = field(default=None, metadata={"flag": "aws_profile"})
    """Profile of the AWS configuration (default: $AWS_PROFILE)."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SageMakerConfig(SageMakerPlace, BackendConfig):
    """Trials are SageMaker training jobs, on AWS or on an endpoint that behaves like it.

    Raises
    ------
    SettingsError
        A number is out of range, or a setting lacks the one that it needs.
    """

    backend_name: ClassVar[str] = "sagemaker"
    tuner_instance_type: ClassVar[str] = "ml.m5.large"

    warm_pool: bool = False
    """Keep instances between trials: the next one starts in seconds; idle time is billed."""
    keep_alive: int = field(default=600, metadata={"metavar": "TIME"})
    """Seconds that an idle instance of a warm pool is kept."""
    spot: bool = False
    """Run trials on spot instances: cheaper; interrupted ones go on from their checkpoints."""
    spot_price_share: float = 0.3
    """Part of the price that a spot instance is taken to cost until the service bills it."""
    max_wait: int | None = field(default=None, metadata={"metavar": "TIME"})
    """Seconds that a spot job may take with its waits (default: a day more than --max_run)."""
    execution: Execution = "auto"
    """jobs: a training job per run; workers: a few long jobs that take run after run; auto: workers if jobs cannot keep all busy."""
    channel: Literal["s3", "logs"] | None = None
    """s3: jobs report through S3; logs: through their logs, so that they need no network (default: s3, and logs with --network_isolation)."""
    trials_per_instance: int | None = None
    """Trials at the same time on each instance of workers (default: one per GPU, or one)."""
    instance_type: str | None = field(default=None, metadata={"metavar": "ml.TYPE"})
    """Of each training job, such as ml.c5.xlarge; several with commas: if one lacks capacity, the next is taken (default: the benchmark's)."""
    max_run: int | None = field(default=None, metadata={"metavar": "TIME"})
    """Seconds after which a training job is cut and its trial fails (default: a day)."""
    volume_gb: int | None = None
    """Disk of each instance (default: 30)."""
    network_isolation: bool = False
    """Let jobs reach no network, S3 included."""
    subnets: str | None = field(default=None, metadata={"metavar": "ID,..."})
    """Subnets of your VPC, with commas."""
    security_group_ids: str | None = field(default=None, metadata={"metavar": "ID,..."})
    """Security groups of your VPC, with commas."""
    registry_credentials: str | None = field(default=None, metadata={"metavar": "ARN"})
    """Lambda function that returns the login of a private registry with --image_uri, by its ARN; needs --subnets."""
    training_plan: str | None = field(default=None, metadata={"metavar": "ARN"})
    """Training plan whose reserved instances the jobs use, by its ARN."""
    secrets: Mapping[str, str] = field(
        default_factory=dict[str, str], metadata={"flag": "secret", "metavar": "NAME=SECRET"}
    )
    """Environment variable with the value of a secret, which the job reads: name or ARN in Secrets Manager, also NAME#KEY of a JSON object, or ssm:PARAMETER; may be repeated."""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    """An AWS tag of each training job."""
    request_template: Mapping[str, Any] = field(
        default_factory=dict[str, Any], metadata={"alias": "template", "metavar": "FILE.json"}
    )
    """Fields of a CreateTrainingJob request that are merged under ours and over the benchmark's: a JSON file, or the JSON itself."""
    metric_definitions: bool = True
    """Let SageMaker read metrics and resource from the log, for the curves of its console; not for workers."""
    framework_version: str = DEFAULT_VERSION
    """Version of the framework in the default image."""
    booleans: Literal["value", "flag"] = "value"
    """Boolean hyperparameters: as --name True (value), or as --name or nothing (flag)."""
    launch: Literal["torchrun"] | None = None
    """torchrun: start a process per GPU on each instance of a trial (default: one process per instance)."""
    journal: Literal["local", "s3"] = "local"
    """s3: copy the journal and the files of the experiment to S3 while it runs, so that another machine can continue it."""
    price_per_hour: float | None = None
    """US dollars per instance hour (default: AWS's price list if it can be read, else a table)."""
    max_retries: int = 10
    """Retries of a run after failures of the service, before it fails."""
    checkpoint_seconds: float = 60.0
    """Real seconds between two checkpoints that a running job stores."""
    stop_grace: float = 120.0
    """Service seconds after which a job that was asked to end gets StopTrainingJob."""
    abandon_after: float = field(default=600.0, metadata={"metavar": "TIME"})
    """Real seconds without a sign of life of the tuner after which jobs end by themselves, with their checkpoints stored (0: never)."""
    close_seconds: float = field(default=300.0, metadata={"metavar": "TIME"})
    """Service seconds for jobs to end at the end of the experiment; later they are left to the service."""
    min_interval: float = 1.0
    """Minimum real seconds between two requests for reports, and for statuses."""
    report_shards: int | None = None
    """Prefixes of reports in S3, each good for 3,500 a second (default: one per thousand workers)."""

    def __post_init__(self) -> None:
        _check_positive(
            self,
            "speed",
            "max_code_mb",
            "max_wait",
            "trials_per_instance",
            "max_run",
            "volume_gb",
            "keep_alive",
            "report_shards",
            "min_interval",
        )
        for name, value, most in (
            ("keep_alive", self.keep_alive, KEEP_ALIVE_MAX),
            ("max_run", self.max_run, MAX_RUN_MAX),
        ):
            if value is not None and value > most:
                raise SettingsError(f"{name} must be from 1 to {most}, not {value}")
        _check_owner(self)
        check_at_least(
            self, 0, "max_retries", "checkpoint_seconds", "stop_grace", "abandon_after", "close_seconds"
        )
        if self.price_per_hour is not None:
            check_at_least(self, 0, "price_per_hour")
        if not 0.0 < self.spot_price_share <= 1.0:
            raise SettingsError(
                f"spot_price_share must be above 0 and at most 1, not {self.spot_price_share}"
            )
        if bool(self.subnets) != bool(self.security_group_ids):
            raise SettingsError("A VPC needs both: --subnets and --security_group_ids")
        for name, reference in self.secrets.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) or name.startswith("TUNEWRIGHT_"):
                raise SettingsError(f"secrets: {name!r} is no name of an environment variable for a script")
            if not re.fullmatch(r"ssm:[\w.:/-]+|(arn:[\w/+=.@:-]+|[\w/+=.@-]+)(#.+)?", reference, re.ASCII):
                raise SettingsError(
                    f"secrets: {name} refers to a secret by its name or ARN, NAME#KEY or ssm:PARAMETER; the value given is none of "
                    "them, and is not shown"
                )
        if self.registry_credentials and not self.image_uri:
            raise SettingsError("registry_credentials are for an image of your own: give --image_uri")

    @property
    @override
    def is_billed(self) -> bool:
        """Whether the jobs run on AWS."""
        return self.endpoint == "aws"


def _check_owner(place: SageMakerPlace) -> None:
    owner = place.bucket_owner
    if owner is None:
        return
    if not re.fullmatch(r"\d{12}", owner):
        raise SettingsError(f"bucket_owner is the number of an account, 12 digits, not {owner!r}")
    if place.bucket is None:
        raise SettingsError(
            "bucket_owner is for a bucket that you name: give --bucket, or leave it out; the default bucket must be yours"
        )


def _check_positive(config: object, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        if value is not None and not value > 0:
            raise SettingsError(f"{name}={value} must be > 0")
