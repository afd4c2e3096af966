"""Credentials, clocks and buckets that cannot work: each is told apart, with its remedy."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore import exceptions

from tunewright.aws import Endpoint, EndpointKind, ServiceError, ensure_bucket
from tunewright.aws.boto import service_errors
from tunewright.exceptions import BackendError
from tunewright.runner.contract import BucketTerms


@pytest.mark.parametrize(
    "error",
    [
        exceptions.NoCredentialsError(),
        exceptions.UnauthorizedSSOTokenError(),
        exceptions.CredentialRetrievalError(provider="process", error_msg="exit 1"),
    ],
)
def test_credentials_that_boto3_cannot_get_are_no_lost_answer(error: Exception) -> None:
    with pytest.raises(ServiceError) as caught, service_errors():
        raise error
    assert caught.value.is_denied
    assert not caught.value.is_lost
    assert "aws sso login" in caught.value.remedy


def test_a_lost_answer_is_no_denial() -> None:
    with pytest.raises(ServiceError) as caught, service_errors():
        raise exceptions.ReadTimeoutError(endpoint_url="x")
    assert caught.value.is_lost
    assert caught.value.remedy == ""


@pytest.mark.parametrize(
    ("code", "text", "word"),
    [
        ("RequestTimeTooSkewed", "too large", "clock"),
        ("SignatureDoesNotMatch", "Signature not yet current: 2", "clock"),
        ("SignatureDoesNotMatch", "the signature we calculated", "new access keys"),
        ("ExpiredToken", "expired", "have expired"),
        ("AccessDenied", "no", "permission"),
        ("UnrecognizedClientException", "invalid token", "renew"),
    ],
)
def test_denials_are_told_apart(code: str, text: str, word: str) -> None:
    error = ServiceError(code, text, status=403)
    assert error.is_denied
    assert word in error.remedy


NOT_AUTHORIZED = (
    "User: arn:aws:iam::123456789012:user/x is not authorized to perform: sagemaker:CreateTrainingJob on resource: "
    "arn:aws:sagemaker:us-east-1:123456789012:training-job/a"
)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        (
            "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/o-1/x",
            "organization",
        ),
        ("because no service control policy allows the sagemaker:CreateTrainingJob action", "organization"),
        ("with an explicit deny in a resource control policy", "organization"),
        (
            "because no permissions boundary allows the sagemaker:CreateTrainingJob action",
            "permissions boundary",
        ),
        ("with an explicit deny in a permissions boundary", "permissions boundary"),
        ("because no session policy allows the sagemaker:CreateTrainingJob action", "session"),
        ("because no VPC endpoint policy allows the sagemaker:CreateTrainingJob action", "VPC endpoint"),
        ("with an explicit deny in an identity-based policy", "condition"),
        ("with an explicit deny in a resource-based policy", "condition"),
        (
            "because no identity-based policy allows the sagemaker:CreateTrainingJob action",
            "permission is missing",
        ),
    ],
)
def test_a_refusal_names_the_policy_that_causes_it(reason: str, words: str) -> None:
    error = ServiceError("AccessDeniedException", f"{NOT_AUTHORIZED} {reason}", status=400)
    assert words in error.remedy
    assert ("permission is missing" in error.remedy) == (words == "permission is missing")


def session(answer: Any) -> Any:
    def head_bucket(**_: Any) -> Any:
        if isinstance(answer, ServiceError):
            raise answer
        return answer

    def client(_: str) -> Any:
        return SimpleNamespace(head_bucket=head_bucket)

    endpoint = Endpoint(kind=EndpointKind.AWS, region="eu-west-1")
    return SimpleNamespace(
        endpoint=endpoint,
        account="123456789012",
        client=client,
        use_bucket=lambda *_: None,
        terms_of=lambda _: BucketTerms(),
    )


def test_a_bucket_of_this_region_is_taken() -> None:
    assert ensure_bucket(session({"BucketRegion": "eu-west-1"}), "mine") == "mine"
    assert ensure_bucket(session({}), "mine") == "mine"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"BucketRegion": "us-east-1"}, r"is in us-east-1.*--region us-east-1.*--bucket"),
        (
            {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": "us-east-1"}}},
            "--region us-east-1",
        ),
        (ServiceError("301", "Moved Permanently", status=301), "another region than eu-west-1"),
        (ServiceError("403", "Forbidden", status=403), r"another account's.*--bucket"),
        (ServiceError("RequestTimeTooSkewed", "skewed", status=403), "clock of this machine"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_said(answer: Any, words: str) -> None:
    with pytest.raises(BackendError, match=words):
        ensure_bucket(session(answer), "mine")
