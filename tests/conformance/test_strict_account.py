"""The commands of the documentation on an account that checks permissions, with no more than the printed policies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from tunewright.aws.catalog import image_uri
from tunewright.storage import experiments

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "benchmarking" / "nursery" / "launch_sagemaker"
COMMAND = ("--experiment_tag", "tutorial_sagemaker", "--benchmark", "mlp_digits", "--num_seeds", "1")
"""Of the tutorial "Benchmarking with SageMaker Back-end", with a benchmark that needs no GPU."""
SMALL = ("--max_num_trials", "4", "--n_workers", "2", "--config", "epochs=3", "--role", "trials")
SERVICE = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@dataclass(frozen=True)
class Account:
    """A strict account, and the user ``anna`` with her keys in the variables."""

    endpoint: Any
    url: str

    def run(self, *command: str | Path) -> str:
        """Output of a command of anna."""
        done = self.endpoint.run([sys.executable, *command])
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def policy(self, principal: str, *more: str) -> str:
        """A printed policy."""
        line = ("-m", "tunewright", "sagemaker", "policy", "--for", principal, "--endpoint", self.url, *more)
        command = [sys.executable, *line]
        variables = {**os.environ, **self.endpoint.variables}
        return subprocess.run(
            command, env=variables, capture_output=True, text=True, check=True, timeout=300
        ).stdout


@pytest.fixture
def account(serve: Callable[..., Any]) -> Callable[..., Account]:
    """Opens an account in which each role and user has its printed policy."""

    def begin(passed_role: str, *options: str) -> Account:
        endpoint = serve("--preset", "strict", *options, speed=200.0)
        root = Account(endpoint, endpoint.variables["AWS_ENDPOINT_URL"])
        iam = boto3.client(
            "iam",
            endpoint_url=root.url,
            region_name="us-east-1",
            aws_access_key_id=endpoint.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=endpoint.variables["AWS_SECRET_ACCESS_KEY"],
        )
        for name in ("trials", "tuner"):
            iam.create_role(
                RoleName=name, Path="/service-role/", AssumeRolePolicyDocument=json.dumps(SERVICE)
            )
        printed = {
            "trials": root.policy("trial", "--experiments", "tutorial_sagemaker"),
            "tuner": root.policy("tuning-job", "--role", "trials"),
        }
        for name, document in printed.items():
            iam.put_role_policy(RoleName=name, PolicyName="printed", PolicyDocument=document)
        iam.create_user(UserName="anna")
        iam.put_user_policy(
            UserName="anna", PolicyName="printed", PolicyDocument=root.policy("user", "--role", passed_role)
        )
        key = iam.create_access_key(UserName="anna")["AccessKey"]
        iam.close()
        keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        return replace(root, endpoint=replace(endpoint, variables={**endpoint.variables, **keys}))

    return begin


def check_finished() -> None:
    (folder,) = experiments()
    shown = subprocess.run(
        [sys.executable, "-m", "tunewright", "show", folder.name, "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    found = json.loads(shown.stdout)
    assert found["status"] == "completed"
    assert sum(found["trials"].values()) == 4
    assert not found["trials"]["failed"]


@pytest.mark.parametrize("execution", ["jobs", "workers"])
def test_the_command_of_the_tutorial(account: Callable[..., Account], execution: str) -> None:
    strict = account("trials")
    line = (*COMMAND, "--method", "ASHA", *SMALL, "--endpoint", strict.url, "--execution", execution)
    warm = ("--warm_pool", "1") if execution == "jobs" else ()
    strict.run(FOLDER / "hpo_main.py", *line, *warm)
    check_finished()


def test_a_remote_launch(account: Callable[..., Account]) -> None:
    """Tuning jobs run with this environment's packages: those that the image lacks would come from an index."""
    image = image_uri("us-east-1", for_gpu=False)
    strict = account("tuner", "--image", f"{image}={sys.executable}")
    line = (*COMMAND, "--method", "RS", *SMALL, "--endpoint", strict.url, "--tuner_role", "tuner", "--wait")
    said = strict.run(FOLDER / "launch_remote.py", *line)
    assert "RS-mlp-digits-0: finished" in said
    strict.run("-m", "tunewright", "remote", "fetch", "tutorial_sagemaker")
    check_finished()
