"""Session, identity and S3 objects against the services of the emulator's library, in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from moto import mock_aws

from tunewright.aws import (
    AwsSession,
    ServiceError,
    default_bucket,
    ensure_bucket,
    find_role,
    open_session,
    resolve_endpoint,
)
from tunewright.aws.account import partition
from tunewright.aws.endpoint import Endpoint, EndpointKind
from tunewright.exceptions import BackendError, MissingExtraError

ACCOUNT = "123456789012"
REGION = "eu-west-1"


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("TUNEWRIGHT_SAGEMAKER_ROLE", "AWS_ROLE", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        yield


@pytest.fixture
def session() -> Iterator[AwsSession]:
    session = open_session(resolve_endpoint("aws", region=REGION))
    yield session
    session.close()


def test_a_session_knows_its_account_and_counts_calls(session: AwsSession) -> None:
    assert session.account == ACCOUNT
    assert session.call("ListTrainingJobs")["TrainingJobSummaries"] == []
    assert session.calls == {"GetCallerIdentity": 1, "ListTrainingJobs": 1}
    session.revive()
    session.close()
    session.close()


def test_a_refused_call_is_a_service_error(session: AwsSession) -> None:
    with pytest.raises(ServiceError) as caught:
        session.call("DescribeTrainingJob", TrainingJobName="nobody")
    assert caught.value.code == "ValidationException"
    assert not caught.value.is_transient
    with pytest.raises(ServiceError, match="TrainingJobName"):
        session.call("DescribeTrainingJob")


def test_no_answer_is_a_service_error_that_may_have_been_carried_out() -> None:
    endpoint = Endpoint(kind=EndpointKind.OTHER, region=REGION, url="http://127.0.0.1:9")
    with pytest.raises(BackendError, match="does not answer"):
        open_session(endpoint)


def test_the_role_that_is_given_wins(session: AwsSession, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/mine"
    assert find_role(session, arn) == arn
    assert find_role(session, "mine") == arn
    monkeypatch.setenv("AWS_ROLE", "second")
    assert find_role(session).endswith(":role/second")
    monkeypatch.setenv("TUNEWRIGHT_SAGEMAKER_ROLE", "first")
    assert find_role(session).endswith(":role/first")


def test_the_accounts_role_is_found(session: AwsSession) -> None:
    with pytest.raises(BackendError, match="--role"):
        find_role(session)
    iam = session.client("iam")
    for name in ("other", "AmazonSageMaker-ExecutionRole-2026"):
        iam.create_role(RoleName=name, Path="/service-role/", AssumeRolePolicyDocument="{}")
    assert (
        find_role(session) == f"arn:aws:iam::{ACCOUNT}:role/service-role/AmazonSageMaker-ExecutionRole-2026"
    )


def refuse(session: AwsSession, service: str, operation: str, code: str) -> None:
    """Let an operation fail with a code of the service."""

    def fail(**_: object) -> tuple[object, dict[str, object]]:
        answer = SimpleNamespace(status_code=403)
        parsed = {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": 403}}
        return answer, parsed

    session.client(service).meta.events.register(f"before-call.{service}.{operation}", fail)


def test_roles_that_cannot_be_listed_are_said(session: AwsSession) -> None:
    refuse(session, "iam", "ListRoles", "AccessDenied")
    with pytest.raises(BackendError, match=r"cannot be listed.*--role"):
        find_role(session)


def test_a_bucket_of_somebody_else_is_said(session: AwsSession) -> None:
    refuse(session, "s3", "HeadBucket", "403")
    with pytest.raises(BackendError, match="cannot be used"):
        ensure_bucket(session)


def test_a_bucket_that_cannot_be_made_is_said(session: AwsSession) -> None:
    refuse(session, "s3", "CreateBucket", "AccessDenied")
    with pytest.raises(BackendError, match="cannot be created"):
        ensure_bucket(session)


def test_throttling_lowers_the_rate(session: AwsSession) -> None:
    session.client("sagemaker")
    before = session.bucket_of("ListTrainingJobs").rate
    parsed = {"Error": {"Code": "ThrottlingException"}}
    session.client("sagemaker").meta.events.emit(
        "response-received.sagemaker.ListTrainingJobs", parsed_response=parsed
    )
    assert session.bucket_of("ListTrainingJobs").rate == before / 2


@pytest.mark.parametrize(
    ("code", "text"),
    [("ExpiredToken", "does not accept the credentials"), ("SomethingElse", "does not answer")],
)
def test_credentials_that_do_not_work_are_said(monkeypatch: pytest.MonkeyPatch, code: str, text: str) -> None:
    original = AwsSession.client

    def client(self: AwsSession, service: str) -> Any:
        made = original(self, service)
        made.meta.events.register_first(
            "before-call.sts",
            lambda **_: (
                SimpleNamespace(status_code=403),
                {"Error": {"Code": code, "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": 403}},
            ),
        )
        return made

    monkeypatch.setattr(AwsSession, "client", client)
    with pytest.raises(BackendError, match=text):
        open_session(resolve_endpoint("aws", region=REGION))


def test_missing_credentials_are_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as context:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
            context.delenv(name, raising=False)
        context.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        context.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        context.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with pytest.raises(BackendError, match=r"No usable AWS.*--endpoint embedded"):
            open_session(resolve_endpoint("aws", region=REGION))


def test_a_missing_boto3_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtraError, match=r"\[aws\]'"):
        open_session(resolve_endpoint("aws", region=REGION))


def test_the_embedded_endpoint_takes_any_role() -> None:
    session = AwsSession(resolve_endpoint("embedded"))
    session.account = ACCOUNT
    assert find_role(session).startswith(f"arn:aws:iam::{ACCOUNT}:role/")


def test_partitions() -> None:
    assert [partition(r) for r in ("cn-north-1", "us-gov-west-1", "us-east-1")] == [
        "aws-cn",
        "aws-us-gov",
        "aws",
    ]


def test_the_default_bucket_is_made_once(session: AwsSession) -> None:
    assert ensure_bucket(session) == default_bucket(session) == f"sagemaker-{REGION}-{ACCOUNT}"
    assert ensure_bucket(session) == default_bucket(session)
    assert session.calls["CreateBucket"] == 1


def test_a_given_bucket_must_be_there(session: AwsSession) -> None:
    with pytest.raises(BackendError, match="--bucket"):
        ensure_bucket(session, "missing-bucket")


def test_objects(session: AwsSession, tmp_path: Path) -> None:
    objects = session.objects(ensure_bucket(session), "/some/where/")
    assert objects.uri("a") == f"s3://{default_bucket(session)}/some/where/a"
    assert objects.get("a") is None
    assert not objects.exists("a")
    objects.put("a", b"1")
    objects.put("b/c d", b"22")
    (tmp_path / "file").write_bytes(b"333")
    objects.put_files([("b/é", tmp_path / "file")])
    assert objects.get("b/c d") == b"22"
    assert objects.exists("a")
    assert [(o.key, o.size) for o in objects.list()] == [("a", 1), ("b/c d", 2), ("b/é", 3)]
    assert [o.key for o in objects.list(start_after="a")] == ["b/c d", "b/é"]
    assert [o.key for o in objects.under("b").list()] == ["c d", "é"]
    objects.delete_under("b/")
    objects.delete(["a", "never was"])
    assert list(objects.list()) == []


def test_a_listing_goes_on_over_pages(session: AwsSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewright.aws.objects._PAGE", 2)
    objects = session.objects(ensure_bucket(session), "p")
    for number in range(5):
        objects.put(str(number), b"")
    assert [o.key for o in objects.list()] == list("01234")
    objects.delete(list("01234"))
    assert list(objects.list()) == []


def test_objects_of_a_missing_bucket_are_an_error(session: AwsSession) -> None:
    objects = session.objects("no-such-bucket-here", "")
    with pytest.raises(ServiceError) as caught:
        objects.put("a", b"")
    assert caught.value.code == "NoSuchBucket"
    with pytest.raises(ServiceError):
        objects.get("a")
