"""Requests that are refused, with the service's words; sent past botocore's own checks."""

from __future__ import annotations

from typing import Any

import pytest
from botocore import session
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from moto.utilities.utils import load_resource

from sagemaker_emulator.api.validation import RequestModel, check_create
from sagemaker_emulator.service.errors import ServiceError

Service = Any

MODEL = RequestModel()
NAME_RULE = "failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"


def request(**changes: Any) -> dict[str, Any]:
    whole = {
        "TrainingJobName": "job-1",
        "RoleArn": "arn:aws:iam::123456789012:role/SageMakerRole",
        "AlgorithmSpecification": {"TrainingImage": "python", "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
        "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def refusal(operation: str, body: Any) -> ServiceError:
    with pytest.raises(ServiceError) as refused:
        MODEL.check(operation, body)
    return refused.value


def test_the_wording_of_a_bad_name_reaches_the_client(service: Service) -> None:
    with pytest.raises(ClientError) as refused:
        service.describe("a_b")
    error = refused.value.response
    assert error["Error"]["Code"] == "ValidationException"
    assert (
        error["Error"]["Message"]
        == f"1 validation error detected: Value 'a_b' at 'trainingJobName' {NAME_RULE}"
    )
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_several_violations_are_joined() -> None:
    error = refusal("CreateTrainingJob", request(TrainingJobName="a_b", RoleArn=None, OutputDataConfig={}))
    assert error.message == (
        f"3 validation errors detected: Value 'a_b' at 'trainingJobName' {NAME_RULE}; "
        "Value null at 'roleArn' failed to satisfy constraint: Member must not be null; "
        "Value null at 'outputDataConfig.s3OutputPath' failed to satisfy constraint: Member must not be null"
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"HyperParameters": {"a": "x" * 2501}},
            (
                "at 'hyperParameters' failed to satisfy constraint: Map value must satisfy constraint: [Member must have "
                "length less than or equal to 2500, Member must have length greater than or equal to 0, Member must "
                "satisfy regular expression pattern: .*]"
            ),
        ),
        ({"HyperParameters": {"a": "two\nlines"}}, "Map value must satisfy constraint"),
        ({"HyperParameters": {"k" * 257: "a"}}, "Map key must satisfy constraint"),
        (
            {"HyperParameters": {str(n): "" for n in range(101)}},
            "Member must have length less than or equal to 100",
        ),
        ({"Environment": {"1A": "a"}}, "Map key must satisfy constraint"),
        ({"Environment": {"A": "x" * 513}}, "Map value must satisfy constraint"),
        (
            {"RoleArn": "arn:aws:iam::12:role/x-and-more"},
            "^arn:aws[a-z\\-]*:iam::\\d{12}:role/?[a-zA-Z_0-9+=,.@\\-_/]+$",
        ),
        (
            {"RoleArn": "short"},
            "Value 'short' at 'roleArn' failed to satisfy constraint: Member must have length greater",
        ),
        (
            {"TrainingJobName": "x" * 64},
            "at 'trainingJobName' failed to satisfy constraint: Member must have length less",
        ),
        (
            {"InputDataConfig": []},
            "Value '[]' at 'inputDataConfig' failed to satisfy constraint: Member must have length",
        ),
        (
            {"InputDataConfig": [{"ChannelName": "a b", "DataSource": {}}]},
            "Value 'a b' at 'inputDataConfig.1.member.channelName'",
        ),
        ({"Tags": [{"Key": "", "Value": "ok"}]}, "Value '' at 'tags.1.member.key'"),
        ({"Tags": [{"Key": "ok", "Value": "!"}]}, "Value '!' at 'tags.1.member.value'"),
        (
            {"StoppingCondition": {"MaxRuntimeInSeconds": 0}},
            "Member must have value greater than or equal to 1",
        ),
        (
            {"ResourceConfig": {"InstanceType": "ml.c5.xlarge", "KeepAlivePeriodInSeconds": 21601}},
            "'resourceConfig.keepAlivePeriodInSeconds' failed to satisfy constraint: Member must have value less than or",
        ),
        (
            {"ResourceConfig": {"InstanceType": "ml.toaster"}},
            "'resourceConfig.instanceType' failed to satisfy constraint: Member must satisfy enum value set: [ml.m4.xlarge,",
        ),
        (
            {
                "AlgorithmSpecification": {
                    "TrainingImage": "i",
                    "TrainingInputMode": "File",
                    "ContainerArguments": ["x" * 257],
                }
            },
            "at 'algorithmSpecification.containerArguments.1.member'",
        ),
    ],
)
def test_constraints_of_the_model(changes: dict[str, Any], text: str) -> None:
    error = refusal("CreateTrainingJob", request(**changes))
    assert error.code == "ValidationException"
    assert text in error.message


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"TrainingJobName": 7},
        {"TrainingJobName": True},
        {"ResourceConfig": "big"},
        {"ResourceConfig": {"InstanceCount": "1"}},
        {"ResourceConfig": {"InstanceCount": True}},
        {"EnableNetworkIsolation": 1},
        {"Tags": {}},
        {"HyperParameters": {"lr": 0.1}},
        {"HyperParameters": {"lr": None}},
    ],
    ids=str,
)
def test_values_of_a_wrong_type_are_a_serialization_error(body: Any) -> None:
    assert refusal("CreateTrainingJob", body).code == "SerializationException"


def test_tags_may_hold_letters_of_any_script() -> None:
    MODEL.check("CreateTrainingJob", request(Tags=[{"Key": "größe 1", "Value": "大_+-=.:/@"}]))


def test_a_null_member_is_a_missing_one() -> None:
    MODEL.check("CreateTrainingJob", {**request(), "Tags": None})


@given(
    st.from_regex(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,20}", fullmatch=True).filter(lambda name: len(name) <= 63)
)
def test_good_names_pass(name: str) -> None:
    MODEL.check("DescribeTrainingJob", {"TrainingJobName": name})


SPOT = {"EnableManagedSpotTraining": True}


def resources(**changes: Any) -> dict[str, Any]:
    return {"ResourceConfig": {**request()["ResourceConfig"], **changes}}


def limits(**changes: int) -> dict[str, Any]:
    return {"StoppingCondition": {"MaxRuntimeInSeconds": 60, **changes}}


GROUP = {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1, "InstanceGroupName": "a"}


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"AlgorithmSpecification": None}, "AlgorithmSpecification is required"),
        ({"ResourceConfig": None}, "ResourceConfig is required"),
        ({"StoppingCondition": None}, "StoppingCondition is required"),
        ({"ServerlessJobConfig": {}}, "ServerlessJobConfig is not supported"),
        ({"ResourceConfig": {"InstanceCount": 1}}, "either InstanceType"),
        (resources(InstanceGroups=[GROUP]), "either InstanceType"),
        (resources(InstanceCount=0), "InstanceCount must be at least 1"),
        (resources(InstancePreferences=[]), "InstancePreferences is not supported"),
        ({"AlgorithmSpecification": {"TrainingInputMode": "File"}}, "TrainingImage or AlgorithmName"),
        (limits(MaxWaitTimeInSeconds=60), "only be set when EnableManagedSpotTraining"),
        ({**SPOT, **limits()}, "MaxWaitTimeInSeconds is required"),
        ({**SPOT, **limits(MaxWaitTimeInSeconds=59)}, "equal to or greater than MaxRuntimeInSeconds"),
        (
            {**SPOT, **limits(MaxWaitTimeInSeconds=60), **resources(KeepAlivePeriodInSeconds=60)},
            "not supported when EnableManagedSpotTraining",
        ),
        (
            {"ResourceConfig": {"InstanceGroups": [GROUP], "KeepAlivePeriodInSeconds": 60}},
            "not supported with InstanceGroups",
        ),
        (resources(KeepAlivePeriodInSeconds=3601), "above the maximum keep-alive for cluster reuse of 3600"),
        ({"InputDataConfig": [{"ChannelName": "a"}, {"ChannelName": "a"}]}, "Duplicate channel name"),
        ({"InputDataConfig": [{"ChannelName": ".."}]}, "Invalid channel name"),
        (
            {"InputDataConfig": [{"ChannelName": "a", "DataSource": {"FileSystemDataSource": {}}}]},
            "VpcConfig is required for the FileSystemDataSource of channel a",
        ),
        (
            {"ResourceConfig": {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeKmsKeyId": "k"}},
            "VolumeKmsKeyId is not supported for instance type ml.g5.xlarge",
        ),
    ],
)
def test_rules_that_no_single_member_can_break(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(ServiceError, match=text) as refused:
        check_create(request(**changes), keep_alive_cap=3600)
    assert refused.value.code == "ValidationException"


def test_rules_reach_the_client_and_nothing_is_created(service: Service) -> None:
    with pytest.raises(ClientError, match="MaxWaitTimeInSeconds is required"):
        service.create("job-1", **SPOT)
    assert service.client.list_training_jobs()["TrainingJobSummaries"] == []


def test_the_cap_of_keep_alive_is_a_setting(start: Any) -> None:
    service = start(keep_alive_cap=100)
    with pytest.raises(ClientError, match="of 100 seconds"):
        service.create("job-1", keep_alive=101)
    service.create("job-1", keep_alive=100)
    assert service.describe("job-1")["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 100


def test_defaults_are_filled_in(service: Service) -> None:
    unchecked = service.connect()
    unchecked.meta.config.merge(Config(parameter_validation=False))
    asked = service.request("job-1", StoppingCondition={})
    del asked["ResourceConfig"]["InstanceCount"]
    unchecked.create_training_job(**asked)
    unchecked.close()
    job = service.describe("job-1")
    assert job["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    assert job["ResourceConfig"]["InstanceCount"] == 1


def test_a_volume_key_is_refused_where_ec2_has_local_storage() -> None:
    """moto ships the answers of EC2's DescribeInstanceTypes; it has no p2, p3 and p6e-gb200 any more."""
    known = load_resource("ec2/resources/instance_types.json")
    enum = session.Session().get_service_model("sagemaker").shape_for("TrainingInstanceType").enum
    types = {one: known[one[3:]].get("InstanceStorageSupported", False) for one in enum if one[3:] in known}
    assert len(types) > 200
    assert {one for one in types if is_refused(one)} == {
        one for one, has_storage in types.items() if has_storage
    }


def is_refused(instance_type: str) -> bool:
    resources = {"InstanceType": instance_type, "InstanceCount": 1, "VolumeKmsKeyId": "k"}
    try:
        check_create(request(ResourceConfig=resources), keep_alive_cap=3600)
    except ServiceError:
        return True
    return False
