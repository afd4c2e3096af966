"""Faults on demand and request rates."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from sagemaker_emulator.api.quotas import RATES, RequestRates
from sagemaker_emulator.service.errors import ServiceError
from sagemaker_emulator.service.faults import Fault, FaultInjector, parse_faults

Service = Any

SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 900},
}


def spot(*, max_runtime: int, max_wait: int) -> dict[str, Any]:
    limits = {"MaxRuntimeInSeconds": max_runtime, "MaxWaitTimeInSeconds": max_wait}
    return {"EnableManagedSpotTraining": True, "StoppingCondition": limits}


def statuses(job: dict[str, Any]) -> list[str]:
    return [entry["Status"] for entry in job["SecondaryStatusTransitions"]]


def test_without_capacity_a_job_fails_and_the_next_does_not(start: Callable[..., Service]) -> None:
    service = start(faults=[Fault(kind="capacity", target="ml.c5.*")])
    service.create("first", instance_type="ml.m5.large")
    service.create("second")
    job = service.ended("second")
    assert job["FailureReason"].startswith(
        "CapacityError: Unable to provision requested ML compute capacity."
    )
    assert statuses(job) == ["Starting", "Failed"]
    assert "BillableTimeInSeconds" not in job
    assert service.ended("first")["TrainingJobStatus"] == "Completed"
    service.create("third")
    assert service.ended("third")["TrainingJobStatus"] == "Completed"


def test_a_spot_job_waits_for_capacity(start: Callable[..., Service]) -> None:
    service = start(faults=[Fault(kind="capacity", count=1)])
    service.create("first", **SPOT)
    job = service.ended("first")
    assert job["TrainingJobStatus"] == "Completed"
    assert job["BillableTimeInSeconds"] < job["TrainingTimeInSeconds"]


def test_a_spot_job_does_not_wait_for_ever(start: Callable[..., Service]) -> None:
    service = start(faults=[Fault(kind="capacity", count=None)])
    service.create("first", **SPOT)
    job = service.ended("first")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")


def test_an_interrupted_spot_job_starts_again_elsewhere(start: Callable[..., Service]) -> None:
    service = start(faults=[Fault(kind="spot_interruption", target="first", seconds=0.05)])
    service.create("other")
    service.create("first", plan={"ends_in": "1"}, **SPOT)
    job = service.ended("first")
    assert statuses(job) == [
        "Starting",
        "Downloading",
        "Training",
        "Interrupted",
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    before, after = (order for order in service.executor.orders if order.name == "first")
    assert (before.attempt, after.attempt) == (0, 1)
    assert before.cluster_dir != after.cluster_dir
    assert service.executor.of("first") == [
        "prepare",
        "launch",
        "terminate",
        "kill",
        "discard",
        "prepare",
        "launch",
        "finish",
    ]
    assert "Interrupted" not in statuses(service.ended("other"))


def test_an_interrupted_job_has_the_notice_of_a_stop(start: Callable[..., Service]) -> None:
    """One that ignores SIGTERM is killed when the notice is over, and what it left before that counts."""
    service = start(faults=[Fault(kind="spot_interruption", target=name) for name in ("deaf", "done")])
    service.create("deaf", plan={"seconds": "100", "on_term": "ignore"}, **SPOT)
    service.until("deaf", lambda job: statuses(job).count("Training") == 2)
    assert service.executor.of("deaf")[:5] == ["prepare", "launch", "terminate", "kill", "discard"]
    service.client.stop_training_job(TrainingJobName="deaf")
    assert service.ended("deaf")["TrainingTimeInSeconds"] >= 120
    service.create("done", plan={"ends_in": "1", "exit": "0"}, **SPOT)
    assert statuses(service.ended("done")).count("Training") == 2, "its instance was lost all the same"


def test_all_lives_of_a_job_share_its_limits(start: Callable[..., Service]) -> None:
    """MaxRuntime counts the training of all of them, MaxWait all the time since the job was created."""
    service = start(faults=[Fault(kind="spot_interruption", count=None, seconds=0.1)])
    service.create("long", plan={"seconds": "100"}, **spot(max_runtime=1, max_wait=100_000))
    job = service.ended("long")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert statuses(job).count("Interrupted") >= 1  # no life alone was as long as that
    service.create("late", plan={"seconds": "100"}, **spot(max_runtime=300, max_wait=400))
    job = service.ended("late")
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert statuses(job).count("Interrupted") >= 1
    assert 0 < job["BillableTimeInSeconds"] < job["TrainingTimeInSeconds"]


def test_an_interruption_uses_up_no_retry(start: Callable[..., Service]) -> None:
    service = start(faults=[Fault(kind="spot_interruption", count=2), Fault(kind="internal_error", count=1)])
    service.create("first", plan={"ends_in": "3"}, RetryStrategy={"MaximumRetryAttempts": 1}, **SPOT)
    job = service.ended("first")
    assert job["TrainingJobStatus"] == "Completed"
    assert statuses(job).count("Training") == 4


def test_jobs_that_are_not_spot_are_not_interrupted(start: Callable[..., Service]) -> None:
    service = start(faults=[Fault(kind="spot_interruption")])
    service.create("first")
    assert "Interrupted" not in statuses(service.ended("first"))


def test_an_internal_error_is_retried_as_often_as_asked(start: Callable[..., Service]) -> None:
    service = start(faults=[Fault(kind="internal_error", target="ret*", count=3)])
    service.create("retried", plan={"ends_in": "3"}, RetryStrategy={"MaximumRetryAttempts": 3})
    job = service.ended("retried")
    assert job["TrainingJobStatus"] == "Completed"
    assert statuses(job).count("Starting") == 4
    service.client.delete_training_job(TrainingJobName="retried")
    add(service, [{"kind": "internal_error", "count": None}])
    service.create("failed", plan={"seconds": "100"}, RetryStrategy={"MaximumRetryAttempts": 1})
    job = service.ended("failed")
    assert job["FailureReason"] == "InternalServerError: We encountered an internal error. Please try again."
    assert statuses(job).count("Training") == 2


def test_a_lost_answer_was_carried_out(start: Callable[..., Service]) -> None:
    service = start(faults=[Fault(kind="lost_answer", target="CreateTrainingJob")])
    with pytest.raises(ConnectionClosedError):
        service.create("first")
    with pytest.raises(service.client.exceptions.ResourceInUse):
        service.create("first")
    assert service.ended("first")["TrainingJobStatus"] == "Completed"


def test_a_refused_request_keeps_its_answer(start: Callable[..., Service]) -> None:
    service = start(faults=[Fault(kind="lost_answer", target="DescribeTrainingJob")])
    with pytest.raises(ClientError, match="not found"):
        service.describe("nobody")


def test_a_throttle_storm_hits_the_named_operation(start: Callable[..., Service]) -> None:
    service = start(faults=[Fault(kind="throttle", target="List*", count=2)])
    service.create("first")
    for _ in range(2):
        with pytest.raises(ClientError, match="Rate exceeded") as refused:
            service.client.list_training_jobs()
        assert refused.value.response["Error"]["Code"] == "ThrottlingException"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert service.client.list_training_jobs()["TrainingJobSummaries"]


def test_reading_the_log_has_a_rate_too(start: Callable[..., Service]) -> None:
    service = start(faults=[Fault(kind="throttle", target="FilterLogEvents")])
    logs = service.connect(service="logs")
    with pytest.raises(ClientError, match="Rate exceeded") as refused:
        logs.filter_log_events(logGroupName="group")
    assert refused.value.response["Error"]["Code"] == "ThrottlingException"


def test_a_stale_list_shows_the_past(start: Callable[..., Service]) -> None:
    service = start(speed=100.0)
    service.create("first", keep_alive=20000, plan={"seconds": "1"})
    service.pool("first", "Available")
    seconds = 100 * (time.time() - service.describe("first")["CreationTime"].timestamp())
    add(service, [{"kind": "stale", "target": "ListTrainingJobs", "seconds": seconds, "count": 1}])
    service.create("second", RoleArn="arn:aws:iam::123456789012:role/Other")
    (seen,) = service.client.list_training_jobs()["TrainingJobSummaries"]
    assert (seen["TrainingJobName"], seen["TrainingJobStatus"]) == ("first", "InProgress")
    assert seen["WarmPoolStatus"] == {"Status": "InUse"}
    assert len(service.client.list_training_jobs()["TrainingJobSummaries"]) == 2
    add(service, [{"kind": "stale", "target": "Search", "seconds": 0.0}])
    assert len(service.client.search(Resource="TrainingJob")["Results"]) == 2


def test_published_rates_hold_for_each_service_second(start: Callable[..., Service]) -> None:
    service = start(speed=1.0)
    create = service.client.create_training_job
    for n in range(int(RATES["CreateTrainingJob"][1])):
        create(**service.request(f"job-{n}"))
    with pytest.raises(ClientError, match="Rate exceeded"):  # unless the machine took seconds for those few
        [create(**service.request(f"more-{n}")) for n in range(100)]
    assert service.client.list_training_jobs()[
        "TrainingJobSummaries"
    ]  # other operations have rates of their own


def test_throttling_can_be_switched_off(start: Callable[..., Service]) -> None:
    service = start(speed=1.0, throttle="off")
    for _ in range(int(RATES["ListTrainingJobs"][1]) + 5):
        service.client.list_training_jobs()


def test_buckets_fill_with_the_speed() -> None:
    now = 0.0
    rates = RequestRates(10.0, clock=lambda: now)
    rate, burst = RATES["ListTrainingJobs"]
    for _ in range(int(burst)):
        rates.acquire("ListTrainingJobs")
    with pytest.raises(ServiceError, match="Rate exceeded"):
        rates.acquire("ListTrainingJobs")
    now = 1.01 / (rate * 10.0)
    rates.acquire("ListTrainingJobs")
    with pytest.raises(ServiceError):
        rates.acquire("ListTrainingJobs")
    rates.acquire("SomethingElse")


def add(service: Service, faults: list[dict[str, Any]]) -> None:
    call(service, "POST", {"faults": faults})


def call(service: Service, method: str, body: Any = None, key: str = "KEY") -> dict[str, Any]:
    status, answer = answered(service, method, body, key)
    assert status == 200, answer
    return answer


def answered(service: Service, method: str, body: Any, key: str = "KEY") -> tuple[int, dict[str, Any]]:
    line = HTTPConnection(urlsplit(service.url).netloc, timeout=300)
    line.request(
        method, "/_faults", body if isinstance(body, str) else json.dumps(body), {"x-emulator-key": key}
    )
    answer = line.getresponse()
    members = json.loads(answer.read())
    line.close()
    return answer.status, members


def test_faults_are_set_shown_and_cleared_over_http(service: Service) -> None:
    answer = call(service, "POST", {"faults": [{"kind": "capacity", "target": "ml.g5.*", "count": 3}]})
    assert answer == call(service, "GET")
    (fault,) = answer["faults"]
    assert fault == {"kind": "capacity", "target": "ml.g5.*", "count": 3, "probability": 1.0, "seconds": 0.0}
    assert call(service, "DELETE") == {"faults": []}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("{", "Expecting"),
        ([], "faults are given as"),
        ({"faults": [1]}, "an object with a kind"),
        ({"faults": [{"kind": "meteor"}]}, "unknown fault kind 'meteor'"),
        ({"faults": [{"target": "x"}]}, "missing: kind"),
        ({"faults": [{"kind": "stale", "when": 1}]}, "'when'"),
        ({"faults": [{"kind": "stale", "count": 0}]}, "count of a fault must be 1 or more"),
        ({"faults": [{"kind": "stale", "probability": 2}]}, "must be in 0..1"),
        ({"faults": [{"kind": "stale", "probability": "often"}]}, "wrong type"),
        ({"faults": [{"kind": "s3_error", "target": 5}]}, "target of a fault must be a text, not 5"),
        ({"faults": [{"kind": "s3_error", "seconds": "1"}]}, "seconds of a fault must be a number"),
        ({"faults": [{"kind": "s3_error", "count": 1.5}]}, "count of a fault must be 1 or more"),
    ],
)
def test_wrong_faults_are_refused(service: Service, body: Any, text: str) -> None:
    status, answer = answered(service, "POST", body)
    assert status == 400
    assert text in answer["message"]
    assert call(service, "GET") == {"faults": []}


def test_faults_need_the_key(service: Service) -> None:
    assert answered(service, "GET", None, key="OTHER")[0] == 403


def test_chances_are_drawn_once_for_each_name_and_repeatably() -> None:
    faults = parse_faults({"faults": [{"kind": "capacity", "probability": 0.5, "count": None}]})
    hits = [FaultInjector(faults, seed=1).trigger("capacity", "t", once=str(n)) is not None for n in range(3)]
    book = FaultInjector(faults, seed=1)
    drawn = [book.trigger("capacity", "t", once=str(n)) is not None for n in range(200)]
    assert drawn[0] == hits[0]
    assert 60 < sum(drawn) < 140
    assert not any(book.trigger("capacity", "t", once=str(n)) for n in range(200))
