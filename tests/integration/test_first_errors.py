"""First errors of a new account: each says its cause and remedy, and leaves neither jobs nor an experiment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.iam.models import iam_backends

from sagemaker_emulator.emulator import Emulator, EmulatorConfig, permissions_of
from sagemaker_emulator.service.scripted import ScriptedExecutor
from sagemaker_emulator.service.settings import ACCOUNT_ID, ServiceSettings
from sagemaker_emulator.storage import AwsServices
from tunewright.aws.policy import Scope, policy
from tunewright.cli import main
from tunewright.storage import experiments

REGION = "us-east-1"
ROLE = "AmazonSageMaker-ExecutionRole-20261129"
SCOPE = Scope(
    region=REGION, account=ACCOUNT_ID, passed_role=f"arn:aws:iam::{ACCOUNT_ID}:role/service-role/{ROLE}"
)
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def no_job(_order: Any) -> Any:
    raise AssertionError("no job is created")


class Account:
    """A new account, and a person who tunes a script there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], **settings: Any) -> None:
        values = ServiceSettings(preset="new-account", speed=200.0, throttle="off", **settings)
        self.aws = AwsServices(
            folder / "aws", region=REGION, permissions=permissions_of(values, "ROOT"), has_role=False
        )
        config = EmulatorConfig(directory=folder / "state", access_key="ROOT", secret_key="SECRET")
        self.emulator = Emulator(
            config, values, lambda _url: (ScriptedExecutor(no_job, speed=200.0), self.aws.app)
        )
        self._capsys = capsys
        script = folder / "script"
        script.mkdir()
        (script / "train.py").write_text("print('never run')\n")
        (script / "space.toml").write_text('[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
        self._line = [
            *("tune", f"{script}/train.py", "--space", f"{script}/space.toml", "--metric", "loss"),
            *("--method", "RS", "--max_num_trials", "2", "--n_workers", "2", "--backend", "sagemaker"),
            *("--endpoint", self.emulator.url),
        ]

    def tune(self, *more: str) -> str:
        """What the person reads."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main([*self._line, *more])
        assert exited.value.code == 1
        shown = self._capsys.readouterr()
        return shown.out + shown.err

    def doctor(self, *more: str, code: int) -> str:
        """What ``tunewright doctor`` prints about the account."""
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(["doctor", "--backend", "sagemaker", "--endpoint", self.emulator.url, *more])
        shown = self._capsys.readouterr().out
        assert exited.value.code == code, shown
        return shown.partition("Backend sagemaker\n")[2]

    def create_role(self) -> None:
        """Create an execution role with the printed policy."""
        iam = iam_backends[ACCOUNT_ID]["aws"]
        iam.create_role(ROLE, json.dumps(TRUST), "/service-role/", None, "", [], "3600")
        iam.put_role_policy(ROLE, "printed", json.dumps(policy("trial", SCOPE)))

    def jobs(self) -> list[Any]:
        client = boto3.client(
            "sagemaker",
            region_name=REGION,
            endpoint_url=self.emulator.url,
            aws_access_key_id="ROOT",
            aws_secret_access_key="SECRET",
        )
        try:
            return client.list_training_jobs()["TrainingJobSummaries"]
        finally:
            client.close()

    def check_nothing_is_left(self) -> None:
        """No job, no experiment, and no files but the code, which the next experiment uses."""
        assert self.jobs() == []
        assert list(experiments()) == []
        keys = [stored.key for stored in self.aws.store.objects(f"sagemaker-{REGION}-{ACCOUNT_ID}")]
        assert all(key.startswith("tunewright/code/") and ".users/" not in key for key in keys)


@pytest.fixture
def account(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Account]]:
    """Opens a new account."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "ROOT")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    opened: list[Account] = []

    def begin(**settings: Any) -> Account:
        opened.append(Account(tmp_path, capsys, **settings))
        return opened[-1]

    yield begin
    for each in opened:
        each.emulator.close()


def test_no_role(account: Callable[..., Account]) -> None:
    new = account()
    text = new.tune()
    assert "Error: The account has no role for SageMaker jobs: create one" in text
    assert "'tunewright sagemaker policy --for trial' prints" in text
    assert "give --role" in text
    assert "resume" not in text
    new.check_nothing_is_left()


def test_a_bucket_that_is_missing(account: Callable[..., Account]) -> None:
    new = account()
    new.create_role()
    text = new.tune("--bucket", "my-data")
    assert "Error: There is no bucket my-data: create it, or leave --bucket out" in text
    assert "failed, nothing was begun" in text
    assert "resume" not in text
    new.check_nothing_is_left()


def test_a_quota_of_zero(account: Callable[..., Account]) -> None:
    new = account()
    new.create_role()
    text = new.tune()
    warning = next(line for line in text.splitlines() if "WARNING: quotas" in line)
    assert "ml.c5.xlarge for training job usage: 0, needed 2. No job can start." in warning
    assert "aws service-quotas request-service-quota-increase --service-code sagemaker" in warning
    assert "across all" not in warning, "that quota is enough"
    error = next(line for line in text.splitlines() if line.startswith("Error: "))
    assert "may not use this instance type: ask for a higher quota ('tunewright sagemaker quotas'" in error
    assert "'ml.c5.xlarge for training job usage' is 0 Instances" in error
    assert error.endswith("then begin again")
    assert "tunewright resume" not in text
    new.check_nothing_is_left()


def test_a_role_that_may_not_be_passed(
    account: Callable[..., Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user has all of the printed policy but the statement with iam:PassRole."""
    new = account(quotas={"ml.c5.xlarge": 2})
    new.create_role()
    printed = policy("user", SCOPE)
    rest = [each for each in printed["Statement"] if "iam:PassRole" not in json.dumps(each)]
    iam = iam_backends[ACCOUNT_ID]["aws"]
    iam.create_user(REGION, "anna")
    iam.put_user_policy("anna", "p", json.dumps({**printed, "Statement": rest}))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", iam.create_access_key("anna").access_key_id)
    text = new.tune()
    error = next(line for line in text.splitlines() if line.startswith("Error: "))
    assert f"user/anna is not authorized to perform: iam:PassRole on resource: {SCOPE.passed_role}" in error
    assert "the permission is missing: 'tunewright sagemaker policy' prints all that are needed" in error
    assert error.endswith("then begin again")
    new.check_nothing_is_left()


def test_a_role_that_may_not_pull_the_image(account: Callable[..., Account]) -> None:
    """The remedy is about the image, although the service's text names the role."""
    new = account(quotas={"ml.c5.xlarge": 2})
    new.create_role()
    iam_backends[ACCOUNT_ID]["aws"].delete_role_policy(ROLE, "printed")
    error = next(line for line in new.tune().splitlines() if line.startswith("Error: "))
    assert "Access denied for repository: pytorch" in error
    assert "let the role pull it from the registry" in error
    assert "trust policy" not in error
    new.check_nothing_is_left()


DENIALS = {
    "control": ("explicit deny in a service control policy", "ask the organization's administrators"),
    "boundary": ("no permissions boundary allows", "have the boundary widened"),
}


@pytest.mark.parametrize("kind", DENIALS)
def test_denials_by_others_name_them(
    account: Callable[..., Account], monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """A control policy holds for root, too; a boundary limits a role that the person assumed."""
    deny = {"Effect": "Deny", "Action": "sagemaker:CreateTrainingJob", "Resource": "*"}
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    limits = [{"Statement": [deny]}] if kind == "control" else []
    new = account(quotas={"ml.c5.xlarge": 2}, control_policies=limits)
    new.create_role()
    more: list[str] = []
    if kind == "boundary":
        iam = iam_backends[ACCOUNT_ID]["aws"]
        trust = {
            "Statement": [{"Effect": "Allow", "Principal": {"AWS": ACCOUNT_ID}, "Action": "sts:AssumeRole"}]
        }
        role = iam.create_role("mine", json.dumps(trust), "/", None, "", [], "3600")
        allowed = {**everything, "Action": ["s3:*", "iam:*", "servicequotas:*", "sagemaker:List*", "sts:*"]}
        boundary = iam.create_policy(
            "", "/", json.dumps({"Version": "2012-10-17", "Statement": [allowed]}), "limit", {}
        )
        iam.put_role_permissions_boundary("mine", boundary.arn)
        document = {"Version": "2012-10-17", "Statement": [everything]}
        iam.put_role_policy("mine", "p", json.dumps(document))
        more = ["--assume_role", role.arn, "--role", SCOPE.passed_role]
    error = next(line for line in new.tune(*more).splitlines() if line.startswith("Error: "))
    cause, remedy = DENIALS[kind]
    assert cause in error
    assert remedy in error
    assert "the permission is missing" not in error
    new.check_nothing_is_left()


def test_the_doctor_finds_each_trouble_before_the_first_experiment(account: Callable[..., Account]) -> None:
    new = account()
    text = new.doctor("--instance_type", "ml.p4d.24xlarge", "--bucket", "my-data", code=1)
    assert f"credentials: account {ACCOUNT_ID}, arn:aws:" in text
    assert "role of the jobs: The account has no role for SageMaker jobs: create one" in text
    assert "bucket: There is no bucket my-data: create it" in text
    assert "jobs: they can be listed" in text
    assert "logs: they can be read" in text
    assert (
        "quota, ml.p4d.24xlarge for training job usage: aws service-quotas request-service-quota-increase"
        in text
    )
    new.check_nothing_is_left()


def test_the_doctor_tries_the_bucket_and_leaves_nothing(account: Callable[..., Account]) -> None:
    new = account(quotas={"ml.c5.xlarge": 1})
    new.create_role()
    usual = f"sagemaker-{REGION}-{ACCOUNT_ID}"
    text = new.doctor(code=0)
    assert f"role of the jobs: arn:aws:iam::{ACCOUNT_ID}:role/service-role/{ROLE}" in text
    assert f"bucket: {usual} is created by the first experiment" in text
    new.aws.store.create_bucket(usual)
    assert f"bucket: {usual}: objects can be written, read and deleted" in new.doctor(code=0)
    new.check_nothing_is_left()


def test_the_doctor_does_not_get_past_wrong_credentials(
    account: Callable[..., Account], monkeypatch: pytest.MonkeyPatch
) -> None:
    new = account()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAWRONG")
    text = new.doctor(code=1)
    assert "credentials: no requests can be sent" in text
    assert "does not accept the credentials" in text
    assert "bucket" not in text
    assert "SECRET" not in text
