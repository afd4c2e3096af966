"""A real S3 for worker processes, and an in-memory AWS whose workers do what a test says."""

# ruff: noqa: N801, N803 - boto3's names
from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from werkzeug.serving import WSGIRequestHandler, make_server

from sagemaker_emulator.storage import AwsServices
from tunewright.aws import S3Objects
from tunewright.aws.boto import new_session
from tunewright.backends.engine.channel import Inbox
from tunewright.backends.engine.job_service import JobName
from tunewright.backends.s3.channel import S3Channel
from tunewright.backends.s3.tasks import S3TaskBoard
from tunewright.backends.sagemaker.workers import WorkersBackend, WorkerSettings
from tunewright.interfaces import BackendEvent
from tunewright.runner import s3_keys
from tunewright.runner.build import runner_bytes
from tunewright.runner.channel import EXITED, End, Report
from tunewright.runner.s3_tasks import S3Lease, TaskQueue
from tunewright.testing.jobs import job_settings
from tunewright.trial import Ended, PhaseChange, Reported

BUCKET = "workers"


class QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002
        """Write nothing."""


@pytest.fixture
def store_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of moto's S3, as the emulator serves it; one for each test, as moto's state is that of the whole process."""
    services = AwsServices(tmp_path_factory.mktemp("store"), region="us-east-1")
    services.store.create_bucket(BUCKET)
    server = make_server("127.0.0.1", 0, services.app, threaded=True, request_handler=QuietHandler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def new_client(store_url: str) -> Iterator[Callable[[], Any]]:
    made: list[Any] = []

    def make() -> Any:
        session = new_session("us-east-1", "key", "secret")
        made.append(session.client("s3", endpoint_url=store_url))
        return made[-1]

    yield make
    for client in made:
        client.close()


class Instance:
    """A worker as a process, and the tuner's side of it."""

    def __init__(self, base: Path, client: Any, url: str) -> None:
        self.base = base
        self.prefix = f"{base.parent.name}/"
        self.client = client
        self.objects = S3Objects(client, BUCKET, self.prefix)
        self.board = S3TaskBoard(self.objects, job_settings().benchmark)
        self.reader = Inbox(S3Channel(self.objects, overlap=60.0))
        self.url = url
        self.process: subprocess.Popen[bytes] | None = None

    def begin(self, script: str, **facts: Any) -> None:
        code = self.base / "input" / "data" / "code"
        (code / "source").mkdir(parents=True)
        (code / "runner.pyz").write_bytes(runner_bytes())
        (code / "source" / "train.py").write_text(textwrap.dedent(script))
        order = {"script": "train.py", "resource_attr": "epoch", "grace": 0.3}
        job = {"order": order, "poll_seconds": 0.05, "checkpoint_seconds": 60.0}
        (code / "job.json").write_text(json.dumps(job))
        told = {
            "number": 0,
            "slots": 1,
            "lease_seconds": 0.6,
            "take_seconds": 1e5,
            "hand_over_seconds": 1e5,
            "abandon_seconds": 1e5,
            "max_run_seconds": 1e5,
            **facts,
        }
        self.environment = environment = {
            **os.environ,
            "TUNEWRIGHT_WORKER": json.dumps(told),
            "TUNEWRIGHT_S3": f"s3://{BUCKET}/{self.prefix}",
            "TRAINING_JOB_NAME": "job-0",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }
        command = [sys.executable, str(code / "runner.pyz"), "worker", str(self.base)]
        with (self.base / "output.log").open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def clear(self) -> None:
        """Reap a worker that has ended, and remove all objects and files."""
        self.exit_code()
        self.objects.delete_under("")
        shutil.rmtree(self.base)
        self.base.mkdir()
        self.reader = Inbox(S3Channel(self.objects, overlap=60.0))

    def post(self, trial_id: int, **config: Any) -> str:
        facts = {"trial_id": trial_id, "source": None}
        task = json.dumps({"config": config, "facts": facts}).encode()
        self.objects.put_new(f"{s3_keys.TASKS}{trial_id}-0-0", task)
        return f"{trial_id}-0-0"

    def messages(self, trial_id: int) -> list[Report | End]:
        self.reader.search_from(time.time())
        return [message for _, message in sorted(self.reader.box(JobName(trial_id, 0, 0)).waiting.items())]

    def end_of(self, trial_id: int) -> End:
        found: list[End] = []

        def has_ended() -> bool:
            found[:] = [message for message in self.messages(trial_id) if isinstance(message, End)]
            return bool(found)

        self.until(has_ended)
        return found[0]

    def until(self, condition: Callable[[], object], seconds: float = 300.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it never came: {(self.base / 'output.log').read_text()}"
            time.sleep(0.05)

    def drain(self) -> int:
        self.objects.put(s3_keys.worker_control(0), b"drain")
        return self.exit_code()

    def exit_code(self) -> int:
        assert self.process is not None
        return self.process.wait(timeout=300)


@pytest.fixture
def instance(tmp_path: Path, new_client: Callable[[], Any], store_url: str) -> Iterator[Instance]:
    base = tmp_path / "ml"
    base.mkdir()
    made = Instance(base, new_client(), store_url)
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()


class RunnersView:
    """The in-memory S3 as boto3 shows it to workers."""

    class exceptions:
        class ClientError(Exception):
            def __init__(self) -> None:
                super().__init__("412")
                self.response = {"Error": {"Code": "PreconditionFailed"}}

        class NoSuchKey(Exception):  # noqa: N818
            pass

    def __init__(self, s3: Any) -> None:
        self._s3 = s3
        self.list_objects_v2 = s3.list_objects_v2
        self.delete_object = s3.delete_object

    def put_object(self, Key: str, Body: bytes, IfNoneMatch: str = "", IfMatch: str = "", **_: Any) -> Any:
        held = self._s3.etag(Key)
        if (IfNoneMatch and held) or (IfMatch and IfMatch.strip('"') != held):
            raise self.exceptions.ClientError
        self._s3.objects[Key] = Body
        return {"ETag": f'"{self._s3.etag(Key)}"'}

    def get_object(self, Key: str, **_: Any) -> Any:
        if Key not in self._s3.objects:
            raise self.exceptions.NoSuchKey
        body = self._s3.objects[Key]
        return {"Body": SimpleNamespace(read=lambda: body), "ETag": f'"{self._s3.etag(Key)}"'}


class FakeWorker:
    """A worker of a job, as far as S3 shows it."""

    def __init__(self, fleet: FleetDriver, job: str) -> None:
        self._fleet = fleet
        self.name = f"{job}/algo-1"
        self.queue = TaskQueue(RunnersView(fleet.aws.s3), "bucket", fleet.prefix, job)
        self.leases: dict[str, S3Lease] = {}

    def take(self, run: str) -> dict[str, Any]:
        lease = self.queue.claim(run)
        assert lease is not None
        self.leases[run] = lease
        return lease.task

    def report(
        self, run: str, seq: int, resource: int | None = None, *, ahead: float = 0.0, is_warm: bool = False
    ) -> None:
        report = Report(seq, resource or seq, {"loss": 1 / seq}, 0.001 * seq, time.time() + ahead)
        self._send(run, seq, replace(report, worker=self.name, is_warm=is_warm) if seq == 1 else report)

    def end(
        self, run: str, seq: int, *, cause: str = EXITED, code: int = 0, checkpoint: int | None = None
    ) -> None:
        error = "it broke" if code else ""
        self._send(run, seq, End(cause, code, error, 0.01, time.time(), checkpoint))
        self.queue.give_back(self.leases.pop(run))

    def _send(self, run: str, seq: int, message: Report | End) -> None:
        key, body = s3_keys.encode(run, seq, message, room=900)
        self._fleet.aws.s3.objects[self._fleet.prefix + key] = body


class FleetDriver:
    """A backend with workers on the fake, and how tests wait for it."""

    def __init__(self, aws: Any, backend: WorkersBackend) -> None:
        self.aws = aws
        self.backend = backend
        self.prefix = f"{backend.deployment.prefix}/"
        self.events: list[Reported | Ended] = []
        self.phases: list[PhaseChange] = []

    def worker(self, job: int = 0) -> FakeWorker:
        self.until(lambda: len(self.aws.jobs) > job)
        return FakeWorker(self, sorted(self.aws.jobs)[job])

    def take(self, events: Sequence[BackendEvent]) -> None:
        """Keep phases apart from the events that change a trial."""
        for event in events:
            if isinstance(event, PhaseChange):
                self.phases.append(event)
            else:
                self.events.append(event)

    def until(self, condition: Callable[[], object], seconds: float = 300.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"it never came; events so far: {self.events}"
            self.take(self.backend.wait(0.02))

    def until_posted(self, run: str) -> None:
        self.until(lambda: f"{self.prefix}tasks/{run}" in self.aws.s3.objects)

    def until_ended(self, trial_id: int) -> Ended:
        def ends() -> list[Ended]:
            return [e for e in self.events if isinstance(e, Ended) and e.trial_id == trial_id]

        self.until(ends)
        return ends()[-1]

    def rounds(self, n: int = 5) -> None:
        for _ in range(n):
            self.take(self.backend.wait(0.01))

    def has(self, key: str) -> bool:
        return f"{self.prefix}{key}" in self.aws.s3.objects

    def checkpoint(self, trial_id: int, resource: int) -> None:
        place = self.prefix + s3_keys.checkpoint_prefix(trial_id, resource)
        self.aws.s3.objects[place + "weights"] = b"w"
        self.aws.s3.objects[place + s3_keys.COMPLETE] = b'{"files": {"weights": 1}}'


@pytest.fixture
def make_fleet(aws: Any, script: str) -> Iterator[Callable[..., FleetDriver]]:
    """Makes backends with workers; each call stands for a new tuner process."""
    made: list[WorkersBackend] = []

    def make(attach: Any = (), *, workers: WorkerSettings | None = None, **settings: Any) -> FleetDriver:
        chosen = {"min_interval": 0.005, "n_workers": 2, "stop_grace": 1e6, **settings}
        jobs = job_settings(script=script, **chosen)
        backend = WorkersBackend(
            jobs.benchmark,
            jobs.config,
            experiment="my experiment",
            session=aws,
            workers=workers or WorkerSettings(shortest_lease=1e6),
        )
        made.append(backend)
        backend.attach(attach)
        return FleetDriver(aws, backend)

    yield make
    for name, job in aws.jobs.items():
        if job["TrainingJobStatus"] == "InProgress":
            aws.end(name, "Stopped")
    for backend in made:
        backend.close()


@pytest.fixture
def fleet(make_fleet: Callable[..., FleetDriver]) -> FleetDriver:
    return make_fleet()
