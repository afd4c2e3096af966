"""Printed policies on an account that checks permissions: an experiment works with them, and each statement is needed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from moto.iam.models import iam_backends
from tests.integration.endpoints import store_secrets

from sagemaker_emulator.emulator import Emulator, EmulatorConfig, permissions_of
from sagemaker_emulator.execution import ExecutionSettings, Isolation, ProcessExecutor
from sagemaker_emulator.service.settings import ACCOUNT_ID, ServiceSettings
from sagemaker_emulator.storage import AwsServices
from sagemaker_emulator.storage.application import EXECUTION_ROLE_NAME
from sagemaker_emulator.storage.permissions import Need, Principal
from tunewright.aws import Credentials, Endpoint, EndpointKind, open_session
from tunewright.aws.account import read_quotas
from tunewright.aws.policy import Scope, policy
from tunewright.backends.sagemaker import SageMakerBackend
from tunewright.backends.sagemaker.job_service import job_logs
from tunewright.backends.sagemaker.requests import job_prefix
from tunewright.testing.events import EventReader
from tunewright.testing.jobs import job_settings
from tunewright.testing.training_script import training_config
from tunewright.trial import Run

REGION = "us-east-1"
SCOPE = Scope(
    region=REGION,
    account=ACCOUNT_ID,
    passed_role=f"arn:aws:iam::{ACCOUNT_ID}:role/service-role/{EXECUTION_ROLE_NAME}",
    experiments="printed-policies",
    secrets=("team/token#key", "ssm:/team/plain"),
)
POLICIES = {name: policy(name, SCOPE) for name in ("user", "tuning-job", "trial")}
NOT_OF_TUNING_JOBS = {"iam:GetRole", "s3:CreateBucket"}
"""Permissions of a user that a tuning job, which gets its role and bucket, has no use for."""
NAME = "printed policies"

Use = tuple[Principal, Need]


def start_emulator(folder: Path) -> Emulator:
    settings = ServiceSettings(preset="strict", speed=300.0, throttle="off")

    def make_services(url: str) -> tuple[ProcessExecutor, Any]:
        aws = AwsServices(folder / "aws", region=REGION, permissions=permissions_of(settings, "ROOT"))
        execution = ExecutionSettings(
            endpoint_url=url,
            region=REGION,
            access_key="ROOT",
            secret_key="SECRET",
            speed=settings.speed,
            isolation=Isolation.FOLDER,
        )
        return ProcessExecutor(execution, aws), aws.app

    config = EmulatorConfig(directory=folder / "state", access_key="ROOT", secret_key="SECRET")
    return Emulator(config, settings, make_services)


def attach_policies() -> Credentials:
    """Attach each policy to its principal; the keys of the user."""
    iam = iam_backends[ACCOUNT_ID]["aws"]
    iam.put_role_policy(EXECUTION_ROLE_NAME, "SageMakerFullAccess", json.dumps(POLICIES["trial"]))
    iam.create_user(REGION, "anna")
    iam.put_user_policy("anna", "printed", json.dumps(POLICIES["user"]))
    key = iam.create_access_key("anna")
    return Credentials(access_key=key.access_key_id, secret_key=key.secret_access_key)


def run_experiment(endpoint: Endpoint) -> None:
    """Everything that an experiment asks of its account: a run to the end, a stopped one, logs, quotas, pools."""
    session = open_session(endpoint)
    assert read_quotas(session)
    secrets = dict(zip(("TOKEN", "PLAIN"), SCOPE.secrets, strict=True))
    jobs = job_settings(
        n_workers=2, warm_pool=True, min_interval=0.1, role=EXECUTION_ROLE_NAME, secrets=secrets
    )
    backend = SageMakerBackend(jobs.benchmark, jobs.config, experiment=NAME, session=session)
    backend.attach(())
    events = EventReader(backend, patience=300.0)
    backend.start(Run(trial_id=0, attempt=0), training_config(epochs=2, seconds=0.01))
    backend.start(Run(trial_id=1, attempt=0), training_config(epochs=10_000, seconds=0.05))
    assert events.until_ended(0).exit == 0
    events.until_reported(1, 1)
    backend.stop(1)
    events.until_ended(1)
    job_logs(session, job_prefix(NAME), 0)
    backend.close()


@pytest.fixture(scope="module")
def uses(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Sequence[Use]]:
    """Permissions that were used and granted, by principal."""
    seen: dict[str, list[Use]] = {"user": [], "trial": []}
    decide = Principal.decide

    def recording(principal: Principal, need: Need) -> str:
        decision = decide(principal, need)
        if decision == "allowed" and principal.documents is not None:
            seen["user" if principal.arn.endswith("user/anna") else "trial"].append((principal, need))
        return decision

    emulator = start_emulator(tmp_path_factory.mktemp("strict"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Principal, "decide", recording)
        credentials = attach_policies()
        store_secrets(emulator.url, "ROOT", "SECRET", "hidden")
        try:
            run_experiment(
                Endpoint(kind=EndpointKind.OTHER, region=REGION, url=emulator.url, credentials=credentials)
            )
        finally:
            emulator.close()
    tuner = [use for use in seen["user"] if use[1].action not in NOT_OF_TUNING_JOBS]
    service = [use for use in seen["trial"] if use[1].action.startswith(("ecr:", "logs:"))]
    return {"tuning-job": tuner + service, **seen}


@pytest.mark.parametrize("name", POLICIES)
def test_each_policy_is_enough(uses: dict[str, Sequence[Use]], name: str) -> None:
    """Those of user and trial were attached during the experiment; a tuning job does what the user did."""
    for principal, need in uses[name]:
        assert replace(principal, documents=[POLICIES[name]]).decide(need) == "allowed", need


@pytest.mark.parametrize(
    ("name", "sid"),
    [(name, each["Sid"]) for name, document in POLICIES.items() for each in document["Statement"]],
)
def test_each_statement_is_needed(uses: dict[str, Sequence[Use]], name: str, sid: str) -> None:
    """The experiment worked; without the statement it would not."""
    rest = {"Statement": [each for each in POLICIES[name]["Statement"] if each["Sid"] != sid]}
    denied = {
        need.action
        for principal, need in uses[name]
        if replace(principal, documents=[rest]).decide(need) != "allowed"
    }
    assert denied
