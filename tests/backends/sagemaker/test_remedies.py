"""Input that cannot work: one clear error, with the remedy, before runs are spent on it."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright.aws import ServiceError
from tunewright.backends.sagemaker.job_service import remedy_of_job, remedy_of_request, shortened
from tunewright.exceptions import BackendError
from tunewright.trial import Run

ROLE = (
    "Could not assume role arn:aws:iam::123456789012:role/x. Please ensure that the role exists and allows principal "
    "'sagemaker.amazonaws.com' to assume the role."
)
TYPE = (
    "1 validation error detected: Value 'ml.z9.large' at 'resourceConfig.instanceType' failed to satisfy constraint: "
    "Member must satisfy enum value set: [ml.p2.xlarge, ml.m5.4xlarge, ml.m4.16xlarge]"
)
REFUSALS = [
    (ServiceError("ValidationException", ROLE, status=400), "--role"),
    (ServiceError("ValidationException", TYPE, status=400), "--instance_type"),
    (ServiceError("ValidationException", "Cannot find repository: x in registry", status=400), "--image_uri"),
    (ServiceError("ValidationException", "The subnet subnet-1 does not exist", status=400), "--subnets"),
    (ServiceError("ValidationException", "No S3 objects found under S3 URL", status=400), "--bucket"),
    (ServiceError("ResourceLimitExceeded", "usage' is 0 Instances", status=400), "may not use"),
    (ServiceError("RequestTimeTooSkewed", "The difference is too large", status=403), "clock"),
    (ServiceError("InvalidSignatureException", "Signature expired: 1 is now earlier", status=403), "clock"),
    (ServiceError("ExpiredTokenException", "The token is expired", status=403), "aws sso login"),
    (ServiceError("AccessDeniedException", "not authorized", status=403), "sagemaker policy"),
    (
        ServiceError(
            "AccessDeniedException",
            "User: x is not authorized to perform: sagemaker:CreateTrainingJob with an explicit deny in an identity-based policy",
            status=400,
        ),
        "KeepAlivePeriod \\(--keep_alive\\)",
    ),
    (
        ServiceError(
            "AccessDeniedException",
            "User: x is not authorized to perform: sagemaker:CreateTrainingJob with an explicit deny in a service control policy",
            status=400,
        ),
        "ask the organization's administrators",
    ),
]


@pytest.mark.parametrize(("refusal", "remedy"), REFUSALS)
def test_a_refusal_that_meets_every_run_ends_the_experiment(
    driver: Any, refusal: ServiceError, remedy: str
) -> None:
    driver.aws.refusals["CreateTrainingJob"] = [refusal]
    driver.backend.start(Run(trial_id=0, attempt=0), {"lr": 1})
    with pytest.raises(BackendError, match=remedy):
        driver.rounds(3)
    assert driver.aws.jobs == {}
    assert driver.aws.calls["CreateTrainingJob"] == 1


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("ClientError: Failed to pull unique manifest from image: not found", "--image_uri"),
        ("ClientError: Data download failed: AccessDenied (403) when calling S3", "--bucket"),
        ("AlgorithmError: , exit code: 127", "Python 3.9"),
        ("ClientError: Unable to assume the role arn:aws:iam::123456789012:role/x", "--role"),
        (
            "AlgorithmError: The runner may not use the bucket: AccessDenied, exit code: 1",
            "s3:ListBucket",
        ),
        (
            "ClientError: Data download failed: AccessDenied (403) when calling S3",
            "'sagemaker' in their names",
        ),
    ],
)
def test_a_job_that_never_began_says_it_for_all(driver: Any, reason: str, remedy: str) -> None:
    driver.backend.start(Run(trial_id=0, attempt=0), {"lr": 1})
    driver.until_created("0-0-0")
    driver.aws.end(driver.aws.name("0-0-0"), "Failed", FailureReason=reason)
    with pytest.raises(BackendError, match=remedy) as caught:
        driver.until(lambda: False, 5.0)
    assert reason in str(caught.value)
    assert len(driver.aws.jobs) == 1, "not ten retries"
    driver.backend.close()
    assert len(driver.aws.jobs) == 1


def test_what_concerns_one_run_fails_one_run() -> None:
    assert remedy_of_request("Value '{...}' at 'hyperParameters' failed; role") == ""
    assert remedy_of_request("something else") == ""
    assert remedy_of_job("ClientError: Please use an instance type with more memory") == ""
    assert remedy_of_job("ClientError: Artifact upload failed: S3") == ""
    assert remedy_of_job("AlgorithmError: Traceback, exit code: 1") == ""
    assert (
        remedy_of_job("AlgorithmError: The script ended with exit code 127. role: admin, exit code: 127")
        == ""
    )


@pytest.mark.parametrize(
    "reason",
    [
        "AlgorithmError: The script ended with exit code 1. Its last output: KeyError: 'role', exit code: 1",
        "AlgorithmError: cannot assume role of the agent, exit code: 1",
        "ClientError: Artifact upload failed: could not assume role",
        "ClientError: The role of the file system in this failure is unknown",
    ],
)
def test_the_word_role_alone_ends_no_experiment(driver: Any, reason: str) -> None:
    driver.backend.start(Run(trial_id=0, attempt=0), {"lr": 1})
    driver.until_created("0-0-0")
    driver.aws.end(driver.aws.name("0-0-0"), "Failed", FailureReason=reason)
    assert driver.until_ended(0).error == reason


def test_long_lists_are_left_out() -> None:
    assert shortened(TYPE).endswith("enum value set")
