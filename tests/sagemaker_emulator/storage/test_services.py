"""The services that moto answers, and the log store."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sagemaker_emulator.storage import EXECUTION_ROLE_ARN, TRAINING_LOG_GROUP, AwsServices


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
