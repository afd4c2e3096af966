"""Fields of a request beside Tunewright's own: templates, input channels, registries, training plans, tags."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright.backends.plugin import ExperimentContext
from tunewright.backends.sagemaker import JobSettings, SageMakerConfig
from tunewright.backends.sagemaker.plugin import PLUGIN
from tunewright.exceptions import SettingsError
from tunewright.testing.jobs import job_settings, training_benchmark

VPC = {"subnets": "subnet-1,subnet-2", "security_group_ids": "sg-1"}
FULL_VPC = {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
LOGIN = "arn:aws:lambda:us-east-1:123456789012:function:login"

WRONG: list[tuple[dict[str, Any], str]] = [
    ({"Vpcconfig": {}}, "the request has no field Vpcconfig. Did you mean 'VpcConfig'"),
    ({"ResourceConfig": "large"}, "ResourceConfig takes dict, not 'large'"),
    (
        {"RetryStrategy": {"MaximumRetryAttempts": "2"}},
        "RetryStrategy.MaximumRetryAttempts takes int, not '2'",
    ),
    ({"VpcConfig": {"Subnets": ["a"]}}, 'Missing required parameter in VpcConfig: "SecurityGroupIds"'),
    ({"InputDataConfig": [{"DataSource": {}}]}, "ChannelName"),
    ({"StoppingCondition": {"MaxPendingTimeInSeconds": 1}}, "MaxPendingTimeInSeconds"),
]
OWN: list[tuple[dict[str, Any], str]] = [
    ({"TrainingJobName": "mine"}, "--experiment_tag"),
    ({"HyperParameters": {"lr": "1"}}, "HyperParameters"),
    ({"RoleArn": "arn:aws:iam::123456789012:role/mine"}, "--role"),
    ({"ResourceConfig": {"VolumeSizeInGB": 100}}, "--volume_gb"),
    ({"StoppingCondition": {"MaxRuntimeInSeconds": 60}}, "--max_run"),
    ({"AlgorithmSpecification": {"TrainingInputMode": "Pipe", "TrainingImage": "mine"}}, "--image_uri"),
    ({"InputDataConfig": [{"ChannelName": "code", "DataSource": {}}]}, "a channel code"),
    ({"Environment": {"TUNEWRIGHT_RUN": "{}"}}, "a variable TUNEWRIGHT_RUN"),
    ({"Tags": [{"Key": "tunewright:trial", "Value": "1"}]}, "a tag tunewright:trial"),
]


def check(config: SageMakerConfig, **fields: Any) -> None:
    """As a new experiment does before anything is created."""
    PLUGIN.check(config, ExperimentContext(benchmark=training_benchmark(**fields), tag="t", seed=0))


@pytest.mark.parametrize("place", ["config", "benchmark"])
@pytest.mark.parametrize(("template", "problem"), WRONG)
def test_a_template_is_compared_with_the_services_model(
    place: str, template: dict[str, Any], problem: str
) -> None:
    is_of_config = place == "config"
    benchmark = training_benchmark(request_template={} if is_of_config else template)
    config = SageMakerConfig(request_template=template if is_of_config else {})
    with pytest.raises(SettingsError, match="--template") as refused:
        JobSettings(benchmark=benchmark, config=config)
    assert problem in str(refused.value)


@pytest.mark.parametrize(("template", "remedy"), OWN)
def test_fields_that_would_be_overwritten_are_refused(template: dict[str, Any], remedy: str) -> None:
    with pytest.raises(SettingsError, match="must not hold") as refused:
        check(SageMakerConfig(request_template=template))
    assert remedy in str(refused.value)
    with pytest.raises(SettingsError, match="must not hold"):
        check(SageMakerConfig(), request_template=template)


def test_all_fields_that_would_be_overwritten_are_named_at_once() -> None:
    template = {"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2}, "RoleArn": "mine"}
    with pytest.raises(SettingsError, match=r"RoleArn.*InstanceType.*InstanceCount"):
        check(SageMakerConfig(request_template=template))


def test_other_fields_of_a_template_are_taken() -> None:
    template: dict[str, Any] = {
        "MlflowConfig": {"MlflowResourceArn": "arn:aws:sagemaker:us-east-1:123456789012:mlflow-app/app-1"},
        "EnableInterContainerTrafficEncryption": True,
        "ResourceConfig": {"VolumeKmsKeyId": "key"},
        "StoppingCondition": {"MaxPendingTimeInSeconds": 7200},
        "Environment": {"NCCL_DEBUG": "INFO"},
    }
    check(SageMakerConfig(request_template=template))
    assert job_settings(request_template=template).request_template == template


@pytest.mark.parametrize(
    ("address", "channel"),
    [
        (
            "s3://bucket/train?mode=FastFile&distribution=ShardedByS3Key",
            {
                "InputMode": "FastFile",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": "s3://bucket/train",
                        "S3DataDistributionType": "ShardedByS3Key",
                    }
                },
            },
        ),
        (
            "s3://bucket/what?.csv?compression=Gzip&content_type=text/csv",
            {
                "CompressionType": "Gzip",
                "ContentType": "text/csv",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": "s3://bucket/what?.csv",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            },
        ),
        (
            "efs://fs-0123456789abcdef0/images/",
            {
                "DataSource": {
                    "FileSystemDataSource": {
                        "FileSystemId": "fs-0123456789abcdef0",
                        "FileSystemType": "EFS",
                        "FileSystemAccessMode": "ro",
                        "DirectoryPath": "/images",
                    }
                }
            },
        ),
        (
            "fsx://fs-01234567/abcdef/images?access=rw",
            {
                "DataSource": {
                    "FileSystemDataSource": {
                        "FileSystemId": "fs-01234567",
                        "FileSystemType": "FSxLustre",
                        "FileSystemAccessMode": "rw",
                        "DirectoryPath": "/abcdef/images",
                    }
                }
            },
        ),
    ],
)
def test_inputs_lie_in_s3_or_in_file_systems(address: str, channel: dict[str, Any]) -> None:
    settings = job_settings(inputs={"train": address}, **VPC)
    assert settings.request_template == {
        "VpcConfig": FULL_VPC,
        "InputDataConfig": [{"ChannelName": "train", **channel}],
    }


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("/data", "efs://FILE_SYSTEM_ID/PATH"),
        ("http://host/data", "efs://FILE_SYSTEM_ID/PATH"),
        ("s3://bucket/train?mode=Fast", "File or FastFile or Pipe, not 'Fast'"),
        ("s3://bucket/train?moed=File", "no option 'moed'"),
        ("efs://fs-01234567/data?mode=File", "no option 'mode'"),
        ("efs://share/data", "names the file system 'share'"),
        ("fsx://fs-01234567", "needs the mount name"),
        ("s3://", "names no bucket"),
        ("s3:///train?mode=Pipe", "names no bucket"),
    ],
)
def test_other_inputs_are_refused(address: str, problem: str) -> None:
    with pytest.raises(SettingsError, match="train") as refused:
        job_settings(inputs={"train": address}, **VPC)
    assert problem in str(refused.value)


@pytest.mark.parametrize(("name", "problem"), [("code", "is Tunewright's"), ("my data", "other characters")])
def test_names_of_inputs_that_no_channel_can_have(name: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        job_settings(inputs={name: "s3://bucket/train"})


def test_file_systems_and_private_registries_need_a_vpc() -> None:
    needy: dict[str, Any] = {"inputs": {"train": "efs://fs-01234567/data"}}
    registry = {"image_uri": "registry.corp/train:1", "registry_credentials": LOGIN}
    with pytest.raises(SettingsError, match=r"input train and the private registry.*--subnets"):
        job_settings(**needy, **registry)
    direct = {"TrainingImageConfig": {"TrainingRepositoryAccessMode": "Vpc"}}
    with pytest.raises(SettingsError, match=r"the private registry.*--subnets"):
        job_settings(request_template={"AlgorithmSpecification": direct})
    assert job_settings(**needy, request_template={"VpcConfig": FULL_VPC}).request_template["VpcConfig"]
    settings = job_settings(**registry, **VPC)
    assert settings.request_template["AlgorithmSpecification"]["TrainingImageConfig"] == {
        "TrainingRepositoryAccessMode": "Vpc",
        "TrainingRepositoryAuthConfig": {"TrainingRepositoryCredentialsProviderArn": LOGIN},
    }
    with pytest.raises(SettingsError, match="--image_uri"):
        job_settings(registry_credentials=LOGIN, **VPC)


def test_a_training_plan_goes_with_the_key_of_the_disks() -> None:
    plan = "arn:aws:sagemaker:us-east-1:123456789012:training-plan/mine"
    settings = job_settings(training_plan=plan, kms_key="key")
    assert settings.request_template["ResourceConfig"] == {
        "TrainingPlanArn": plan,
        "VolumeKmsKeyId": "key",
    }


@pytest.mark.parametrize(
    ("tags", "problem"),
    [
        ({"a" * 129: "x"}, "129 characters"),
        ({"team": "x" * 257}, "257 characters"),
        ({"team": "a*b"}, "'a\\*b' may hold letters"),
        ({"AWS:team": "x"}, "begin with aws:"),
        ({"tunewright:trial": "x"}, "begin with aws: or tunewright:"),
        ({"": "x"}, "empty"),
        ({str(number): "x" for number in range(48)}, "48 are too many"),
    ],
)
def test_tags_keep_the_services_rules(tags: dict[str, str], problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        check(SageMakerConfig(tags=tags))


def test_legal_tags() -> None:
    check(SageMakerConfig(tags={"Ünit 7": "R&D".replace("&", "+"), "a/b:c=d.e_f-g@h": ""}))
