"""The command, first without and then with a real process behind it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import psutil
import pytest

from sagemaker_emulator import __main__ as program
from sagemaker_emulator import emulator, serve_command
from sagemaker_emulator.emulator import ServeOptions
from sagemaker_emulator.execution import Isolation
from sagemaker_emulator.service.settings import ServiceSettings

PATIENCE = 300.0
SIGNALS = {signal.SIGINT, signal.SIGTERM}
DURATION = str(10_000_000 + os.getpid())


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, ServeOptions | None]]:
    """Runs the command in this process, with a serve() that only takes note."""

    def command(*arguments: str, error: Exception | None = None) -> tuple[int, ServeOptions | None]:
        seen: list[ServeOptions] = []

        def serve(options: ServeOptions) -> None:
            seen.append(options)
            if error is not None:
                raise error

        monkeypatch.setattr(serve_command, "serve", serve)
        monkeypatch.setattr(sys, "argv", ["sagemaker-emulator", *arguments])
        with pytest.raises(SystemExit) as ended:
            program.main()
        return int(ended.value.code or 0), seen[0] if seen else None

    return command


def test_options_reach_the_server(run: Any, tmp_path: Path) -> None:
    faults = tmp_path / "faults.json"
    faults.write_text('{"faults": [{"kind": "stale", "target": "Search"}]}')
    code, options = run(
        *("serve", "--dir", str(tmp_path), "--port", "0", "--speed", "2.5", "--region", "eu-west-1"),
        *("--quota", "ml.c5.xlarge=4", "--quota=ml.m5.large=0", "--warm-pool-quota", "ml.c5.xlarge=3"),
        *("--image", "repo/image:tag=/usr/bin/python3", "--isolation", "folder", "--throttle", "off"),
        *("--access-key=KEY", "--secret_key", "SECRET", "--faults", str(faults), "--keep-alive-cap", "21600"),
        *("--lease_dir", str(tmp_path / "l"), "--lease-grace", "5", "--state_file", str(tmp_path / "s.json")),
        *("--preset", "new-account", "--total-quota", "7"),
    )
    assert code == 0
    settings = options.settings
    assert (settings.region, settings.speed, settings.throttle) == ("eu-west-1", 2.5, "off")
    assert settings.quotas == {"ml.c5.xlarge": 4, "ml.m5.large": 0}
    assert settings.warm_pool_quotas == {"ml.c5.xlarge": 3}
    assert settings.keep_alive_cap == 21600
    assert (settings.preset, settings.total, settings.quota("ml.m5.xlarge")) == ("new-account", 7, 0)
    assert options.interpreters == {"repo/image:tag": Path("/usr/bin/python3")}
    assert (options.access_key, options.secret_key) == ("KEY", "SECRET")
    assert (options.isolation, options.lease_grace) == (Isolation.FOLDER, 5.0)
    assert (options.lease_dir, options.state_file) == (tmp_path / "l", tmp_path / "s.json")
    assert [fault.kind for fault in options.faults] == ["stale"]


def test_defaults_are_for_newcomers(run: Any, tmp_path: Path) -> None:
    _, options = run("serve", "--dir", str(tmp_path))
    assert (options.port, options.settings.speed, options.settings.throttle) == (0, 60.0, "published")
    assert options.settings.quota("ml.p4d.24xlarge") == options.settings.warm_pool_quota("ml.c5.large") == 20
    assert (options.lease_dir, options.state_file, options.access_key) == (None, None, "")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--warm_pol_quota", "x=1"], "--warm_pool_quota"),
        (["--quota", "ml.c5.xlarge"], "--quota TYPE=N"),
        (["--quota", "ml.c5.xlarge=many"], "--quota TYPE=N"),
        (["--speed", "0"], "speed must be above 0"),
        (["--faults", "/nowhere/faults.json"], "/nowhere/faults.json"),
        (["--throttle", "maybe"], "published"),
        (["--preset", "old-account"], "new-account"),
    ],
)
def test_bad_options_are_explained(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], text: str
) -> None:
    code, options = run("serve", "--dir", str(tmp_path), *arguments)
    assert (code, options) == (2, None)
    assert text in capsys.readouterr().err


def test_an_emulator_that_cannot_start_says_why_in_one_line(
    run: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _ = run("serve", "--dir", str(tmp_path), error=OSError("port 1 of 127.0.0.1 is taken"))
    assert code == 1
    assert capsys.readouterr().err == "sagemaker-emulator: port 1 of 127.0.0.1 is taken\n"


@pytest.mark.parametrize("access_key", ["", "KEY"])
def test_serving_ends_on_a_signal_and_tidies_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], access_key: str
) -> None:
    handlers: dict[int, Callable[..., None]] = {}
    monkeypatch.setattr(signal, "signal", handlers.__setitem__)
    state_file = tmp_path / "state.json"
    seen: list[dict[str, Any]] = []

    def end() -> None:
        wait_for(lambda: set(handlers) >= SIGNALS and state_file.exists())
        seen.append(json.loads(state_file.read_text()))
        handlers[signal.SIGTERM](signal.SIGTERM, None)

    ending = Thread(target=end)
    ending.start()
    emulator.serve(
        ServeOptions(
            settings=ServiceSettings(),
            directory=tmp_path / "data",
            access_key=access_key,
            state_file=state_file,
            isolation=Isolation.FOLDER,
        )
    )
    ending.join()
    assert not state_file.exists()
    (state,) = seen
    output = capsys.readouterr().out
    assert f"AWS_ENDPOINT_URL={state['url']} AWS_DEFAULT_REGION=us-east-1" in output
    assert f"AWS_ACCESS_KEY_ID={state['access_key']} AWS_SECRET_ACCESS_KEY={state['secret_key']}" in output
    assert ("access key:" in output) == (access_key == "")
    assert "not a security boundary: run only code you trust" in output
    assert state["access_key"] == (access_key or state["access_key"])


def test_serving_ends_without_a_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    emulator.serve(
        ServeOptions(
            settings=ServiceSettings(),
            directory=tmp_path / "data",
            lease_dir=tmp_path / "leases",
            lease_grace=0.0,
            isolation=Isolation.FOLDER,
        )
    )


class Process:
    """``sagemaker-emulator serve`` as a process of its own."""

    def __init__(self, directory: Path, *arguments: str) -> None:
        self.state_file = directory / "state.json"
        command = [sys.executable, "-m", "sagemaker_emulator", "serve", "--dir", str(directory / "data")]
        self.process = subprocess.Popen(
            [*command, "--state_file", str(self.state_file), "--speed", "500", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ready(self) -> dict[str, Any]:
        wait_for(lambda: self.state_file.exists() or self.process.poll() is not None)
        assert self.process.poll() is None, self.process.communicate()
        return json.loads(self.state_file.read_text())

    def client(self, service: str) -> Any:
        state = self.ready()
        return boto3.client(
            service,
            endpoint_url=state["url"],
            region_name=state["region"],
            aws_access_key_id=state["access_key"],
            aws_secret_access_key=state["secret_key"],
        )

    def ended(self) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    started: list[Process] = []

    def begin(*arguments: str) -> Process:
        started.append(Process(tmp_path, *arguments))
        return started[-1]

    yield begin
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
            each.process.communicate()


def create(sagemaker: Any, name: str, script: str, keep_alive: int) -> None:
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn="arn:aws:iam::123456789012:role/SageMakerRole",
        AlgorithmSpecification={
            "TrainingImage": "python",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["bash", "-c"],
            "ContainerArguments": [script],
        },
        OutputDataConfig={"S3OutputPath": "s3://bucket/out"},
        ResourceConfig={
            "InstanceType": "ml.c5.xlarge",
            "InstanceCount": 1,
            "VolumeSizeInGB": 1,
            "KeepAlivePeriodInSeconds": keep_alive,
        },
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )


def status(sagemaker: Any, name: str) -> tuple[str, str]:
    job = sagemaker.describe_training_job(TrainingJobName=name)
    return job["TrainingJobStatus"], job["SecondaryStatus"]


def test_real_jobs_run_and_the_server_ends_with_its_last_lease(serve: Any, tmp_path: Path) -> None:
    lease = tmp_path / "leases" / "test.lease"
    lease.parent.mkdir()
    with lease.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        process = serve("--lease_dir", str(lease.parent), "--isolation", "folder")
        sagemaker, s3 = process.client("sagemaker"), process.client("s3")
        s3.create_bucket(Bucket="bucket")
        create(sagemaker, "job-1", "echo hello > /opt/ml/model/greeting", 0)
        wait_for(lambda: status(sagemaker, "job-1")[0] not in {"InProgress"})
        job = sagemaker.describe_training_job(TrainingJobName="job-1")
        assert job["TrainingJobStatus"] == "Completed", job
        assert s3.head_object(Bucket="bucket", Key="out/job-1/output/model.tar.gz")["ContentLength"]
        data = tmp_path / "data"
        kept = [*data.iterdir(), *(data / "s3").rglob("*"), *(data / "logs").rglob("*")]
        assert [path for path in kept if path.stat().st_mode & 0o077] == []
        state = process.ready()
        sagemaker.close()
        s3.close()
        lease.unlink()
        code, output = process.ended()
    assert code == 0
    assert not process.state_file.exists()
    assert output.splitlines()[0].startswith(f"sagemaker-emulator: {state['url']} (speed 500")
    assert f"access key: {state['access_key']}" in output
    assert f"export AWS_ENDPOINT_URL={state['url']}" in output


def test_a_killed_emulator_takes_its_jobs_with_it_and_remembers_them(serve: Any) -> None:
    first = serve()
    sagemaker, s3 = first.client("sagemaker"), first.client("s3")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="kept", Body=b"value")
    create(sagemaker, "running", f"exec sleep {DURATION}", 600)
    wait_for(lambda: status(sagemaker, "running")[1] == "Training" and bool(sleepers()))
    jobs = sleepers()
    first.process.kill()
    first.process.communicate()
    first.state_file.unlink()
    sagemaker.close()
    s3.close()
    second = serve("--access_key", "KEY", "--secret_key", "SECRET")
    sagemaker, s3 = second.client("sagemaker"), second.client("s3")
    job = sagemaker.describe_training_job(TrainingJobName="running")
    assert job["FailureReason"] == "InternalServerError: We encountered an internal error. Please try again."
    assert job["WarmPoolStatus"]["Status"] == "Terminated"
    assert s3.get_object(Bucket="bucket", Key="kept")["Body"].read() == b"value"
    wait_for(lambda: not set(jobs) & set(sleepers()))
    create(sagemaker, "again", f"exec sleep {DURATION}", 600)
    sagemaker.close()
    s3.close()
    second.process.send_signal(signal.SIGTERM)
    code, output = second.ended()
    assert code == 0
    assert "access key:" not in output
    assert not second.state_file.exists()


def sleepers() -> list[int]:
    """Processes of this test's jobs, which are told by a duration of their own."""
    found = psutil.process_iter(["pid", "cmdline"])
    return [process.pid for process in found if process.info["cmdline"] == ["sleep", DURATION]]


def test_a_taken_port_is_one_clear_error(serve: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = serve("--port", str(port)).ended()
    assert code == 1
    assert (
        output
        == f"sagemaker-emulator: port {port} of 127.0.0.1 is taken: choose another one, or 0 for any free port\n"
    )
