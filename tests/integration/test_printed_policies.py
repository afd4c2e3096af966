"""Printed policies on an account that checks permissions: experiments and remote launches work with them, each statement is needed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from moto.iam.models import iam_backends

from sagemaker_emulator.service.settings import ACCOUNT_ID
from sagemaker_emulator.storage.permissions import Need, Principal
from tunewright.aws import Credentials, Endpoint, EndpointKind, open_session
from tunewright.aws.account import read_quotas
from tunewright.aws.policy import Scope, policy
from tunewright.backends.sagemaker import SageMakerBackend
from tunewright.backends.sagemaker.job_service import job_logs
from tunewright.backends.sagemaker.requests import job_prefix
from tunewright.cli.slices import RemoteOptions
from tunewright.testing.events import EventReader
from tunewright.testing.jobs import job_settings
from tunewright.testing.training_script import training_config
from tunewright.trial import Run

from .conftest import Remote
from .endpoints import ROOT, start_emulator, store_secrets

REGION = "us-east-1"
TAG = "printed-policies"
DATA = "s3://data-of-anna/digits"
ROLES = {name: f"arn:aws:iam::{ACCOUNT_ID}:role/team/{name}" for name in ("launcher", "tuning-job", "trial")}
SCOPE = Scope(
    region=REGION,
    account=ACCOUNT_ID,
    passed_role=ROLES["trial"],
    experiments=TAG,
    inputs=[DATA],
    has_vpc=True,
    secrets=["team/token#key", "ssm:/team/plain"],
)
POLICIES = {
    "user": policy("user", SCOPE),
    "remote user": policy(
        "user", replace(SCOPE, passed_role=ROLES["tuning-job"], assumed_role=ROLES["launcher"])
    ),
    "tuning-job": policy("tuning-job", SCOPE),
    "trial": policy("trial", SCOPE),
}
HOLDERS = {
    "user": ":assumed-role/launcher/",
    "remote user": ":user/anna",
    "tuning-job": "tuning-job",
    "trial": "trial",
}
"""Policy -> part of the ARN of its principal."""
NEEDED_BEFORE = {("remote user", "NewBucket")}
"""Statements for which the remote launch comes too late: the experiment before it has made the bucket."""
VPC = {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}

SCRIPT = """\
import os, time
from argparse import ArgumentParser
from tunewright.report import Reporter

parser = ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=3)
arguments = parser.parse_args()
report = Reporter()
with open(os.path.join(os.environ["SM_CHANNEL_DIGITS"], "digits.csv")) as data:
    rows = data.read()
for epoch in range(1, arguments.epochs + 1):
    while epoch == 3 and os.path.exists(os.environ["GATE"]):
        time.sleep(0.1)
    report(epoch=epoch, loss=(arguments.lr - 0.1) ** 2 + len(rows) / epoch)
"""

Use = tuple[Principal, Need]


def attach_policies() -> Credentials:
    """Create the user and the roles with the printed policies and no others; the keys of the user."""
    iam = iam_backends[ACCOUNT_ID]["aws"]
    for name, arn in ROLES.items():
        trusted = (
            {"AWS": f"arn:aws:iam::{ACCOUNT_ID}:root"}
            if name == "launcher"
            else {"Service": "sagemaker.amazonaws.com"}
        )
        trust = [{"Effect": "Allow", "Principal": trusted, "Action": "sts:AssumeRole"}]
        iam.create_role(
            name,
            json.dumps({"Statement": trust}),
            arn.partition(":role")[2].removesuffix(name),
            None,
            "",
            [],
            "3600",
        )
        iam.put_role_policy(name, "printed", json.dumps(POLICIES["user" if name == "launcher" else name]))
    iam.create_user(REGION, "anna")
    iam.put_user_policy("anna", "printed", json.dumps(POLICIES["remote user"]))
    key = iam.create_access_key("anna")
    return Credentials(access_key=key.access_key_id, secret_key=key.secret_access_key)


def store_data(url: str) -> None:
    """Data of the trials, in a bucket that is not the experiments'."""
    session = open_session(Endpoint(kind=EndpointKind.OTHER, region=REGION, url=url, credentials=ROOT))
    s3 = session.client("s3")
    bucket, _, prefix = DATA.removeprefix("s3://").partition("/")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key=f"{prefix}/digits.csv", Body=b"1,2,3\n")
    session.close()


def run_experiment(url: str) -> None:
    """Everything that an experiment asks of its account: a run to the end, a stopped one, logs, quotas, pools."""
    session = open_session(
        Endpoint(kind=EndpointKind.OTHER, region=REGION, url=url, assume_role=ROLES["launcher"])
    )
    assert read_quotas(session)
    jobs = job_settings(
        n_workers=2,
        warm_pool=True,
        min_interval=0.1,
        role="trial",
        inputs={"digits": DATA},
        secrets=dict(zip(("TOKEN", "PLAIN"), SCOPE.secrets, strict=True)),
        subnets=",".join(VPC["Subnets"]),
        security_group_ids=",".join(VPC["SecurityGroupIds"]),
    )
    name = f"{TAG} direct"
    backend = SageMakerBackend(jobs.benchmark, jobs.config, experiment=name, session=session)
    backend.attach(())
    events = EventReader(backend, patience=300.0)
    backend.start(Run(trial_id=0, attempt=0), training_config(epochs=2, seconds=0.01))
    backend.start(Run(trial_id=1, attempt=0), training_config(epochs=10_000, seconds=0.05))
    assert events.until_ended(0).exit == 0
    events.until_reported(1, 1)
    backend.stop(1)
    events.until_ended(1)
    job_logs(session, job_prefix(name), 0)
    backend.close()


def launch_remotely(url: str, remote: Remote) -> None:
    """A remote launch whose tuning job is killed and relaunched, and another one that is stopped."""
    folder = remote.folder.parent
    gate = folder / "gate"
    (folder / "train.py").write_text(SCRIPT)
    remote.tunewright(
        "init", str(remote.folder), "--backend", "sagemaker", "--script", str(folder / "train.py")
    )
    options = RemoteOptions(request_template={"VpcConfig": VPC})
    place = (
        f"--experiment_tag {TAG} --method RS --n_workers 2 --endpoint {url} --role trial --tuner_role tuning-job"
        f" --inputs digits={DATA} --subnets subnet-1 --security_group_ids sg-1 --environment GATE={gate}"
    )
    line = f"{place} --max_num_trials 2 --warm_pool 1"
    gate.touch()
    assert remote.launch("sagemaker", line, options=options) == 0, remote.err
    name = "RS-train-0"
    remote.kill(remote.until_results(TAG, name, 2).status.jobs[-1])
    gate.unlink()
    assert remote.launch("sagemaker", f"{line} --resume --wait", options=options) == 0, remote.err
    (outcome,) = remote.views(TAG)[name].outcomes
    assert outcome.counts["completed"] == 2
    remote.tunewright("logs", outcome.folder.name, "0")
    remote.tunewright("remote", "fetch", TAG)

    gate.touch()
    other = f"{line.replace(TAG, f'{TAG}-2', 1)} --warm_pool 0 --channel logs"
    assert remote.launch("sagemaker", other, options=options) == 0, remote.err
    remote.until_results(f"{TAG}-2", name, 1)
    remote.tunewright("remote", "stop", f"{TAG}-2")


@pytest.fixture
def uses(tmp_path: Path, remote: Remote, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Sequence[Use]]:
    """Permissions that were used and granted, by policy."""
    seen: dict[str, dict[str, Use]] = {name: {} for name in POLICIES}
    decide = Principal.decide

    def recording(principal: Principal, need: Need) -> str:
        decision = decide(principal, need)
        if decision == "allowed" and principal.documents is not None:
            name = next(name for name, part in HOLDERS.items() if part in principal.arn)
            seen[name][f"{principal.arn} {need}"] = (principal, need)
        return decision

    emulator = start_emulator(tmp_path, "strict")
    monkeypatch.setattr(Principal, "decide", recording)
    keys = attach_policies()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_key)
    monkeypatch.setenv("AWS_REGION", REGION)
    store_data(emulator.url)
    store_secrets(emulator.url, ROOT.access_key, ROOT.secret_key, "hidden")
    try:
        run_experiment(emulator.url)
        launch_remotely(emulator.url, remote)
    finally:
        emulator.close()
    return {name: list(found.values()) for name, found in seen.items()}


def denied(policy: Mapping[str, Any], found: Sequence[Use]) -> Iterator[str]:
    """Actions among the uses that a policy does not allow."""
    for principal, need in found:
        if replace(principal, documents=[policy]).decide(need) != "allowed":
            yield need.action


def test_each_policy_is_enough_and_each_statement_is_needed(uses: Mapping[str, Sequence[Use]]) -> None:
    """User and roles had nothing else; without any statement of theirs, something would have been denied."""
    assert all(uses.values())
    assert not {name: actions for name in POLICIES if (actions := set(denied(POLICIES[name], uses[name])))}
    unneeded = {
        (name, left_out["Sid"])
        for name, document in POLICIES.items()
        for left_out in document["Statement"]
        if not any(
            denied({"Statement": [one for one in document["Statement"] if one != left_out]}, uses[name])
        )
    }
    assert unneeded == NEEDED_BEFORE
