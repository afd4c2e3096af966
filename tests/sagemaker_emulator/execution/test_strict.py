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
        "import os; print(sorted(n for n in os.environ if n.startswith('AWS_'))); print(os.environ['AWS_CONTAINER_AUTHORIZATION_TOKEN'])",
        RoleArn=role(*STATEMENTS.values()),
        InputDataConfig=[CHANNEL],
    )
    assert folder_jobs.finish(order)[0].exit_code == 0
    names, token = folder_jobs.log("job")
    assert "AWS_CONTAINER_CREDENTIALS_FULL_URI" in names
    assert "AWS_SECRET_ACCESS_KEY" not in names
    permissions = folder_jobs.aws.permissions
    assert permissions is not None
    credentials = permissions.credentials(token)
    assert credentials is not None
    caller = permissions.caller(credentials["AccessKeyId"])
    assert caller is not None
    assert permissions.credentials(token.replace("role/r", "role/other")) is None
    assert permissions.credentials("") is None
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


@pytest.mark.parametrize(
    ("image", "is_set"),
    [
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/mine:1", False),
        ("763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch:2.12-cpu-amzn2023-sagemaker", True),
        ("763104351884.dkr.ecr.cn-north-1.amazonaws.com.cn/pytorch-training:2.6.0-cpu", True),
    ],
)
def test_variables_of_awss_images(
    folder_jobs: Any, role: Callable[..., str], image: str, is_set: bool
) -> None:
    """An image of one's own has those that its Dockerfile sets."""
    code = "import os; print('PYTHONUNBUFFERED' in os.environ, 'LANG' in os.environ)"
    algorithm = {"AlgorithmSpecification": {"TrainingImage": image}}
    folder_jobs.finish(folder_jobs.python("job", code, RoleArn=role(*STATEMENTS.values()), **algorithm))
    assert folder_jobs.log("job") == [f"{is_set} {is_set}"]


def test_a_checkpoint_config_is_in_a_file(folder_jobs: Any, role: Callable[..., str]) -> None:
    code = "print(open('/opt/ml/input/config/checkpointconfig.json').read())"
    folder_jobs.finish(folder_jobs.python("job", code, RoleArn=role(*STATEMENTS.values()), **CHECKPOINTS))
    (line,) = folder_jobs.log("job")
    assert json.loads(line) == {"LocalPath": "/opt/ml/checkpoints", "S3Uri": "s3://bucket/ckpt/x-1"}
