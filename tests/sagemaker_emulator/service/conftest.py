"""An emulator on a free port whose jobs are told by their hyperparameters what to do, and plain boto3 in front of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from sagemaker_emulator.emulator import Emulator, EmulatorConfig
from sagemaker_emulator.service.executor import ExecutionError, Executor, JobArtifacts, JobExit, JobOrder
from sagemaker_emulator.service.faults import Fault
from sagemaker_emulator.service.settings import ServiceSettings

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

ROLE = "arn:aws:iam::123456789012:role/SageMakerRole"
SESSION = boto3.Session(region_name="us-east-1")
PATIENCE = 300.0
"""Real seconds until a test gives up."""


@dataclass
class FakeExecutor(Executor):
    """Plays jobs by their hyperparameters.

    seconds (real, default 0.02), ends_in (the attempt that ends by itself; earlier ones train until they are ended, default
    0), exit, failure, on_term (exit or ignore), download (bytes), prepare_error, launch_error, poll_error, upload_error,
    upload_seconds.
    """

    calls: list[tuple[str, str]] = field(default_factory=list)
    orders: list[JobOrder] = field(default_factory=list)
    _ends: dict[str, tuple[float, JobExit]] = field(default_factory=dict)
    _plans: dict[str, dict[str, str]] = field(default_factory=dict)

    def prepare(self, order: JobOrder) -> int:
        self._note("prepare", order.name)
        self.orders.append(order)
        plan = order.request.get("HyperParameters", {})
        self._plans[order.name] = plan
        (order.cluster_dir / order.name).write_text("cached")
        if "prepare_error" in plan:
            raise ExecutionError(plan["prepare_error"])
        return int(plan.get("download", 0))

    def launch(self, order: JobOrder) -> None:
        self._note("launch", order.name)
        plan = self._plans[order.name]
        if "launch_error" in plan:
            raise RuntimeError(plan["launch_error"])
        leaving = JobExit(exit_code=int(plan.get("exit", 0)), failure_text=plan.get("failure", ""))
        ends = order.attempt >= int(plan.get("ends_in", 0))
        seconds = float(plan.get("seconds", 0.02)) if ends else math.inf
        self._ends[order.name] = (time.monotonic() + seconds, leaving)

    def poll(self, name: str) -> JobExit | None:
        if "poll_error" in self._plans[name]:
            raise RuntimeError(self._plans[name]["poll_error"])
        when, leaving = self._ends[name]
        return leaving if time.monotonic() >= when else None

    def release(self, name: str) -> None:
        """Let a job end now."""
        self._ends[name] = (0.0, self._ends[name][1])

    def terminate(self, name: str) -> None:
        self._note("terminate", name)
        if self._plans[name].get("on_term", "exit") == "exit":
            self._ends[name] = (0.0, JobExit(exit_code=143))

    def kill(self, name: str) -> None:
        self._note("kill", name)
        self._ends[name] = (0.0, JobExit(exit_code=137))

    def finish(self, order: JobOrder) -> JobArtifacts:
        self._note("finish", order.name)
        plan = self._plans[order.name]
        time.sleep(float(plan.get("upload_seconds", 0.0)))
        if "upload_error" in plan:
            raise ExecutionError(plan["upload_error"])
        return JobArtifacts(
            model_uri=f"s3://bucket/{order.name}/output/model.tar.gz", final_metrics=(("accuracy", 0.5, 1e9),)
        )

    def discard(self, name: str) -> None:
        self._note("discard", name)

    def close(self) -> None:
        self._note("close", "")

    def of(self, name: str) -> list[str]:
        """Calls for one job, in their order."""
        return [call for call, job in self.calls if job == name]

    def _note(self, call: str, name: str) -> None:
        self.calls.append((call, name))


def fake_aws(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Stands for S3 and the other services: an echo of the request's body."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("x-method", environ["REQUEST_METHOD"])])
    return [environ["wsgi.input"].read()]


class Service:
    """One emulator with a client, and what tests do with them."""

    def __init__(self, directory: Path, faults: Iterable[Fault], settings: dict[str, Any]) -> None:
        self.executor = FakeExecutor()
        application = settings.pop("application", fake_aws)
        self._arguments = {"speed": 1000.0, "keep_alive_cap": 21600, **settings}
        place = EmulatorConfig(directory=directory, access_key="KEY", secret_key="SECRET")
        self.emulator = Emulator(
            place, ServiceSettings(**self._arguments), lambda _url: (self.executor, application), list(faults)
        )
        self.url = self.emulator.url
        self.client = self.connect()

    def connect(self, access_key: str = "KEY", service: str = "sagemaker", **config: Any) -> Any:
        """A boto3 client without retries."""
        return SESSION.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=access_key,
            aws_secret_access_key="SECRET",
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    def close(self) -> None:
        self.client.close()
        self.emulator.close()

    def request(self, name: str, *, plan: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
        """A CreateTrainingJob request; keep_alive, instance_type and count go into ResourceConfig."""
        resources = {
            "InstanceType": changes.pop("instance_type", "ml.c5.xlarge"),
            "InstanceCount": changes.pop("count", 1),
            "VolumeSizeInGB": 10,
        }
        keep_alive = changes.pop("keep_alive", 0)
        if keep_alive:
            resources["KeepAlivePeriodInSeconds"] = keep_alive
        return {
            "TrainingJobName": name,
            "RoleArn": ROLE,
            "AlgorithmSpecification": {"TrainingImage": "python", "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://bucket/out"},
            "ResourceConfig": resources,
            "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
            **({"HyperParameters": plan} if plan else {}),
            **changes,
        }

    def create(self, name: str, *, plan: dict[str, str] | None = None, **changes: Any) -> str:
        return self.client.create_training_job(**self.request(name, plan=plan, **changes))["TrainingJobArn"]

    def describe(self, name: str) -> dict[str, Any]:
        return self.client.describe_training_job(TrainingJobName=name)

    def until(self, name: str, reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Describe again and again until the job is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            job = self.describe(name)
            if reached(job):
                return job
            time.sleep(0.005)
        raise AssertionError(f"{name} stays {job['TrainingJobStatus']}/{job['SecondaryStatus']}: {job}")

    def training(self, name: str) -> dict[str, Any]:
        return self.until(
            name, lambda job: job["SecondaryStatus"] == "Training" and "launch" in self.executor.of(name)
        )

    def ended(self, name: str) -> dict[str, Any]:
        return self.until(name, lambda job: job["TrainingJobStatus"] in {"Completed", "Failed", "Stopped"})

    def pool(self, name: str, status: str) -> dict[str, Any]:
        """The warm pool of the job, when it has this status."""
        return self.until(name, lambda job: job.get("WarmPoolStatus", {}).get("Status") == status)[
            "WarmPoolStatus"
        ]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts emulators (speed 1000, on the same folder) and closes what is open at the end."""
    started: list[Service] = []

    def begin(*, faults: Iterable[Fault] = (), **settings: Any) -> Service:
        service = Service(tmp_path / "state", faults, settings)
        started.append(service)
        return service

    yield begin
    for service in started:
        if service.emulator._thread.is_alive():
            service.close()


@pytest.fixture
def service(start: Callable[..., Service]) -> Service:
    """An emulator with default settings."""
    return start()
