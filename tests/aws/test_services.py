"""Session, identity and S3 objects against the services of the emulator's library, in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.core.utils import utcnow
from moto.sts.models import AssumedRole

from tunewright.aws import (
    AwsSession,
    ServiceError,
    StoredObject,
    default_bucket,
    ensure_bucket,
    find_role,
    open_session,
    resolve_endpoint,
)
from tunewright.aws.account import partition
from tunewright.aws.embedded import PRESET_VARIABLE
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


TRUST = json.dumps({"Statement": [{"Principal": {"Service": "sagemaker.amazonaws.com"}}]})


def create_role(session: AwsSession, name: str, path: str = "/service-role/", trust: str = TRUST) -> str:
    """ARN of a new role."""
    answer = session.client("iam").create_role(RoleName=name, Path=path, AssumeRolePolicyDocument=trust)
    return answer["Role"]["Arn"]


def test_the_role_that_is_given_wins(session: AwsSession, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/mine"
    assert find_role(session, arn) == arn
    mine = create_role(session, "mine")
    assert mine == f"arn:aws:iam::{ACCOUNT}:role/service-role/mine"
    assert find_role(session, "mine") == find_role(session, "service-role/mine") == mine
    monkeypatch.setenv("AWS_ROLE", create_role(session, "second", "/"))
    assert find_role(session).endswith(":role/second")
    create_role(session, "first", "/a/b/")
    monkeypatch.setenv("TUNEWRIGHT_SAGEMAKER_ROLE", "first")
    assert find_role(session).endswith(":role/a/b/first")
    with pytest.raises(BackendError, match=r"no role missing: correct --role"):
        find_role(session, "missing")


def test_the_embedded_endpoint_takes_any_role_unless_it_checks_them(
    session: AwsSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    dry = replace(session.endpoint, kind=EndpointKind.EMBEDDED)
    running = replace(dry, url="http://127.0.0.1:9")
    for endpoint, preset in ((running, "default"), (dry, "new-account")):
        monkeypatch.setattr(session, "endpoint", endpoint)
        monkeypatch.setenv(PRESET_VARIABLE, preset)
        assert find_role(session).endswith(":role/AmazonSageMaker-ExecutionRole-Embedded")
        assert find_role(session, "mine").endswith(":role/mine")
    session.client("iam")  # of the library, whatever the address
    monkeypatch.setattr(session, "endpoint", running)
    with pytest.raises(BackendError, match="no role for SageMaker jobs: create one"):
        find_role(session)
    with pytest.raises(BackendError, match="no role mine"):
        find_role(session, "mine")
    only = create_role(session, "AmazonSageMaker-ExecutionRole-2026")
    assert find_role(session) == only


def test_a_role_that_may_not_be_looked_up_is_one_of_the_console(
    session: AwsSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(session, "iam", "GetRole", "AccessDenied")
    assert find_role(session, "mine") == f"arn:aws:iam::{ACCOUNT}:role/service-role/mine"
    assert find_role(session, "a/mine") == f"arn:aws:iam::{ACCOUNT}:role/a/mine"
    monkeypatch.setenv("TUNEWRIGHT_SAGEMAKER_ROLE", f"arn:aws:iam::{ACCOUNT}:role/b/mine")
    assert find_role(session, "mine") == f"arn:aws:iam::{ACCOUNT}:role/b/mine"
    assert find_role(session, "ine") == f"arn:aws:iam::{ACCOUNT}:role/service-role/ine"


def test_the_accounts_only_role_is_found(session: AwsSession) -> None:
    with pytest.raises(BackendError, match="--role"):
        find_role(session)
    create_role(session, "other")
    only = create_role(session, "AmazonSageMaker-ExecutionRole-2026")
    assert find_role(session) == only
    more = create_role(session, "AAA-AmazonSageMaker-ExecutionRole-other-team")
    with pytest.raises(BackendError, match="Several roles") as caught:
        find_role(session)
    assert only in str(caught.value)
    assert more in str(caught.value)


def test_in_a_notebook_its_execution_role_is_found(
    session: AwsSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    create_role(session, "AmazonSageMaker-ExecutionRole-of-others")
    mine = f"arn:aws:iam::{ACCOUNT}:role/service-role/my-studio"
    metadata = tmp_path / "resource-metadata.json"
    monkeypatch.setattr("tunewright.aws.account._METADATA_FILE", metadata)
    metadata.write_text(json.dumps({"AppType": "JupyterLab", "DomainId": "d-1", "ExecutionRoleArn": mine}))
    assert find_role(session) == mine
    metadata.write_text(json.dumps({"ResourceName": "my-notebook"}))
    assert find_role(session).endswith("ExecutionRole-of-others")


def test_the_role_of_this_process_is_taken_if_sagemaker_may_assume_it(session: AwsSession) -> None:
    others = create_role(session, "AmazonSageMaker-ExecutionRole-of-others")
    for name, trust, found in (("mine", TRUST, ":role/service-role/mine"), ("admin", "{}", others)):
        arn = create_role(session, name, trust=trust)
        inside = open_session(resolve_endpoint("aws", region=REGION, assume_role=arn))
        try:
            assert inside.caller.startswith(f"arn:aws:sts::{ACCOUNT}:assumed-role/{name}/")
            assert find_role(inside).endswith(found)
        finally:
            inside.close()


def test_the_role_of_this_process_is_guessed_if_it_may_not_be_looked_up(session: AwsSession) -> None:
    arn = create_role(session, "AmazonSageMaker-ExecutionRole-mine")
    create_role(session, "AmazonSageMaker-ExecutionRole-of-others")
    inside = open_session(resolve_endpoint("aws", region=REGION, assume_role=arn))
    refuse(inside, "iam", "GetRole", "AccessDenied")
    try:
        assert find_role(inside) == arn
    finally:
        inside.close()


def test_an_assumed_role_is_assumed_again_before_it_expires(
    session: AwsSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = create_role(session, "mine")
    made: list[AssumedRole] = []
    original = AssumedRole.__init__

    def init(role: AssumedRole, *arguments: Any, **more: Any) -> None:
        original(role, *arguments, **more)
        role.expiration = utcnow() + timedelta(seconds=60)
        made.append(role)

    monkeypatch.setattr(AssumedRole, "__init__", init)
    inside = open_session(resolve_endpoint("aws", region=REGION, assume_role=arn))
    inside.call("ListTrainingJobs")
    inside.close()
    assert len(made) >= 2


def test_a_role_that_cannot_be_assumed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "AssumeRole")

    def assume(*_: object, **__: object) -> None:
        raise denied

    monkeypatch.setattr(AssumedRole, "__init__", assume)
    arn = f"arn:aws:iam::{ACCOUNT}:role/admin"
    with pytest.raises(BackendError, match=r"role/admin cannot be assumed.*--assume_role"):
        open_session(resolve_endpoint("aws", region=REGION, assume_role=arn))


def test_a_profile_gives_region_and_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile work]\nregion = eu-north-1\n")
    (tmp_path / "credentials").write_text("[work]\naws_access_key_id = AKWORK\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.delenv("AWS_REGION", raising=False)
    session = open_session(resolve_endpoint("auto", profile="work"))
    signed: list[str] = []
    events = session.client("sts").meta.events
    events.register("before-send.sts", lambda request, **_: signed.append(str(request.headers)))
    session.client("sts").get_caller_identity()
    session.close()
    assert session.endpoint.region == "eu-north-1"
    assert "AKWORK" in signed[0]


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


def test_throttled_operations_are_named() -> None:
    session, throttled = AwsSession(resolve_endpoint("embedded")), list[str]()
    session.on_throttled = throttled.append
    events = session.client("sagemaker").meta.events
    for code in ("ThrottlingException", "ValidationException"):
        answer = {"Error": {"Code": code, "Message": ""}}
        events.emit("response-received.sagemaker.CreateTrainingJob", parsed_response=answer)
    session.close()
    assert throttled == ["CreateTrainingJob"]


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


def test_listings_are_read_as_botocore_reads_them(session: AwsSession) -> None:
    plain = boto3.client("s3", region_name=REGION)
    plain.create_bucket(Bucket="listings", CreateBucketConfiguration={"LocationConstraint": REGION})
    names = ["a b", "a+b&c", "<é>/ü%20", '"quoted"', *(f"many/{number:04d}" for number in range(1001))]
    for name in names:
        plain.put_object(Bucket="listings", Key=f"top/{name}", Body=name.encode())
    pages = plain.get_paginator("list_objects_v2").paginate(Bucket="listings", Prefix="top/")
    wanted = [
        StoredObject(
            key=entry["Key"].removeprefix("top/"),
            size=entry["Size"],
            etag=entry["ETag"].strip('"'),
            modified=entry["LastModified"].timestamp(),
        )
        for page in pages
        for entry in page["Contents"]
    ]
    objects = session.objects("listings", "top")
    assert list(objects.list()) == wanted
    assert {stored.key for stored in wanted} == set(names)
    assert [stored.key for stored in objects.list("a")] == ["a b", "a+b&c"]
    assert list(objects.list("nothing")) == []
    assert not objects.exists("many")


@pytest.mark.parametrize(
    "bodies",
    [
        pytest.param(["<ListBucketResult><Contents><Key>top/a</Key>"], id="incomplete"),
        pytest.param(["<Error><Code>InternalError</Code></Error>"], id="error"),
    ],
)
def test_a_listing_that_is_none_is_requested_again(session: AwsSession, bodies: list[str]) -> None:
    whole = "<ListBucketResult><Contents><Key>top/a</Key><Size>1</Size></Contents></ListBucketResult>"
    answers = [*bodies, whole]

    def answer(request: Any, **_: Any) -> AWSResponse:
        raw = SimpleNamespace(stream=lambda **_: iter([answers.pop(0).encode()]))
        return AWSResponse(request.url, 200, {}, raw)

    session.client("s3").meta.events.register_first("before-send.s3.ListObjectsV2", answer)
    assert [stored.key for stored in session.objects("listings", "top").list()] == ["a"]
    assert not answers
