from __future__ import annotations

import io
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.logs.models import logs_backends
from werkzeug.serving import WSGIRequestHandler, make_server

from sagemaker_emulator.execution import ExecutionSettings, Isolation, ProcessExecutor
from sagemaker_emulator.execution.command import MARKER
from sagemaker_emulator.execution.sandbox import supports_namespaces
from sagemaker_emulator.service.executor import JobArtifacts, JobExit, JobOrder
from sagemaker_emulator.storage import ACCOUNT_ID, TRAINING_LOG_GROUP, AwsServices

DEADLINE_SECONDS = 300.0


class _QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        """Write nothing."""


class Jobs:
    """Runs jobs with an executor, as the service does."""

    def __init__(self, executor: ProcessExecutor, aws: AwsServices, folder: Path) -> None:
        self.executor = executor
        self.aws = aws
        self.folder = folder

    def order(self, name: str, command: list[str], **changes: Any) -> JobOrder:
        algorithm: dict[str, Any] = {"TrainingImage": "image"}
        if command:
            algorithm |= {"ContainerEntrypoint": command[:1], "ContainerArguments": command[1:]}
        request = {
            "TrainingJobName": name,
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
            "ResourceConfig": {"InstanceType": "ml.c5.xlarge", "InstanceCount": 1},
        } | changes
        request["AlgorithmSpecification"] = algorithm | request.get("AlgorithmSpecification", {})
        return JobOrder(
            name=name, arn=f"arn:aws:sagemaker:::{name}", request=request, cluster_dir=self.folder / "cluster"
        )

    def start(self, name: str, command: list[str], **changes: Any) -> JobOrder:
        order = self.order(name, command, **changes)
        self.executor.prepare(order)
        self.executor.launch(order)
        return order

    def python(self, name: str, code: str, **changes: Any) -> JobOrder:
        return self.start(name, ["python3", "-c", code], **changes)

    def wait(self, name: str) -> JobExit:
        self.until(lambda: self.executor.poll(name) is not None)
        ended = self.executor.poll(name)
        assert ended is not None
        return ended

    def finish(self, order: JobOrder) -> tuple[JobExit, JobArtifacts]:
        return self.wait(order.name), self.executor.finish(order)

    def log(self, name: str) -> list[str]:
        """All lines of a job so far."""
        backend = logs_backends[ACCOUNT_ID]["us-east-1"]
        lines: list[str] = []
        for stream in self.aws.logs.streams(TRAINING_LOG_GROUP, f"{name}/"):
            events, _, _ = backend.get_log_events(
                TRAINING_LOG_GROUP, None, stream, None, None, 10000, None, True
            )
            lines += [event["message"] for event in events]
        return lines

    def output(self, name: str, member: str) -> bytes:
        """A file of the job's output.tar.gz."""
        return self.members(name, "output.tar.gz")[member]

    def members(self, name: str, archive: str) -> dict[str, bytes]:
        packed = io.BytesIO(self.aws.store.get("bucket", f"out/{name}/output/{archive}"))
        with tarfile.open(fileobj=packed) as opened:
            return {each.name: opened.extractfile(each).read() for each in opened if each.isfile()}

    @staticmethod
    def until(condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail("the condition did not come true in time")
            time.sleep(0.01)

    def survivors(self) -> list[int]:
        """Processes of this emulator that live."""
        wanted = f"{MARKER}={self.aws.directory.resolve()}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdecimal() and wanted in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found


@pytest.fixture
def aws(tmp_path: Path) -> AwsServices:
    made = AwsServices(tmp_path / "emulator", region="us-east-1")
    made.store.create_bucket("bucket")
    return made


@pytest.fixture
def endpoint_url(aws: AwsServices) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, aws.app, threaded=True, request_handler=_QuietHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def make_jobs(aws: AwsServices, tmp_path: Path) -> Iterator[Callable[..., Jobs]]:
    """A factory of executors."""
    executors: list[ProcessExecutor] = []

    def make(**changes: Any) -> Jobs:
        settings: dict[str, Any] = {
            "endpoint_url": "http://127.0.0.1:9",
            "region": "eu-west-1",
            "access_key": "the-key",
            "secret_key": "the-secret",
            "speed": 1000.0,
            "isolation": Isolation.FOLDER,
        }
        executors.append(ProcessExecutor(ExecutionSettings(**(settings | changes)), aws))
        return Jobs(executors[-1], aws, tmp_path)

    yield make
    for executor in executors:
        executor.close()


@pytest.fixture(params=[Isolation.NAMESPACES, Isolation.FOLDER])
def isolation(request: pytest.FixtureRequest) -> Isolation:
    if request.param is Isolation.NAMESPACES and not supports_namespaces():
        pytest.skip("this machine allows no namespaces")
    return request.param


@pytest.fixture
def jobs(make_jobs: Callable[..., Jobs], isolation: Isolation) -> Jobs:
    """Jobs in either isolation."""
    return make_jobs(isolation=isolation)


@pytest.fixture
def folder_jobs(make_jobs: Callable[..., Jobs]) -> Jobs:
    """Jobs for what does not depend on the isolation."""
    return make_jobs()
