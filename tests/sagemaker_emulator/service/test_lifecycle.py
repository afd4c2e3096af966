"""How a training job lives, seen through boto3."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

Service = Any

INTERNAL_ERROR = "InternalServerError: We encountered an internal error. Please try again."
STATUSES = ["Starting", "Downloading", "Training", "Uploading", "Completed"]


def test_a_job_passes_through_the_documented_statuses(service: Service) -> None:
    arn = service.create("job-1")
    assert arn == "arn:aws:sagemaker:us-east-1:123456789012:training-job/job-1"
    job = service.ended("job-1")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Completed", "Completed")
    transitions = job["SecondaryStatusTransitions"]
    assert [entry["Status"] for entry in transitions] == STATUSES
    assert all(entry["StatusMessage"] for entry in transitions)
    assert all(before["EndTime"] == after["StartTime"] for before, after in pairwise(transitions))
    assert (
        job["CreationTime"] <= job["TrainingStartTime"] <= job["TrainingEndTime"] == job["LastModifiedTime"]
    )
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == "s3://bucket/job-1/output/model.tar.gz"
    assert job["FinalMetricDataList"][0]["MetricName"] == "accuracy"
    assert service.executor.of("job-1") == ["prepare", "launch", "finish"]
    assert "WarmPoolStatus" not in job


def test_describe_gives_the_request_back(service: Service) -> None:
    request = service.request(
        "job-1", plan={"seconds": "0"}, Environment={"A": "b"}, Tags=[{"Key": "k", "Value": "v"}]
    )
    service.client.create_training_job(**request)
    job = service.describe("job-1")
    for name in set(request) - {"Tags", "OutputDataConfig"}:
        assert job[name] == request[name]
    assert "Tags" not in job
    assert job["EnableManagedSpotTraining"] is False


def test_messages_tell_what_a_cold_start_waits_for(start: Callable[..., Service]) -> None:
    service = start(speed=200.0)
    service.create("job-1", InputDataConfig=[channel("train")], plan={"download": "400000000"})
    seen: list[str] = []

    def note(job: dict[str, Any]) -> bool:
        message = job["SecondaryStatusTransitions"][-1]["StatusMessage"]
        if message not in seen:
            seen.append(message)
        return job["TrainingJobStatus"] == "Completed"

    service.until("job-1", note)
    whole = [
        "Starting the training job",
        "Launching requested ML instances",
        "Preparing the instances for training",
        "Downloading input data",
        "Downloading the training image",
        "Training image download completed. Training in progress.",
        "Uploading generated training model",
        "Training job completed",
    ]
    assert [message for message in whole if message in seen] == seen
    assert {"Launching requested ML instances", "Training job completed"} <= set(seen)


def channel(name: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def test_bills_count_service_seconds_of_the_phases_and_real_seconds_of_the_training(service: Service) -> None:
    service.create(
        "job-1", InputDataConfig=[channel("train")], plan={"download": "1000000000", "seconds": "0"}
    )
    job = service.ended("job-1")
    # 10 s of transfer, 5 s of set-up, 25 s of image, 5 s of upload; starting is free
    assert 45 <= job["BillableTimeInSeconds"] == job["TrainingTimeInSeconds"] < 80


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"exit": "3", "failure": "no data"}, "AlgorithmError: no data, exit code: 3"),
        ({"exit": "1"}, "AlgorithmError: , exit code: 1"),
        ({"prepare_error": "ClientError: nothing there"}, "ClientError: nothing there"),
        (
            {"upload_error": "ClientError: Artifact upload failed: full"},
            "ClientError: Artifact upload failed: full",
        ),
        ({"launch_error": "no interpreter"}, INTERNAL_ERROR),
        ({"poll_error": "lost sight of it"}, INTERNAL_ERROR),
    ],
)
def test_failures_have_the_reasons_of_the_service(
    service: Service, plan: dict[str, str], reason: str
) -> None:
    service.create("job-1", plan=plan)
    job = service.ended("job-1")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Failed", "Failed")
    assert job["FailureReason"] == reason
    assert "discard" in service.executor.of("job-1") or "exit" in plan


def test_a_failure_reason_is_cut_to_1024_characters(service: Service) -> None:
    service.create("job-1", plan={"prepare_error": "x" * 2000})
    assert len(service.ended("job-1")["FailureReason"]) == 1024


def test_stop_sends_sigterm_and_uploads(service: Service) -> None:
    service.create("job-1", plan={"seconds": "100"})
    service.training("job-1")
    service.client.stop_training_job(TrainingJobName="job-1")
    assert service.describe("job-1")["TrainingJobStatus"] in {"Stopping", "Stopped"}
    job = service.ended("job-1")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert service.executor.of("job-1") == ["prepare", "launch", "terminate", "finish"]
    assert [entry["Status"] for entry in job["SecondaryStatusTransitions"]][-3:] == [
        "Stopping",
        "Uploading",
        "Stopped",
    ]
    assert job["ModelArtifacts"]["S3ModelArtifacts"]


def test_a_job_that_ignores_sigterm_is_killed_after_the_grace_time(service: Service) -> None:
    service.create("job-1", plan={"seconds": "100", "on_term": "ignore"})
    service.training("job-1")
    service.client.stop_training_job(TrainingJobName="job-1")
    service.client.stop_training_job(TrainingJobName="job-1")  # asking twice changes nothing
    assert service.ended("job-1")["TrainingJobStatus"] == "Stopped"
    assert service.executor.of("job-1") == ["prepare", "launch", "terminate", "kill", "finish"]


def test_a_job_that_is_still_starting_stops_without_ever_running(start: Callable[..., Service]) -> None:
    service = start(speed=100.0)
    service.create("job-1", keep_alive=600)
    service.client.stop_training_job(TrainingJobName="job-1")
    job = service.ended("job-1")
    assert job["TrainingJobStatus"] == "Stopped"
    assert service.executor.of("job-1") == []
    assert job["WarmPoolStatus"] == {"Status": "Terminated"}  # the cluster had not been launched
    assert "BillableTimeInSeconds" not in job
    assert "TrainingEndTime" not in job


def test_a_job_that_is_downloading_stops_without_running_and_keeps_its_pool(
    start: Callable[..., Service],
) -> None:
    service = start(speed=100.0)
    service.create(
        "job-1", keep_alive=20000, InputDataConfig=[channel("train")], plan={"download": "100000000000"}
    )
    service.until("job-1", lambda job: "prepare" in service.executor.of("job-1"))
    service.client.stop_training_job(TrainingJobName="job-1")
    assert service.ended("job-1")["TrainingJobStatus"] == "Stopped"
    assert service.executor.of("job-1") == ["prepare", "discard"]
    assert service.pool("job-1", "Available")


def test_a_stop_during_the_upload_ends_stopped(service: Service) -> None:
    service.create("job-1", plan={"upload_seconds": "0.6"})
    service.until("job-1", lambda job: job["SecondaryStatus"] == "Uploading")
    service.client.stop_training_job(TrainingJobName="job-1")
    assert service.ended("job-1")["TrainingJobStatus"] == "Stopped"


def test_the_run_time_limit_stops_a_job(service: Service) -> None:
    service.create("job-1", plan={"seconds": "100"}, StoppingCondition={"MaxRuntimeInSeconds": 1})
    job = service.ended("job-1")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert "terminate" in service.executor.of("job-1")


def test_stopping_what_is_over_or_unknown_is_refused(service: Service) -> None:
    service.create("job-1")
    service.ended("job-1")
    with pytest.raises(
        ClientError, match="rejected because the training job is in status Completed"
    ) as refused:
        service.client.stop_training_job(TrainingJobName="job-1")
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    for operation in (service.client.stop_training_job, service.client.describe_training_job):
        with pytest.raises(ClientError, match=r"Requested resource not found\.") as unknown:
            operation(TrainingJobName="nobody")
        assert unknown.value.response["Error"]["Code"] == "ValidationException"


def test_names_are_taken_until_the_job_is_deleted(service: Service) -> None:
    client = service.client
    service.create("job-1", keep_alive=600)
    with pytest.raises(
        client.exceptions.ResourceInUse, match="names must be unique within an AWS account and region"
    ):
        service.create("job-1")
    with pytest.raises(client.exceptions.ResourceInUse, match="InProgress"):
        client.delete_training_job(TrainingJobName="job-1")
    service.pool("job-1", "Available")
    with pytest.raises(client.exceptions.ResourceInUse, match="warm pool"):
        client.delete_training_job(TrainingJobName="job-1")
    client.update_training_job(TrainingJobName="job-1", ResourceConfig={"KeepAlivePeriodInSeconds": 0})
    client.delete_training_job(TrainingJobName="job-1")
    with pytest.raises(client.exceptions.ResourceNotFound):
        client.delete_training_job(TrainingJobName="job-1")
    service.create("job-1")
    assert service.ended("job-1")["TrainingJobStatus"] == "Completed"


def test_boto3s_own_waiter_is_content(service: Service) -> None:
    service.create("job-1")
    waiter = service.client.get_waiter("training_job_completed_or_stopped")
    waiter.config.delay = 0.05
    waiter.wait(TrainingJobName="job-1")
