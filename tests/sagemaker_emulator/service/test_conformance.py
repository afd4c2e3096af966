"""Every answer has the form of the service's own model: required members, types, enumerations, nothing unknown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from botocore.loaders import Loader

from sagemaker_emulator.service.faults import Fault

Service = Any

MODEL: Mapping[str, Any] = Loader().load_service_model("sagemaker", "service-2")
TYPES = {
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
    "float": (int, float),
    "timestamp": (int, float),
    "structure": dict,
    "map": dict,
    "list": list,
}


def complaints(shape_name: str, value: Any, path: str) -> Iterator[str]:
    shape = MODEL["shapes"][shape_name]
    kind = shape["type"]
    if not isinstance(value, TYPES[kind]):
        yield f"{path} is no {kind}: {value!r}"
    elif kind == "structure":
        yield from (f"{path}.{name} is missing" for name in set(shape.get("required", ())) - set(value))
        yield from (f"{path}.{name} is unknown" for name in set(value) - set(shape["members"]))
        for name in set(value) & set(shape["members"]):
            yield from complaints(shape["members"][name]["shape"], value[name], f"{path}.{name}")
    elif kind == "list":
        for item in value:
            yield from complaints(shape["member"]["shape"], item, f"{path}[]")
    elif kind == "map":
        for item in value.values():
            yield from complaints(shape["value"]["shape"], item, f"{path}{{}}")
    elif "enum" in shape and value not in shape["enum"]:
        yield f"{path} is {value!r}, not one of {shape['enum']}"


@pytest.fixture
def answers(start: Callable[..., Service]) -> tuple[Service, list[tuple[str, bytes]]]:
    """An emulator with some faults, and the bodies of all answers to come."""
    service = start(
        faults=[
            Fault(kind="capacity", target="ml.m5.large"),
            Fault(kind="spot_interruption", target="spot"),
        ]
    )
    bodies: list[tuple[str, bytes]] = []

    def note(operation_model: Any, response_dict: Mapping[str, Any], **_: Any) -> None:
        bodies.append((operation_model.name, response_dict["body"]))

    service.client.meta.events.register("before-parse.sagemaker", note)
    return service, bodies


def test_answers_follow_the_model(answers: tuple[Service, list[tuple[str, bytes]]]) -> None:
    service, bodies = answers
    client = service.client
    everything = {
        "Environment": {"A": "b"},
        "VpcConfig": {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]},
        "CheckpointConfig": {"S3Uri": "s3://bucket/checkpoints"},
        "RetryStrategy": {"MaximumRetryAttempts": 1},
        "EnableNetworkIsolation": True,
        "Tags": [{"Key": "k", "Value": "v"}],
        "SessionChainingConfig": {"EnableSessionTagChaining": True},
    }
    arn = service.create("warm", keep_alive=20000, **everything)
    service.describe("warm")
    service.pool("warm", "Available")
    service.create("next", keep_alive=20000, plan={"exit": "1"}, **everything)
    service.ended("next")
    service.create("short", instance_type="ml.m5.large")
    service.ended("short")
    limits = {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 60}
    service.create("spot", plan={"seconds": "0.2"}, EnableManagedSpotTraining=True, StoppingCondition=limits)
    client.stop_training_job(TrainingJobName="spot")
    service.ended("spot")
    client.list_training_jobs(MaxResults=2)
    client.search(Resource="TrainingJob", MaxResults=100)
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "b"}])
    client.list_tags(ResourceArn=arn)
    client.delete_tags(ResourceArn=arn, TagKeys=["a"])
    client.update_training_job(TrainingJobName="next", ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    client.delete_training_job(TrainingJobName="next")
    assert {operation for operation, _ in bodies} == {
        "CreateTrainingJob",
        "DescribeTrainingJob",
        "ListTrainingJobs",
        "StopTrainingJob",
        "UpdateTrainingJob",
        "DeleteTrainingJob",
        "Search",
        "AddTags",
        "ListTags",
        "DeleteTags",
    }
    found: set[str] = set()
    for operation, body in bodies:
        output = MODEL["operations"][operation].get("output")
        if output is None:
            assert body == b""
        else:
            found |= set(complaints(output["shape"], json.loads(body), operation))
    assert not found
