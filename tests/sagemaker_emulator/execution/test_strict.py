"""Jobs with the permissions of their role only."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from moto.iam.models import iam_backends

from sagemaker_emulator.service.executor import ExecutionError
from sagemaker_emulator.storage import ACCOUNT_ID, AwsServices, Permissions

CHANNEL = {
    "ChannelName": "train",
    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/data/"}},
}
CHECKPOINTS = {"CheckpointConfig": {"S3Uri": "s3://bucket/ckpt/x-1"}}
TRUST = {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}


def allow(action: str | list[str], resource: str = "*") -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


STATEMENTS = {
    "list": allow("s3:ListBucket", "arn:aws:s3:::bucket"),
    "get": allow("s3:GetObject", "arn:aws:s3:::bucket/*"),
    "put": allow("s3:PutObject", "arn:aws:s3:::bucket/*"),
    "logs": allow(
        ["logs:CreateLogStream", "logs:PutLogEvents"],
        f"arn:aws:logs:*:{ACCOUNT_ID}:log-group:/aws/sagemaker/*",
    ),
}


@pytest.fixture
def aws(tmp_path: Path) -> AwsServices:
    """Services that check permissions."""
    made = AwsServices(
        tmp_path / "emulator", region="us-east-1", permissions=Permissions("the-key", "us-east-1")
    )
    made.store.create_bucket("bucket")
    made.store.put("bucket", "data/a", b"12345")
    return made


@pytest.fixture
def role() -> Callable[..., str]:
    """Makes the role of a job from statements."""

    def make(*statements: dict[str, Any]) -> str:
        iam = iam_backends[ACCOUNT_ID]["aws"]
        document = {"Version": "2012-10-17", "Statement": [TRUST]}
        trust = json.dumps(document)
        made = iam.create_role("r", trust, "/", None, "", [], "3600")
        iam.put_role_policy("r", "p", json.dumps(document | {"Statement": list(statements)}))
        return made.arn

    return make


def test_a_role_with_all_statements_suffices(folder_jobs: Any, role: Callable[..., str]) -> None:
    order = folder_jobs.python(
        "job",
        "import os; print(sorted(n for n in os.environ if n.startswith('AWS_')), os.environ['AWS_ACCESS_KEY_ID'])",
        RoleArn=role(*STATEMENTS.values()),
        InputDataConfig=[CHANNEL],
    )
    assert folder_jobs.finish(order)[0].exit_code == 0
    (line,) = folder_jobs.log("job")
    assert "AWS_SESSION_TOKEN" in line
    key = line.rpartition(" ")[2]
    permissions = folder_jobs.aws.permissions
    assert permissions is not None
    caller = permissions.caller(key)
    assert caller is not None
    assert caller.arn == f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/r/SageMaker"


@pytest.mark.parametrize(("missing", "action"), [("list", "s3:ListBucket"), ("get", "s3:GetObject")])
def test_data_need_permissions(folder_jobs: Any, role: Callable[..., str], missing: str, action: str) -> None:
    arn = role(*(each for name, each in STATEMENTS.items() if name != missing))
    order = folder_jobs.order("job", ["true"], RoleArn=arn, InputDataConfig=[CHANNEL])
    with pytest.raises(ExecutionError, match=f"^ClientError: Data download failed:.*{action}"):
        folder_jobs.executor.prepare(order)
    folder_jobs.executor.discard("job")


def test_artifacts_need_permissions(folder_jobs: Any, role: Callable[..., str]) -> None:
    arn = role(*(each for name, each in STATEMENTS.items() if name != "put"))
    order = folder_jobs.start("job", ["true"], RoleArn=arn)
    folder_jobs.wait("job")
    with pytest.raises(ExecutionError, match=r"^ClientError: Artifact upload failed:.*s3:PutObject"):
        folder_jobs.executor.finish(order)


def test_without_permission_there_is_no_log(folder_jobs: Any, role: Callable[..., str]) -> None:
    arn = role(*(each for name, each in STATEMENTS.items() if name != "logs"))
    order = folder_jobs.python("job", "print('line')", RoleArn=arn)
    assert folder_jobs.finish(order)[0].exit_code == 0
    assert folder_jobs.log("job") == []


def test_a_prefix_without_a_slash_covers_siblings(folder_jobs: Any, role: Callable[..., str]) -> None:
    """The mistake of CheckpointConfig with .../x-1, which gets the files of x-10 as well."""
    for key in ("ckpt/x-1/a", "ckpt/x-10/b"):
        folder_jobs.aws.store.put("bucket", key, b"1")
    code = "import os; print(sorted(f for _, _, files in os.walk('/opt/ml/checkpoints') for f in files))"
    order = folder_jobs.python("job", code, RoleArn=role(*STATEMENTS.values()), **CHECKPOINTS)
    folder_jobs.finish(order)
    assert folder_jobs.log("job") == ["['a', 'b']"]
