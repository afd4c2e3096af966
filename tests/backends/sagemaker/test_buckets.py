"""Owners of buckets and keys of objects: tuner, jobs and workers against the embedded endpoint's S3."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sagemaker_emulator.api.server import bind, serve_on, url_of
from sagemaker_emulator.storage import AwsServices
from tunewright.aws import AwsSession, Endpoint, EndpointKind, S3Objects, choose_bucket, ensure_bucket
from tunewright.aws.boto import service_errors
from tunewright.backends.sagemaker.config import SageMakerConfig
from tunewright.backends.sagemaker.job_service import remedy_of_job
from tunewright.exceptions import BackendError, SettingsError
from tunewright.runner import s3_job
from tunewright.runner.contract import BucketTerms
from tunewright.runner.s3_channel import S3Clock
from tunewright.runner.s3_tasks import TaskQueue
from tunewright.runner.supervisor import supervise

OURS, ALIEN = "123456789012", "210987654321"
BUCKET = f"sagemaker-us-east-1-{OURS}"


class Recorded:
    """The services, and the headers of each request."""

    def __init__(self, services: AwsServices) -> None:
        self.store = services.store
        self._app = services.app
        self.requests: list[dict[str, str]] = []

    def refusal(self, environ: dict[str, Any]) -> None:
        """Admit each request."""

    def max_body(self, environ: dict[str, Any]) -> int:
        return 1 << 30

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        self.requests.append({k: v for k, v in environ.items() if isinstance(v, str)})
        return self._app(environ, start_response)

    def values(self, header: str) -> set[str | None]:
        return {request.get(header) for request in self.requests}


@pytest.fixture
def services(tmp_path: Path) -> Recorded:
    return Recorded(AwsServices(tmp_path / "services", region="us-east-1"))


@pytest.fixture
def url(services: Recorded, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    listener = bind(0)
    url = url_of(listener)
    server = serve_on(listener, services)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    for name, value in {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    yield url
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def session(url: str) -> Iterator[AwsSession]:
    session = AwsSession(Endpoint(kind=EndpointKind.OTHER, region="us-east-1", url=url))
    session.account = OURS
    yield session
    session.close()


@pytest.fixture
def job(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder like /opt/ml in a job whose experiment lies in the default bucket."""
    base = tmp_path / "ml"
    source = base / "input" / "data" / "code" / "source"
    source.mkdir(parents=True)
    (source / "train.py").write_text("print('[tune-metric]: {\"epoch\": 1}')\n")
    order = {"script": "train.py", "resource_attr": "epoch", "arguments": "list", "booleans": "value"}
    job = {"order": order, "poll_seconds": 0.05, "checkpoint_seconds": 100.0}
    (source.parent / "job.json").write_text(json.dumps(job))
    (base / "input" / "config").mkdir()
    parameters = {"tunewright_config": "{}"}
    (base / "input" / "config" / "hyperparameters.json").write_text(json.dumps(parameters))
    run = {"trial_id": 0, "attempt": 0, "retry": 0, "until": None, "resume_from": 0, "source": None}
    run |= {"dollars_per_hour": 1.0, "cost_before": 0.0}
    facts = {"number": 0, "slots": 1, "lease_seconds": 9, "take_seconds": 9, "hand_over_seconds": 9}
    facts |= {"abandon_seconds": 9, "max_run_seconds": 9}
    monkeypatch.setenv("TUNEWRIGHT_RUN", json.dumps(run))
    monkeypatch.setenv("TUNEWRIGHT_WORKER", json.dumps(facts))
    monkeypatch.setenv("TUNEWRIGHT_S3", f"s3://{BUCKET}/tunewright/e/")
    monkeypatch.setenv("TUNEWRIGHT_S3_OWNER", OURS)
    # else all processes that other tests of this process have begun would be killed with the script's
    monkeypatch.setattr(s3_job, "supervise", partial(supervise, owns_process=False))
    return base


def test_the_tuner_refuses_a_default_bucket_of_another_account(
    session: AwsSession, services: Recorded
) -> None:
    services.store.create_bucket(BUCKET, owner=ALIEN)
    with pytest.raises(BackendError, match=rf"does not belong to the account {OURS}.*--bucket"):
        ensure_bucket(session)
    assert services.store.objects(BUCKET) == []


def test_a_given_bucket_may_be_anyones_unless_its_owner_is_given(
    session: AwsSession, services: Recorded
) -> None:
    services.store.create_bucket("shared", owner=ALIEN)
    assert ensure_bucket(session, "shared") == "shared"
    assert ensure_bucket(session, "shared", BucketTerms(owner=ALIEN)) == "shared"
    with pytest.raises(BackendError, match=rf"does not belong to the account {OURS}"):
        ensure_bucket(session, "shared", BucketTerms(owner=OURS))


def test_every_request_of_the_tuner_expects_the_owner(
    session: AwsSession, services: Recorded, tmp_path: Path
) -> None:
    services.store.create_bucket(BUCKET)
    objects = session.objects(choose_bucket(session), "p")
    (tmp_path / "big").write_bytes(b"x" * (9 << 20))  # in several parts
    objects.put("a", b"1")
    assert objects.put_new("b", b"2")
    objects.put_file("big", tmp_path / "big")
    objects.get_file("big", tmp_path / "back")
    assert objects.replace("a", b"3", objects.page("a")[0].etag)
    assert objects.get("a") == b"3"
    objects.delete_under("")
    assert len(services.requests) > 8
    assert services.values("HTTP_X_AMZ_EXPECTED_BUCKET_OWNER") == {OURS}


def test_every_request_of_a_job_and_of_a_worker_expects_the_owner(job: Path, services: Recorded) -> None:
    services.store.create_bucket(BUCKET)
    assert s3_job.main([str(job)]) == 0
    client = s3_job.S3Client(job / "cache")
    queue = TaskQueue(client, BUCKET, "tunewright/e/", "job")
    client.put_object(Bucket=BUCKET, Key="tunewright/e/tasks/1-0-0", Body=b"{}")
    assert queue.waiting() == ["1-0-0"]
    lease = queue.claim("1-0-0")
    assert lease is not None
    queue.give_back(lease)
    S3Clock(client, BUCKET, "tunewright/e/").ahead()
    assert len(services.requests) > 8
    assert services.values("HTTP_X_AMZ_EXPECTED_BUCKET_OWNER") == {OURS}


@pytest.mark.parametrize("mode", ["sagemaker", "worker"])
def test_a_job_refuses_a_bucket_of_another_account(mode: str, job: Path, services: Recorded) -> None:
    services.store.create_bucket(BUCKET, owner=ALIEN)
    command = [sys.executable, "-m", "tunewright.runner", mode, str(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode != 0
    assert "AccessDenied" in done.stderr
    failure = (job / "output" / "failure").read_text()
    assert f"may not use the bucket: it does not belong to the account {OURS}" in failure
    assert "--bucket" in remedy_of_job(f"AlgorithmError: {failure}")
    assert services.store.objects(BUCKET) == []


def test_the_key_encrypts_every_object_of_tuner_and_job(
    session: AwsSession, services: Recorded, job: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.store.create_bucket(BUCKET)
    objects = session.objects(choose_bucket(session, terms=BucketTerms(kms_key="alias/mine")), "p")
    (tmp_path / "big").write_bytes(b"x" * (9 << 20))
    objects.put("a", b"1")
    assert objects.put_new("b", b"2")
    assert objects.replace("a", b"3", objects.page("a")[0].etag)
    objects.put_file("big", tmp_path / "big")
    script = job / "input" / "data" / "code" / "source" / "train.py"
    script.write_text("open('../../../../checkpoints/w', 'w').write('1')\n" + script.read_text())
    monkeypatch.setenv("TUNEWRIGHT_S3_KMS", "alias/mine")
    assert s3_job.main([str(job)]) == 0
    names = [found.key for found in services.store.objects(BUCKET)]
    assert len([name for name in names if "/checkpoints/" in name]) == 2
    heads = [session.client("s3").head_object(Bucket=BUCKET, Key=name) for name in names]
    assert len(heads) >= 7
    assert {head.get("ServerSideEncryption") for head in heads} == {"aws:kms"}
    assert {head.get("SSEKMSKeyId") for head in heads} == {"alias/mine"}


def test_requests_to_other_buckets_carry_no_owner(session: AwsSession, services: Recorded) -> None:
    services.store.create_bucket("other")
    choose_bucket(session)
    with service_errors():
        S3Objects(session.client("s3"), "other", "").put("a", b"")
    assert services.values("HTTP_X_AMZ_EXPECTED_BUCKET_OWNER") == {None}


def test_an_owner_is_an_account_of_a_given_bucket() -> None:
    assert SageMakerConfig(bucket="b", bucket_owner=ALIEN).bucket_owner == ALIEN
    with pytest.raises(SettingsError, match="12 digits"):
        SageMakerConfig(bucket="b", bucket_owner="me")
    with pytest.raises(SettingsError, match="--bucket"):
        SageMakerConfig(bucket_owner=ALIEN)
