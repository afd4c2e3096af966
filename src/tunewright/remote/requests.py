"""The CreateTrainingJob request of a tuning job; pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tunewright.aws import REMOTE_VARIABLE, ROLE_VARIABLE, Endpoint, EndpointKind
from tunewright.backends.s3.code import CodeBundle
from tunewright.backends.sagemaker.plugin import shared_packages
from tunewright.backends.sagemaker.requests import CODE_CHANNEL, runner_command
from tunewright.backends.sagemaker.template import merge, without_key_of_local_disks
from tunewright.remote.layout import tag_prefix
from tunewright.runner.contract import CODE_VARIABLE, BucketTerms, Mode
from tunewright.runner.remote_job import FLAGS_PARAMETER

ENDPOINT_VARIABLE: Final = "TUNEWRIGHT_REMOTE_ENDPOINT"
"""Environment variable of a tuning job: JSON of :func:`endpoint_facts`."""
LONGEST_RUN: Final = 432_000
"""Default quota of an account for the run time of a training job, in seconds; for slices without a time limit."""
ENDING_SECONDS: Final = 1800
"""Added to a slice's time limit for installing packages, and for the runs that end after it."""
SPOT_WAIT_SECONDS: Final = 86_400
"""Added to the run time of a spot job for its waits."""
_RETRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningJobSettings:
    """Settings of all tuning jobs of a launch."""

    endpoint: Endpoint
    role_arn: str
    trial_role_arn: str
    """Role of the training jobs that a tuning job creates, if it is given none."""
    image: str
    bucket: str
    code: CodeBundle
    code_prefix: str
    """Full key prefix of the code, ending in a slash."""
    bucket_terms: BucketTerms = BucketTerms()
    """Its key is that of the disk and of the output, too."""
    instance_type: str = "ml.m5.large"
    volume_gb: int = 30
    spot: bool = False
    template: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """A CreateTrainingJob request that is merged under ours."""
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    tags: Mapping[str, str] = field(default_factory=dict[str, str])


def tuning_job_request(
    settings: TuningJobSettings, *, tag: str, slice_name: str, flags: Sequence[str], seconds: float | None
) -> dict[str, Any]:
    """The CreateTrainingJob request of a slice, without the job's name.

    Parameters
    ----------
    settings
        Settings of all tuning jobs of the launch.
    tag, slice_name
        The slice.
    flags
        Of ``hpo_main.py``.
    seconds
        Time limit of all its experiments together; None: unknown.
    """
    place = f"s3://{settings.bucket}/{tag_prefix(tag)}/{slice_name}"
    longest = LONGEST_RUN if seconds is None else int(seconds) + ENDING_SECONDS
    stopping = {"MaxRuntimeInSeconds": longest}
    key = settings.bucket_terms.kms_key
    if settings.spot:
        stopping["MaxWaitTimeInSeconds"] = longest + SPOT_WAIT_SECONDS
    ours: dict[str, Any] = {
        "RoleArn": settings.role_arn,
        "AlgorithmSpecification": {
            "TrainingImage": settings.image,
            "TrainingInputMode": "File",
            **runner_command(settings.code.runner_sha256, Mode.REMOTE),
        },
        "HyperParameters": {FLAGS_PARAMETER: json.dumps(list(flags))},
        "InputDataConfig": [_code_channel(settings)],
        "OutputDataConfig": {"S3OutputPath": f"{place}/output", **({"KmsKeyId": key} if key else {})},
        "ResourceConfig": {
            "InstanceType": settings.instance_type,
            "InstanceCount": 1,
            "VolumeSizeInGB": settings.volume_gb,
            **({"VolumeKmsKeyId": key} if key else {}),
        },
        "StoppingCondition": stopping,
        "RetryStrategy": {"MaximumRetryAttempts": _RETRIES},
        "EnableManagedSpotTraining": settings.spot,
        "Environment": {
            ROLE_VARIABLE: settings.trial_role_arn,
            **shared_packages(settings.endpoint),
            **settings.environment,
            CODE_VARIABLE: settings.code.digest,
            REMOTE_VARIABLE: place,
            **settings.bucket_terms.to_environment(),
            ENDPOINT_VARIABLE: json.dumps(endpoint_facts(settings.endpoint)),
        },
        "Tags": [
            {"Key": key, "Value": value}
            for key, value in {**settings.tags, "tunewright:tag": tag, "tunewright:slice": slice_name}.items()
        ],
    }
    return without_key_of_local_disks(merge(settings.template, ours))


def endpoint_facts(endpoint: Endpoint) -> dict[str, Any]:
    """Return the settings by which another process finds an endpoint: ``choice``, ``region`` and ``speed``."""
    is_other = endpoint.kind is EndpointKind.OTHER
    return {
        "choice": endpoint.url if is_other else str(endpoint.kind),
        "region": endpoint.region,
        "speed": None if endpoint.kind is EndpointKind.AWS else endpoint.speed,
    }


def _code_channel(settings: TuningJobSettings) -> dict[str, Any]:
    return {
        "ChannelName": CODE_CHANNEL,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": f"s3://{settings.bucket}/{settings.code_prefix}",
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }
