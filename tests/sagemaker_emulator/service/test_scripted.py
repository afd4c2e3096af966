"""Virtual jobs: thousands of them in seconds, with the life cycle of real ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from sagemaker_emulator.emulator import Emulator, EmulatorConfig
from sagemaker_emulator.service.executor import JobExit, JobOrder
from sagemaker_emulator.service.faults import Fault
from sagemaker_emulator.service.scripted import ScriptedExecutor, ScriptedJob
from sagemaker_emulator.service.settings import ServiceSettings
from sagemaker_emulator.storage.memory import MemoryApplication, MemoryObjects

SPEED = 2000.0
Start = Callable[..., tuple[Emulator, MemoryObjects]]


class TimedJob(ScriptedJob):
    """Trains for a while, then exits; stops at once."""

    def __init__(self, seconds: float, exit_code: int) -> None:
        self._end = seconds
        self._exit = JobExit(exit_code=exit_code)

    def advance(self, seconds: float) -> JobExit | None:
        return self._exit if seconds >= self._end else None

    def terminate(self, seconds: float) -> None:
        self._end = seconds


def timed_job(order: JobOrder) -> ScriptedJob:
    plan = order.request.get("HyperParameters", {})
    return TimedJob(float(plan.get("seconds", 30)), int(plan.get("exit", 0)))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Emulator] = []

    def begin(*faults: Fault, **settings: Any) -> tuple[Emulator, MemoryObjects]:
        store = MemoryObjects()
        emulator = Emulator(
            EmulatorConfig(directory=tmp_path / "state", access_key="KEY", secret_key="SECRET"),
            ServiceSettings(speed=SPEED, throttle="off", **settings),
            lambda _url: (ScriptedExecutor(timed_job, speed=SPEED), MemoryApplication(store)),
            list(faults),
        )
        started.append(emulator)
        return emulator, store

    yield begin
    for emulator in started:
        emulator.close()


def connect(emulator: Emulator, service: str) -> Any:
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=emulator.url,
        aws_access_key_id="KEY",
        aws_secret_access_key="SECRET",
        config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
    )


def create(client: Any, name: str, keep_alive: int = 0, **plan: str) -> None:
    client.create_training_job(
        TrainingJobName=name,
        RoleArn="arn:aws:iam::123456789012:role/SageMakerRole",
        AlgorithmSpecification={"TrainingImage": "virtual", "TrainingInputMode": "File"},
        OutputDataConfig={"S3OutputPath": "s3://bucket/out"},
        ResourceConfig={
            "InstanceType": "ml.c5.xlarge",
            "InstanceCount": 1,
            "VolumeSizeInGB": 10,
            **({"KeepAlivePeriodInSeconds": keep_alive} if keep_alive else {}),
        },
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
        HyperParameters=plan,
    )


def ended(client: Any, name: str) -> dict[str, Any]:
    while (job := client.describe_training_job(TrainingJobName=name))["TrainingJobStatus"] in {
        "InProgress",
        "Stopping",
    }:
        pass
    return job


def test_a_virtual_job_lives_as_a_real_one(start: Start) -> None:
    emulator, _ = start()
    client = connect(emulator, "sagemaker")
    create(client, "first", keep_alive=3600, seconds="30")
    first = ended(client, "first")
    assert [phase["Status"] for phase in first["SecondaryStatusTransitions"]] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    create(client, "second", keep_alive=3600, exit="3")
    assert ended(client, "second")["FailureReason"].startswith("AlgorithmError")
    create(client, "third", keep_alive=3600, seconds="1e9")
    for former, latter in (("first", "second"), ("second", "third")):
        pool = client.describe_training_job(TrainingJobName=former)["WarmPoolStatus"]
        assert pool["ReusedByJob"] == latter
    client.stop_training_job(TrainingJobName="third")
    assert ended(client, "third")["TrainingJobStatus"] == "Stopped"
    client.close()


def test_a_lost_instance_takes_its_play_along(start: Start) -> None:
    emulator, _ = start(Fault(kind="internal_error", target="lost"))
    client = connect(emulator, "sagemaker")
    create(client, "lost", seconds="1e9")
    assert ended(client, "lost")["FailureReason"].startswith("InternalServerError")
    client.close()


def test_hundreds_of_jobs_at_once(start: Start) -> None:
    emulator, _ = start(quotas={"ml.c5.xlarge": 1000})
    client = connect(emulator, "sagemaker")
    names = [f"job-{n}" for n in range(200)]
    for name in names:
        create(client, name)
    assert {ended(client, name)["TrainingJobStatus"] for name in names} == {"Completed"}
    client.close()


def test_objects_in_memory_answer_as_s3_does(start: Start) -> None:
    emulator, store = start()
    client = connect(emulator, "s3")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        client.put_object(Bucket="bucket", Key="a", Body=b"1")
    client.create_bucket(Bucket="bucket")
    client.head_bucket(Bucket="bucket")
    tag = client.put_object(Bucket="bucket", Key="a/b c", Body=b"0123", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket="bucket", Key="a/b c", Body=b"x", IfNoneMatch="*")
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.put_object(Bucket="bucket", Key="absent", Body=b"x", IfMatch=tag)
    new = client.put_object(Bucket="bucket", Key="a/b c", Body=b"4567", IfMatch=tag)["ETag"]
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket="bucket", Key="a/b c", Body=b"x", IfMatch=tag)
    got = client.get_object(Bucket="bucket", Key="a/b c")
    assert (got["Body"].read(), got["ETag"]) == (b"4567", new)
    assert client.get_object(Bucket="bucket", Key="a/b c", Range="bytes=1-2")["Body"].read() == b"56"
    assert client.head_object(Bucket="bucket", Key="a/b c")["ContentLength"] == 4
    client.copy_object(Bucket="bucket", Key="copied", CopySource={"Bucket": "bucket", "Key": "a/b c"})
    assert store.get("bucket", "copied")[0] == b"4567"
    listed = client.list_objects_v2(Bucket="bucket", Delimiter="/")
    assert [found["Key"] for found in listed["Contents"]] == ["copied"]
    assert [found["Prefix"] for found in listed["CommonPrefixes"]] == ["a/"]
    client.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "a/b c"}, {"Key": "absent"}]})
    client.delete_object(Bucket="bucket", Key="copied")
    assert client.list_objects_v2(Bucket="bucket")["KeyCount"] == 0
    with pytest.raises(ClientError, match="404"):
        client.head_object(Bucket="bucket", Key="a/b c")
    with pytest.raises(ClientError, match="NotImplemented"):
        client.create_multipart_upload(Bucket="bucket", Key="large")
    assert connect(emulator, "sts").get_caller_identity()["Account"] == "123456789012"
    client.close()
