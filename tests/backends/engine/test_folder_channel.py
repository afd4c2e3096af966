"""The contract of backends, with jobs that share a folder with the tuner; here each is a process of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import ClassVar

import pytest
from typing_extensions import override

from tunewright.backends.engine import (
    EngineBackend,
    EngineContext,
    EngineSettings,
    JobDispatcher,
    Notices,
    ServiceTime,
)
from tunewright.backends.engine.flat_costs import FlatCosts, FlatPrices
from tunewright.backends.engine.folder_channel import FolderChannel, order_template
from tunewright.backends.engine.job_service import (
    CreateOutcome,
    Failure,
    FailureCause,
    JobName,
    JobOrder,
    JobService,
    JobState,
    JobStatus,
    Submission,
)
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.interfaces import Backend
from tunewright.metric import Metric
from tunewright.runner.channel import STOP
from tunewright.space import Float, SearchSpace
from tunewright.testing import training_script
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.events import EventReader
from tunewright.testing.training_script import training_config
from tunewright.trial import Checkpoint, Run


def benchmark() -> RealBenchmarkDefinition:
    return RealBenchmarkDefinition(
        name="training_script",
        script=str(training_script.PATH),
        space=SearchSpace({"x": Float(0.0, 1.0)}),
        metrics=(Metric("loss"),),
        resource_attr=training_script.RESOURCE_ATTR,
    )


class ProcessJobs(JobService[JobOrder]):
    """Jobs are processes; a file in the run's folder says which, for the next tuner."""

    def __init__(self, channel: FolderChannel) -> None:
        self._channel = channel
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    @override
    def prepare(self, n_instances: int) -> None:
        self._channel.prepare()

    @override
    def create_delay(self) -> float:
        return 0.0

    @override
    def create(self, order: JobOrder) -> Submission:
        command, run = self._channel.place(order), self._channel.run_folder(order.name)
        with (run / "job.log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self.processes[order.name.key] = process
        (run / "job").write_text(json.dumps([process.pid, time.time()]))
        return Submission(CreateOutcome.CREATED)

    @override
    def list_jobs(self, *, wanted: Collection[str] = (), since: float = 0.0) -> dict[str, JobStatus]:
        files = self._channel.root.glob("*/runs/*-*/job")
        return {key: self.describe(key) for key in (f"{f.parents[2].name}-{f.parent.name}" for f in files)}

    @override
    def describe(self, key: str) -> JobStatus:
        pid, created = self._job(key)
        process = self.processes.get(key)
        is_over = not _lives(pid) if process is None else process.poll() is not None
        return JobStatus(state=JobState.FAILED if is_over else JobState.RUNNING, created=created)

    @override
    def stop(self, key: str) -> None:
        os.kill(self._job(key)[0], signal.SIGTERM)

    @override
    def failure(self, key: str, status: JobStatus) -> Failure:
        return Failure(cause=FailureCause.SERVICE, reason="the process ended")

    @override
    def full_name(self, key: str) -> str:
        return key

    @override
    def close(self) -> None:
        for process in self.processes.values():
            process.wait(60)

    def kill(self, key: str) -> None:
        """Kill the runner, as the loss of a node does, and its script with it."""
        self.processes[key].kill()

    def adopt(self, other: ProcessJobs) -> None:
        """Become the parent of another tuner's processes, which this test must reap."""
        self.processes.update(other.processes)

    def _job(self, key: str) -> tuple[int, float]:
        name = JobName.parse(key)
        assert name is not None
        pid, created = json.loads((self._channel.run_folder(name) / "job").read_text())
        return pid, created


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


class ProcessBackend(EngineBackend, Backend):
    def __init__(self, folder: Path, *, n_workers: int, checkpoint_seconds: float = 300.0) -> None:
        self.channel = FolderChannel(
            folder / "trials",
            order_template(benchmark()),
            python=sys.executable,
            checkpoint_seconds=checkpoint_seconds,
        )
        self.channel.period = 0.05
        self.jobs = ProcessJobs(self.channel)
        notices = Notices()
        context = EngineContext(
            jobs=self.jobs,
            channel=self.channel,
            costs=FlatCosts(notices),
            prices=FlatPrices("process"),
            settings=EngineSettings(
                engine="Processes", n_workers=n_workers, status_period=1.0, ending_period=0.05
            ),
            time=ServiceTime(speed=1.0, min_interval=0.01),
            notices=notices,
        )
        super().__init__(context, JobDispatcher(context))


class TestFolderChannel(BackendContract):
    epoch_seconds: ClassVar[float] = 0.1
    _abandoned: ClassVar[list[ProcessBackend]] = []

    @override
    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        backend = ProcessBackend(folder, n_workers=n_workers)
        while self._abandoned:
            backend.jobs.adopt(self._abandoned.pop().jobs)
        return backend

    @override
    def abandon(self, backend: Backend) -> None:
        assert isinstance(backend, ProcessBackend)
        self._abandoned.append(backend)


@pytest.fixture
def backend(tmp_path: Path) -> ProcessBackend:
    backend = ProcessBackend(tmp_path, n_workers=1, checkpoint_seconds=0.0)
    backend.attach(())
    return backend


def test_a_lost_runner_is_replaced_from_the_last_copy(backend: ProcessBackend) -> None:
    """A killed runner leaves no end; the retry goes on after a checkpoint on the way, and each epoch is heard."""
    events = EventReader(backend, patience=60.0)
    backend.start(Run(trial_id=0, attempt=0), training_config(epochs=6, seconds=0.3))
    events.until_reported(0, 2)
    backend.jobs.kill("0-0-0")
    assert events.until_ended(0).exit == 0
    first = [one.resource for one in events.reports if one.retry == 0]
    second = [one.resource for one in events.reports if one.retry == 1]
    assert second[0] > 1
    assert second[0] <= first[-1] + 1
    assert second[-1] == 6
    backend.close()


def test_a_script_that_the_cluster_ends_is_retried(backend: ProcessBackend) -> None:
    """A cluster signals all processes of a job: the script's death by SIGTERM is not its own failure."""
    events = EventReader(backend, patience=60.0)
    backend.start(Run(trial_id=0, attempt=0), training_config(epochs=4, seconds=0.3))
    events.until_reported(0, 1)
    runner = backend.jobs.processes["0-0-0"].pid
    children = Path(f"/proc/{runner}/task/{runner}/children").read_text().split()
    for pid in children:
        os.kill(int(pid), signal.SIGTERM)
    ended = events.until_ended(0)
    assert (ended.exit, ended.error) == (0, "")
    assert {one.resource for one in events.reports} == {1, 2, 3, 4}
    assert max(one.retry for one in events.reports) == 1
    backend.close()


def test_a_run_is_begun_once(backend: ProcessBackend) -> None:
    """A second job of the same name, as after a lost answer, leaves the run alone."""
    events = EventReader(backend, patience=60.0)
    run = Run(trial_id=0, attempt=0)
    backend.start(run, training_config(epochs=2, seconds=0.3))
    events.until_reported(0, 1)
    command = backend.channel.command(JobName(0, 0, 0))
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 0
    assert "was begun before" in second.stderr
    assert events.until_ended(0).exit == 0
    assert [one.seq for one in events.reports] == [1, 2]
    assert backend.channel.heartbeat(JobName(0, 0, 0))
    backend.close()


def test_torn_and_foreign_lines_are_no_messages(tmp_path: Path) -> None:
    channel = FolderChannel(tmp_path, order_template(benchmark()), python=sys.executable)
    name = JobName(3, 0, 0)
    channel.place(JobOrder(run=Run(trial_id=3, attempt=0), config={}))
    file = channel.run_folder(name) / "messages"
    whole = b'[1, false, {"seq": 1, "resource": 1, "metrics": {"loss": 1.0}, "cost": 0.0, "wall": 5.0}]\n'
    file.write_bytes(whole[:30])
    assert not list(channel.messages(0.0, {}))
    file.write_bytes(whole + b"no message\n" + whole[:10])
    assert [one.id for one in channel.messages(0.0, {})] == ["3-0-0-1"]
    channel.send(name, STOP)
    assert (channel.run_folder(name) / "control").read_text() == STOP


def test_only_complete_checkpoints_count(tmp_path: Path) -> None:
    channel = FolderChannel(tmp_path, order_template(benchmark()), python=sys.executable)
    for resource in (2, 5):
        folder = tmp_path / "1" / "checkpoints" / str(resource)
        folder.mkdir(parents=True)
        (folder / "weights").write_text("w")
    (tmp_path / "1" / "checkpoints" / "2" / "_complete").write_text("{}")
    kept = Checkpoint(trial_id=1, resource=2)
    assert channel.checkpoints.newest(1) == kept
    assert not channel.checkpoints.is_complete(Checkpoint(trial_id=1, resource=5))
    channel.checkpoints.delete(kept)
    assert channel.checkpoints.newest(1) is None
