"""The services that moto answers, and the log store."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from werkzeug.test import Client

from sagemaker_emulator.storage import EXECUTION_ROLE_ARN, TRAINING_LOG_GROUP, AwsServices, LogStore


def now() -> int:
    return int(time.time() * 1000)


def test_account_and_role(client: Callable[[str], Any]) -> None:
    assert client("sts").get_caller_identity()["Account"] == "123456789012"
    iam = client("iam")
    assert [role["Arn"] for role in iam.list_roles()["Roles"]] == [EXECUTION_ROLE_ARN]
    role = iam.get_role(RoleName=EXECUTION_ROLE_ARN.rpartition("/")[2])["Role"]
    assert "sagemaker.amazonaws.com" in str(role["AssumeRolePolicyDocument"])


def test_a_simulated_policy_allows_what_is_never_checked(client: Callable[[str], Any]) -> None:
    actions = ["sagemaker:CreateTrainingJob", "s3:GetObject"]
    pages = client("iam").get_paginator("simulate_principal_policy")
    found = pages.paginate(PolicySourceArn=EXECUTION_ROLE_ARN, ActionNames=actions).build_full_result()
    assert [(one["EvalActionName"], one["EvalDecision"]) for one in found["EvaluationResults"]] == [
        (action, "allowed") for action in actions
    ]


@pytest.mark.parametrize(
    ("service", "operation", "arguments"),
    [
        ("iam", "get_service_last_accessed_details", {"JobId": "1" * 36}),
        ("logs", "get_log_record", {"logRecordPointer": "x"}),
    ],
)
def test_an_unknown_operation_is_refused_by_name_and_not_tried_again(
    client: Callable[[str], Any], service: str, operation: str, arguments: dict[str, str]
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(client(service), operation)(**arguments)
    answer = caught.value.response
    assert answer["Error"]["Code"] == "NotImplemented"
    assert operation in answer["Error"]["Message"]
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert answer["ResponseMetadata"]["RetryAttempts"] == 0


def test_lines_written_in_process_are_read_over_http(aws: AwsServices, client: Callable[[str], Any]) -> None:
    logs = client("logs")
    at = now()
    aws.logs.append("job/algo-1-1", [(at, "one"), (at + 1, "two")])
    aws.logs.append("job/algo-1-1", [])
    events = logs.get_log_events(
        logGroupName=TRAINING_LOG_GROUP, logStreamName="job/algo-1-1", startFromHead=True
    )["events"]
    assert [(event["timestamp"], event["message"]) for event in events] == [(at, "one"), (at + 1, "two")]


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("exp-a", {"a1", "a2"}),
        ("exp-a-1/", {"a1"}),
        ("exp", {"a1", "a2", "b"}),
        ("other", set()),
        (None, {"a1", "a2", "b"}),
    ],
)
def test_filter_by_stream_prefix(
    aws: AwsServices, client: Callable[[str], Any], prefix: str | None, expected: set[str]
) -> None:
    for stream, line in (("exp-a-1/algo-1-1", "a1"), ("exp-a-2/algo-1-1", "a2"), ("exp-b-1/algo-1-1", "b")):
        aws.logs.append(stream, [(now(), line)])
    arguments = {} if prefix is None else {"logStreamNamePrefix": prefix}
    events = client("logs").filter_log_events(logGroupName=TRAINING_LOG_GROUP, **arguments)["events"]
    assert {event["message"] for event in events} == expected


def test_streams_of_an_unknown_group(aws: AwsServices) -> None:
    assert aws.logs.streams("nothing", "") == []


def lines_of(aws: AwsServices, client: Callable[[str], Any]) -> list[str]:
    events = client("logs").filter_log_events(logGroupName=TRAINING_LOG_GROUP)["events"]
    return [event["message"] for event in events]


def test_the_next_emulator_has_the_lines(aws: AwsServices, client: Callable[[str], Any]) -> None:
    last_year = now() - 365 * 86_400_000
    aws.logs.append("job/algo-1-1", [(last_year, "one \u2028 \x85"), (now(), "two")])
    aws.logs.append("job/algo-1-1", [(now(), "three")])
    [file] = (aws.directory / "logs").iterdir()
    with file.open("a") as torn:
        torn.write('[17000, "fo')
    again = AwsServices(aws.directory, region="us-east-1")
    assert lines_of(again, client) == ["one \u2028 \x85", "two", "three"]
    assert again.logs.streams(TRAINING_LOG_GROUP, "job/") == ["job/algo-1-1"]


def test_lines_that_cannot_be_kept_are_shown(aws: AwsServices, client: Callable[[str], Any]) -> None:
    (aws.directory / "logs").rmdir()
    aws.logs.append("job/algo-1-1", [(now(), "one")])
    assert lines_of(aws, client) == ["one"]


def test_lines_reach_the_log_late(tmp_path: Path) -> None:
    clock = [0.0]
    logs = LogStore(tmp_path, region="us-east-1", delay=5.0, clock=lambda: clock[0])
    request = {"logGroupName": TRAINING_LOG_GROUP}
    for line, clock[0] in (("one", 0.0), ("two", 4.0)):
        logs.append("job/algo-1-1", [(now(), line)])
    shown: list[list[str]] = []
    for clock[0] in (4.9, 5.0, 9.0):
        logs.publish_due()
        answer = logs.filter(request)
        assert answer is not None
        shown.append([event["message"] for event in answer["events"]])
    assert shown == [[], ["one"], ["one", "two"]]
    assert logs.filter({"logGroupName": "another"}) is None


def test_a_search_page_by_page(aws: AwsServices, client: Callable[[str], Any]) -> None:
    """In order of time over all streams; many of them cost an empty page first, and a page has its size."""
    at = now()
    for number in range(12):
        lines = [(at + number, "term a"), (at + 100 - number, "b" * 100_000)]
        aws.logs.append(f"exp-{number}/algo-1-1", lines)
    asked: dict[str, Any] = {"logGroupName": TRAINING_LOG_GROUP, "logStreamNamePrefix": "exp-"}
    logs = client("logs")

    def pages(**more: Any) -> list[list[int]]:
        found = logs.get_paginator("filter_log_events").paginate(**asked, **more)
        return [[event["timestamp"] - at for event in page["events"]] for page in found]

    assert pages(filterPattern='"term a"') == [[], list(range(12))]
    assert pages(startTime=at + 11, endTime=at + 90) == [[], [11, 89, 90]]
    first, *rest = pages()
    assert first == []
    assert [len(page) for page in rest] == [22, 2]
    assert [at for page in rest for at in page] == [*range(12), *range(89, 101)]
    page = logs.filter_log_events(**asked, limit=5, nextToken=logs.filter_log_events(**asked)["nextToken"])
    assert len(page["events"]) == 5


@pytest.mark.parametrize(
    "wrong",
    [
        {"nextToken": "what?"},
        {"logStreamNames": ["a"], "logStreamNamePrefix": "a"},
    ],
)
def test_searches_that_contradict_themselves(client: Callable[[str], Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(ClientError) as caught:
        client("logs").filter_log_events(logGroupName=TRAINING_LOG_GROUP, **wrong)
    assert caught.value.response["Error"]["Code"] == "InvalidParameterException"


def test_a_search_in_no_group_and_in_named_streams(aws: AwsServices, client: Callable[[str], Any]) -> None:
    logs = client("logs")
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        logs.filter_log_events(logGroupName="another")
    for name in ("a", "b"):
        aws.logs.append(name, [(now(), name)])
    found = logs.filter_log_events(logGroupName=TRAINING_LOG_GROUP, logStreamNames=["b", "c"])["events"]
    assert [event["message"] for event in found] == ["b"]


@pytest.mark.parametrize("target", ["Foo.Bar", "Logs_20140328.Nope"])
def test_an_unknown_service_is_refused(aws: AwsServices, target: str) -> None:
    signature = "AWS4-HMAC-SHA256 Credential=KEY/20260101/us-east-1/foo/aws4_request, Signature=x"
    headers = {"X-Amz-Target": target, "Authorization": signature}
    answer = Client(aws.app).post("/", data=b"{}", headers=headers)
    assert (answer.status_code, json.loads(answer.data)["__type"]) == (501, "NotImplemented")
