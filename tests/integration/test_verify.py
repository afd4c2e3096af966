"""``tunewright sagemaker verify`` on an endpoint: as it is assumed to be, with faults, interrupted, and with rules of its own."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import BotoCoreError, ClientError

from sagemaker_emulator.emulator import Emulator, EmulatorConfig
from sagemaker_emulator.execution import ExecutionSettings, Isolation, ProcessExecutor
from sagemaker_emulator.service.faults import Fault
from sagemaker_emulator.service.settings import ACCOUNT_ID, ServiceSettings
from sagemaker_emulator.storage import AwsServices
from tunewright.backends.sagemaker.verification import ASSUMPTIONS
from tunewright.cli import main

REGION = "us-east-1"
KEY, SECRET = "EMULATORVERIFY", "SECRETVERIFY"
TIMED = {13, 36, 38}
"""Lines about durations, which a busy machine may exceed."""
NAMES = 9
"""Line about addresses of hosts, which jobs without namespaces do not have."""
OTHERS, PAGE = "ml.c5.xlarge", 101
"""Instance type and number of others' jobs."""
CLEANED = "Ending jobs and deleting files ...\n"


class Account:
    """An endpoint, the command on it, and what it leaves there."""

    def __init__(self, emulator: Emulator, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.out = ""
        self._emulator = emulator
        self._file = folder / "result.json"
        self._capsys = capsys

    def verify(self, *flags: str) -> tuple[int, dict[str, Any]]:
        """Exit code and JSON."""
        with pytest.raises(SystemExit) as exited:
            main(["sagemaker", "verify", "--endpoint", self._emulator.url, "--out", str(self._file), *flags])
        self.out = self._capsys.readouterr().out
        return int(exited.value.code or 0), json.loads(self._file.read_text())

    @contextmanager
    def client(self, service: str) -> Generator[Any]:
        session: Any = boto3.Session(KEY, SECRET, region_name=REGION)
        with closing(session.client(service, endpoint_url=self._emulator.url)) as client:
            yield client

    def create_jobs(self, n: int) -> None:
        """Create jobs of others."""
        with self.client("sagemaker") as client:
            for number in range(n):
                client.create_training_job(
                    TrainingJobName=f"other-{number}",
                    RoleArn=f"arn:aws:iam::{ACCOUNT_ID}:role/other",
                    AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
                    OutputDataConfig={"S3OutputPath": "s3://bucket/output"},
                    ResourceConfig={"InstanceType": OTHERS, "InstanceCount": 1, "VolumeSizeInGB": 1},
                    StoppingCondition={"MaxRuntimeInSeconds": 60},
                )

    def jobs(self) -> list[dict[str, Any]]:
        """All jobs, newest first."""
        with self.client("sagemaker") as client:
            return client.list_training_jobs(MaxResults=100)["TrainingJobSummaries"]

    def left(self) -> tuple[list[str], list[str], list[str]]:
        """Jobs that run, jobs with a warm pool, keys of objects."""
        jobs = self.jobs()
        with self.client("s3") as client:
            buckets = [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]
            pages = [client.list_objects_v2(Bucket=bucket) for bucket in buckets]
        return (
            [
                job["TrainingJobName"]
                for job in jobs
                if job["TrainingJobStatus"] in {"InProgress", "Stopping"}
            ],
            [
                job["TrainingJobName"]
                for job in jobs
                if job.get("WarmPoolStatus", {}).get("Status") in {"InUse", "Available"}
            ],
            [stored["Key"] for page in pages for stored in page.get("Contents", [])],
        )


@pytest.fixture
def make_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Account]]:
    """Starts an endpoint with settings and faults."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.delenv("TUNEWRIGHT_SAGEMAKER_ROLE", raising=False)
    monkeypatch.delenv("AWS_ROLE", raising=False)
    started: list[Emulator] = []

    def make(faults: Sequence[Fault] = (), **settings: Any) -> Account:
        defaults: dict[str, Any] = {"speed": 40.0}
        service = ServiceSettings(**defaults | settings)

        def make_services(url: str) -> tuple[ProcessExecutor, Any]:
            aws = AwsServices(tmp_path / "aws", region=REGION, log_delay=0.1)
            execution = ExecutionSettings(
                endpoint_url=url,
                region=REGION,
                access_key=KEY,
                secret_key=SECRET,
                speed=service.speed,
                isolation=Isolation.AUTO,
            )
            return ProcessExecutor(execution, aws), aws.app

        config = EmulatorConfig(directory=tmp_path / "state", access_key=KEY, secret_key=SECRET)
        started.append(Emulator(config, service, make_services, faults))
        return Account(started[-1], tmp_path, capsys)

    yield make
    for emulator in started:
        emulator.close()


def states(result: Mapping[str, Any]) -> dict[int, str]:
    return {one["number"]: one["state"] for one in result["assumptions"]}


@pytest.mark.slow
def test_the_endpoint_is_as_assumed(make_account: Callable[..., Account]) -> None:
    account = make_account()
    code, result = account.verify()
    found = states(result)
    assert result["failures"] == {}, account.out
    assert list(found) == [one.number for one in ASSUMPTIONS]
    contradicted = {number for number, state in found.items() if state == "contradicted"}
    assert contradicted <= {*TIMED, NAMES}, account.out
    assert code == (3 if contradicted else 0)
    seen = {1, 3, 4, 6, 10, 11, 14, 15, 16, 17, 18, 19, 20, 21, 25, 28, 29, 31, 33, 35, 37, 39, 44}
    assert {number for number, state in found.items() if state == "confirmed"} >= seen
    for one in ASSUMPTIONS:
        if one.hidden:
            assert result["assumptions"][one.number - 1]["seen"] == one.hidden
    further = result["further"]
    assert further["checkpoint of job 1 in job 2"] == "restored"
    assert further["pause"].startswith("end pause, checkpoint 1, ")
    assert "end of the runner: terminated, " in result["assumptions"][3]["seen"]
    assert "stopped while Starting: Stopped" in further["stop before the training"]
    assert "a claimed run was left alone: True" in further["worker"]
    assert (
        "Five short jobs, one after the other on one ml.m5.large in us-east-1, 30 minutes, at most $"
        in account.out
    )
    assert account.left() == ([], [], [])
    text = json.dumps(result)
    for secret in (ACCOUNT_ID, KEY, SECRET, "arn:aws", f"sagemaker-{REGION}", "AmazonSageMaker"):
        assert secret not in text


@pytest.mark.slow
def test_steps_that_fail_and_rules_that_differ(make_account: Callable[..., Account]) -> None:
    """No instance for three jobs; long keep-alives are accepted, no pool is kept; others have run more than a page of jobs."""
    account = make_account(
        [
            Fault(kind="capacity", target="ml.m5.large", count=3),
            Fault(kind="capacity", target=OTHERS, count=None),
        ],
        keep_alive_cap=21600,
        quotas={OTHERS: PAGE},
        warm_pool_quotas={"ml.m5.large": 0},
        speed=120.0,
        throttle="off",
    )
    account.create_jobs(PAGE)
    code, result = account.verify()
    found = {one["number"]: one for one in result["assumptions"]}
    assert code == 3, account.out
    assert found[15]["state"] == "contradicted"
    assert found[15]["seen"] == "accepted"
    assert result["failures"].keys() == {
        "job 1 of 5, from cold: facts, report, pause, checkpoint, pool",
        "job 2 of 5, on the warm instance: checkpoint, stop",
        "job 3 of 5: a worker with two runs",
        "release of the warm pool",
    }
    assert "CapacityError" in next(iter(result["failures"].values()))
    assert found[1]["state"] == found[3]["state"] == found[14]["state"] == "not seen"
    assert found[3]["seen"] == "its step failed or was not reached"
    confirmed = {number for number, one in found.items() if one["state"] == "confirmed"}
    assert confirmed >= {16, 17, 18, 19, 20, 22, 31, 33, 39}
    assert "behind more than 100 older ones: found" in found[22]["seen"]
    assert account.left() == ([], [], [])


@pytest.mark.slow
def test_ctrl_c_ends_the_job_and_deletes_the_files(make_account: Callable[..., Account]) -> None:
    account = make_account()

    def interrupt() -> None:
        """Press Ctrl-C while a job trains; a listing may be refused, as the check meets the limit of the rate."""
        is_training = False
        while not is_training:
            time.sleep(0.2)
            with suppress(BotoCoreError, ClientError):
                is_training = any(job["SecondaryStatus"] == "Training" for job in account.jobs())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt, daemon=True)
    # a process that a shell began in the background ignores the signal
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        thread.start()
        code, result = account.verify()
        thread.join()
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 130
    assert CLEANED in account.out
    assert account.left() == ([], [], [])
    assert states(result)[44] == "confirmed"
    assert states(result)[4] == "not seen"
    assert result["failures"] == {}
