"""Secrets, file systems and metrics of jobs on the embedded endpoint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.endpoints import kill_servers, store_secrets

from tunewright.aws import open_session, resolve_endpoint
from tunewright.backends.s3.code import ROOT_PREFIX
from tunewright.backends.s3.tasks import run_logs
from tunewright.backends.sagemaker import SageMakerBackend
from tunewright.backends.sagemaker.job_service import job_logs
from tunewright.backends.sagemaker.requests import job_prefix
from tunewright.backends.sagemaker.workers import WorkersBackend
from tunewright.exceptions import BackendError
from tunewright.testing.events import EventReader
from tunewright.testing.jobs import job_settings
from tunewright.trial import Run

TOKEN = "hidden-5f1d9c/=+7"
DIGEST = hashlib.sha256(TOKEN.encode()).hexdigest()
SCRIPT = """
import hashlib, os, sys
from pathlib import Path
from tunewright import report
token = os.environ["TOKEN"]
print("digest", hashlib.sha256(token.encode()).hexdigest(), os.environ.get("PLAIN"), flush=True)
print("data", Path(os.environ.get("SM_CHANNEL_TRAIN", "/nowhere"), "a.txt").exists(), flush=True)
report(epoch=1, loss=0.5, note="loss: 7")
report(epoch=2, loss=2.5e-3)
if "--fail" in sys.argv:
    sys.exit("refused: " + token)
"""

ENDPOINT = resolve_endpoint("embedded", speed=300)
Make = Callable[..., tuple[Any, EventReader]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder of an endpoint with secrets, and a folder that stands for a file system."""
    root, data = tmp_path_factory.mktemp("endpoint"), tmp_path_factory.mktemp("data")
    (data / "set").mkdir()
    (data / "set" / "a.txt").touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SAGEMAKER_EMULATOR_FILE_SYSTEMS", f"fs-01234567={data}")
        session = open_session(ENDPOINT, root=root)
        keys = session.endpoint.credentials
        assert keys is not None
        store_secrets(str(session.endpoint.url), keys.access_key, keys.secret_key, TOKEN)
        allow_secrets(session.client("iam"))
        yield root
        session.close()
    kill_servers(root)


def allow_secrets(iam: Any) -> None:
    """Let the execution role read all secrets, on accounts that check it."""
    actions = ["secretsmanager:GetSecretValue", "ssm:GetParameter"]
    document = {"Statement": [{"Effect": "Allow", "Action": actions, "Resource": "*"}]}
    (role,) = iam.list_roles()["Roles"]
    iam.put_role_policy(
        RoleName=role["RoleName"],
        PolicyName="secrets",
        PolicyDocument=json.dumps({"Version": "2012-10-17", **document}),
    )


@pytest.fixture
def make(root: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Make]:
    """A factory of backends that run SCRIPT."""
    (tmp_path / "train.py").write_text(SCRIPT)
    made: list[SageMakerBackend | WorkersBackend] = []

    def make(kind: Any = SageMakerBackend, **given: Any) -> tuple[Any, EventReader]:
        fields: dict[str, Any] = {
            "script": str(tmp_path / "train.py"),
            "n_workers": 2,
            "min_interval": 0.1,
            "secrets": {"TOKEN": "team/token#key"},
        }
        jobs, session = job_settings(**fields | given), open_session(ENDPOINT, root=root)
        backend = kind(jobs.benchmark, jobs.config, experiment=request.node.name, session=session)
        made.append(backend)
        backend.attach(())
        return backend, EventReader(backend, patience=300.0)

    yield make
    for backend in made:
        backend.close()


def test_secrets_files_and_metrics_of_jobs(make: Make, root: Path) -> None:
    backend, events = make(
        inputs={"train": "efs://fs-01234567/set"},
        subnets="subnet-1",
        security_group_ids="sg-1",
        secrets={"TOKEN": "team/token#key", "PLAIN": "ssm:/team/plain"},
    )
    backend.start(Run(trial_id=0, attempt=0), {"x": 0.5})
    backend.start(Run(trial_id=1, attempt=0), {"x": 0.5, "fail": True})
    assert events.until_ended(0).exit == 0
    failed = events.until_ended(1)
    assert "refused: [TOKEN]" in failed.error

    session, prefix = open_session(ENDPOINT, root=root), job_prefix(backend.deployment.experiment)
    log = job_logs(session, prefix, 0)
    assert f"digest {DIGEST} plain" in log
    assert "data True" in log
    jobs = [session.call("DescribeTrainingJob", TrainingJobName=f"{prefix}-{n}-0-0") for n in range(2)]
    found = {metric["MetricName"]: metric["Value"] for metric in jobs[0]["FinalMetricDataList"]}
    assert found == {"loss": pytest.approx(0.0025), "epoch": 2.0}
    assert "[TOKEN]" in jobs[1]["FailureReason"]
    assert TOKEN not in json.dumps(jobs, default=str) + failed.error
    objects = session.objects(backend.deployment.bucket, "tunewright")
    sent = [objects.get(one.key) or b"" for one in objects.list("")]
    assert any(b"team/token#key" in body for body in sent)
    assert not any(TOKEN.encode() in body for body in sent)
    session.close()


def test_workers_read_secrets_too(make: Make, root: Path) -> None:
    backend, events = make(WorkersBackend)
    backend.start(Run(trial_id=0, attempt=0), {"x": 0.5})
    assert events.until_ended(0).exit == 0
    session, prefix = open_session(ENDPOINT, root=root), job_prefix(backend.deployment.experiment)
    objects = session.objects(backend.deployment.bucket, f"{ROOT_PREFIX}/{prefix}")
    assert f"digest {DIGEST}" in run_logs(objects, 0)
    session.close()


@pytest.mark.parametrize(
    ("kind", "reference", "reason"),
    [
        (SageMakerBackend, "absent", "cannot read the secret absent for TOKEN.*--secret"),
        (SageMakerBackend, "team/token#other", "it is no JSON object with the key other.*--secret"),
        (WorkersBackend, "absent", "cannot read the secret absent for TOKEN"),
    ],
)
def test_a_secret_that_cannot_be_read_ends_the_experiment(
    make: Make, kind: type, reference: str, reason: str
) -> None:
    backend, events = make(kind, secrets={"TOKEN": reference})
    backend.start(Run(trial_id=0, attempt=0), {"x": 0.5})
    with pytest.raises(BackendError, match=reason) as refused:
        events.until_ended(0)
    assert TOKEN not in str(refused.value)
