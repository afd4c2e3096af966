"""The policy holds what is called, and nothing else."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from tunewright.aws import open_session, resolve_endpoint
from tunewright.aws.policy import ACTIONS, IMPLIED, Principal, Scope, policy
from tunewright.cli import main

SOURCES = Path(__file__).resolve().parent.parent.parent / "src" / "tunewright"
NAMES = {
    "upload_file": "PutObject",
    "download_file": "GetObject",
    "list_aws_default_service_quotas": "ListAWSDefaultServiceQuotas",
}
"""Operations of methods whose names are not formed by rule."""
PARTS = {
    "HeadObject",
    "CreateMultipartUpload",
    "UploadPart",
    "CompleteMultipartUpload",
    "AbortMultipartUpload",
}
"""What a transfer of a large file consists of."""


def called() -> set[str]:
    """Operations that the code names."""
    text = "\n".join(
        path.read_text()
        for folder in ("aws", "backends", "experiments", "remote", "runner")
        for path in sorted((SOURCES / folder).rglob("*.py"))
    )
    operations = set(re.findall(r'\b_?session\.call\(\s*"(\w+)"', text))
    methods = set(re.findall(r'(?:_client|\bclient|client\("\w+"\))\.((?:\w+_)+\w+)\(', text)) - {
        "get_paginator"
    }
    methods |= set(re.findall(r'get_paginator\("(\w+)"\)', text))
    return operations | {NAMES.get(name) or "".join(map(str.capitalize, name.split("_"))) for name in methods}


def actions(document: dict[str, Any]) -> set[str]:
    return {action for statement in document["Statement"] for action in statement["Action"]}


def test_the_policy_lists_exactly_what_is_called() -> None:
    assert called() | PARTS == set(ACTIONS)
    assert actions(policy()) == set(ACTIONS.values()) | set(IMPLIED)


SERVICE = {"logs:PutLogEvents", "ecr:BatchGetImage"}
NARROW = Scope(
    region="eu-west-1",
    account="123456789012",
    passed_role="arn:aws:iam::123456789012:role/service-role/mine",
    experiments="abc",
    kms_key="arn:aws:kms:eu-west-1:123456789012:key/1",
)


def test_a_tuning_job_starts_jobs_and_looks_no_role_up() -> None:
    allowed = actions(policy("tuning-job"))
    assert allowed >= SERVICE
    assert actions(policy()) - allowed == {"iam:GetRole", "iam:ListRoles", "s3:CreateBucket"}


def test_a_trial_uses_the_objects_of_its_experiments_and_starts_nothing() -> None:
    document = policy("trial", NARROW)
    kinds = {action.partition(":")[0] for action in actions(document)}
    assert kinds == {"s3", "ecr", "logs", "kms"}
    assert actions(document) >= SERVICE
    bucket = "arn:aws:s3:::sagemaker-eu-west-1-123456789012"
    written = [s["Resource"] for s in document["Statement"] if "s3:PutObject" in s["Action"]]
    assert written == [f"{bucket}/tunewright/abc*"]
    read = {s["Resource"] for s in document["Statement"] if "s3:GetObject" in s["Action"]}
    assert read == {f"{bucket}/tunewright/abc*", f"{bucket}/tunewright/code/*"}
    (listing,) = [s for s in document["Statement"] if "s3:ListBucket" in s["Action"]]
    assert listing["Condition"]["StringLikeIfExists"]["s3:prefix"] == ["tunewright/code/*", "tunewright/abc*"]


@pytest.mark.parametrize("principal", ["user", "tuning-job", "trial"])
def test_a_narrow_policy_names_account_role_and_owner(principal: Any) -> None:
    statements = policy(principal, NARROW)["Statement"]
    for statement in statements:
        services = {action.partition(":")[0] for action in statement["Action"]}
        if services == {"s3"} and statement["Action"] != ["s3:CreateBucket"]:
            assert statement["Condition"]["StringEquals"]["aws:ResourceAccount"] == NARROW.account
        if "iam:PassRole" in statement["Action"]:
            assert statement["Resource"] == NARROW.passed_role
            assert statement["Condition"]["StringEquals"] == {
                "iam:PassedToService": "sagemaker.amazonaws.com"
            }
        if "kms:Decrypt" in statement["Action"]:
            assert statement["Resource"] == NARROW.kms_key
    assert sum("kms:Decrypt" in statement["Action"] for statement in statements) == 1
    assert sum("iam:PassRole" in statement["Action"] for statement in statements) == (principal != "trial")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    with pytest.raises(SystemExit) as exited:
        main(["sagemaker", "policy", *arguments])
    out, err = capsys.readouterr()
    return json.loads(out) if exited.value.code == 0 else err


def test_the_printed_policy_is_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TUNEWRIGHT_SAGEMAKER_ROLE", "AWS_ROLE", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        session = open_session(resolve_endpoint("aws", region=NARROW.region))
        create = session.client("iam").create_role
        create(RoleName="mine", Path="/service-role/", AssumeRolePolicyDocument="{}")
        session.close()
        line = ("--region", NARROW.region, "--role", "mine", "--kms_key", "1")
        assert printed(capsys, *line) == policy("user", replace(NARROW, experiments=""))
        assert printed(capsys, *line, "--for", "job") == policy("tuning-job", replace(NARROW, experiments=""))
        trial = printed(capsys, *line, "--for", "trial", "--experiments", "abc")
        assert trial == policy("trial", NARROW)
        assert "alias" in printed(capsys, "--region", NARROW.region, "--role", "mine", "--kms_key", "alias/a")
    assert printed(capsys, "--narrow", "0") == policy()


def statements(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {statement["Sid"]: statement for statement in document["Statement"]}


def test_flags_of_experiments_add_statements(capsys: pytest.CaptureFixture[str]) -> None:
    role = "arn:aws:iam::123456789012:role/mine"
    inputs = (
        "train=s3://data/a=b/",
        "b=s3://data/c?mode=FastFile",
        "x=s3://other",
        "y=efs://fs-0123456789abcdef0/z",
    )
    line = ["--narrow", "0", "--subnets", "subnet-1", "--assume_role", role]
    line += [part for one in inputs for part in ("--inputs", one)]
    principals: tuple[Principal, ...] = ("user", "tuning-job", "trial")
    user, tuner, trial = (printed(capsys, *line, "--for", name) for name in principals)
    added = {
        name: set(statements(found)) - set(statements(policy(name)))
        for name, found in zip(principals, (user, tuner, trial), strict=True)
    }
    assert added == {
        "user": {"AssumedRole"},
        "tuning-job": {"Network"},
        "trial": {"Network", "InputBucket1", "Input1", "InputBucket2", "Input2"},
    }
    assert statements(user)["AssumedRole"]["Resource"] == role
    found = statements(trial)
    assert found["Input1"]["Resource"] == ["arn:aws:s3:::data/a=b/*", "arn:aws:s3:::data/c*"]
    assert found["InputBucket1"]["Resource"] == "arn:aws:s3:::data"
    assert found["InputBucket1"]["Condition"]["StringLikeIfExists"] == {"s3:prefix": ["a=b/*", "c*"]}
    assert (found["Input2"]["Resource"], found["Input2"]["Action"]) == (
        ["arn:aws:s3:::other/*"],
        ["s3:GetObject"],
    )
    assert "s3://" in printed(capsys, "--narrow", "0", "--for", "trial", "--inputs", "train=./data")


def test_the_secrets_of_trials_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    line = "sagemaker policy --for trial --narrow 0 --secret A=team/token#key --secret B=ssm:/team/plain --secret C=team/token"
    with pytest.raises(SystemExit) as exited:
        main(line.split())
    assert exited.value.code in {0, None}
    statements = json.loads(capsys.readouterr().out)["Statement"]
    found = {
        one["Resource"]: one["Action"] for one in statements if one["Sid"].startswith(("Secret", "Param"))
    }
    assert found == {
        "arn:aws:secretsmanager:*:*:secret:team/token-??????": ["secretsmanager:GetSecretValue"],
        "arn:aws:ssm:*:*:parameter/team/plain": ["ssm:GetParameter"],
    }
    arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:team/token-a1b2c3"
    (named,) = (one for one in policy("trial", Scope(secrets=[arn]))["Statement"] if one["Sid"] == "Secret1")
    assert named["Resource"] == arn
    assert "secret" not in json.dumps(policy("user", Scope(secrets=[arn])))
