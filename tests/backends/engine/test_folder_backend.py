"""The backend of the page "A backend of your own", in jobs and in workers mode, and what happens to its workers."""

from __future__ import annotations

import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import psutil
import pytest
from typing_extensions import override

from tunewright.backends.engine import EngineBackend, EngineSettings, channel_for, folder_engine, worker_times
from tunewright.backends.engine.folder_channel import FolderTaskBoard
from tunewright.backends.engine.job_service import JobName, JobOrder
from tunewright.backends.engine.worker_jobs import WorkerJobOrder
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import BackendError
from tunewright.interfaces import Backend
from tunewright.metric import Metric
from tunewright.runner.folder_worker import FolderWorkerFacts, FolderWorkplace
from tunewright.runner.worker import WorkerFacts
from tunewright.space import Float, SearchSpace
from tunewright.testing import training_script
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.events import EventReader
from tunewright.testing.training_script import training_config
from tunewright.trial import OpenRun, Run

PAGE = Path(__file__).resolve().parents[3] / "docs" / "own_backend.md"


def module_of_the_page() -> ModuleType:
    """The first Python block of the page."""
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    module = ModuleType("my_engine")
    sys.modules[module.__name__] = module  # dataclasses look it up
    exec(compile(code, str(PAGE), "exec"), module.__dict__)  # noqa: S102
    return module


MY_ENGINE = module_of_the_page()


def benchmark(n_workers: int) -> RealBenchmarkDefinition:
    return RealBenchmarkDefinition(
        name="training_script",
        script=str(training_script.PATH),
        space=SearchSpace({"x": Float(0.0, 1.0)}),
        metrics=(Metric("loss"),),
        resource_attr=training_script.RESOURCE_ATTR,
        n_workers=n_workers,
    )


class ProcessBackend(EngineBackend, Backend):
    """As the plugin of the page builds it, but with short times."""

    def __init__(
        self,
        folder: Path,
        *,
        n_workers: int,
        is_workers: bool,
        processes: dict[str, subprocess.Popen[bytes]],
        job_seconds: float = math.inf,
        idle: float = 3600.0,
        max_retries: int = 10,
        python: str = "",
    ) -> None:
        times = worker_times(job_seconds, lease=6.0, idle=idle)
        self.channel = channel_for(
            benchmark(n_workers),
            folder / "trials",
            python=python or sys.executable,
            checkpoint_seconds=0.0,
            workers=times if is_workers else None,
        )
        self.channel.period = 0.05
        self.jobs = MY_ENGINE.ProcessJobs(self.channel, folder.name)
        self.jobs.processes = processes
        settings = EngineSettings(
            engine="Processes",
            n_workers=n_workers,
            max_retries=max_retries,
            status_period=0.5,
            ending_period=0.05,
        )
        super().__init__(*folder_engine(self.channel, self.jobs, settings, answer_seconds=0.02))


class TestJobs(BackendContract):
    epoch_seconds: ClassVar[float] = 0.1
    is_workers: ClassVar[bool] = False

    processes: ClassVar[dict[str, subprocess.Popen[bytes]]] = {}
    """Of the tuners of a test, which share this process."""

    @pytest.fixture(autouse=True)
    def reap(self) -> Iterator[None]:
        yield
        for process in self.processes.values():
            process.wait(60)
        self.processes.clear()

    @override
    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        return ProcessBackend(
            folder, n_workers=n_workers, is_workers=self.is_workers, processes=self.processes
        )


class TestWorkers(TestJobs):
    is_workers: ClassVar[bool] = True
    is_run_a_job: ClassVar[bool] = False


class Tuner:
    """A backend, and its events."""

    def __init__(self, folder: Path, processes: dict[str, subprocess.Popen[bytes]], **options: Any) -> None:
        options = {"n_workers": 1, "is_workers": False, **options}
        self.backend = ProcessBackend(folder, processes=processes, **options)
        self.channel = self.backend.channel
        self.events = EventReader(self.backend, patience=60.0)
        self.processes = processes

    def start(self, trial_id: int = 0, *, epochs: int, seconds: float = 0.3) -> None:
        self.backend.start(Run(trial_id=trial_id, attempt=0), training_config(epochs=epochs, seconds=seconds))

    def check_whole(self, epochs: int, *, trial_id: int = 0, retries: int = 1) -> None:
        """Each epoch was reported, and the run ended well after so many retries."""
        ended = self.events.until_ended(trial_id)
        assert (ended.exit, ended.error) == (0, "")
        reports = [one for one in self.events.reports if one.trial_id == trial_id]
        assert {one.resource for one in reports} == set(range(1, epochs + 1))
        assert max(one.retry for one in reports) == retries


@pytest.fixture
def open_tuner(tmp_path: Path) -> Iterator[Callable[..., Tuner]]:
    """Opens tuners of one experiment, each as a new process would."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    opened: list[Tuner] = []

    def make(*runs: OpenRun, **options: Any) -> Tuner:
        opened.append(Tuner(tmp_path, processes, **options))
        opened[-1].backend.attach(runs)
        return opened[-1]

    yield make
    for process in processes.values():
        if process.poll() is None:  # a test that failed may have left it frozen
            for pid in (*children(process.pid), process.pid):
                os.kill(pid, signal.SIGCONT)
    opened[-1].backend.close()
    for process in processes.values():
        process.wait(60)


def is_running(pid: int) -> bool:
    """Whether a process lives; the one that adopted it may not have read its end yet."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("is_workers", [False, True])
def test_a_lost_job_is_replaced_from_the_last_copy(
    open_tuner: Callable[..., Tuner], is_workers: bool
) -> None:
    """A killed runner or worker leaves no end; the retry goes on after a checkpoint on the way, and each epoch is heard."""
    tuner = open_tuner(is_workers=is_workers)
    tuner.start(epochs=6)
    tuner.events.until_reported(0, 2)
    (process,) = tuner.processes.values()
    (run,) = children(process.pid)
    process.kill()
    tuner.check_whole(6)
    first = [one.resource for one in tuner.events.reports if one.retry == 0]
    second = [one.resource for one in tuner.events.reports if one.retry == 1]
    assert 1 < second[0] <= first[-1] + 1
    assert not is_running(run)
    assert len(tuner.processes) == 2


@pytest.mark.parametrize("is_workers", [False, True])
def test_a_job_that_the_engine_ends_stores_its_checkpoint(
    open_tuner: Callable[..., Tuner], is_workers: bool
) -> None:
    """SIGTERM to the job alone, as before a time limit: no epoch is trained twice."""
    tuner = open_tuner(is_workers=is_workers)
    tuner.start(epochs=6)
    tuner.events.until_reported(0, 2)
    (process,) = tuner.processes.values()
    process.send_signal(signal.SIGTERM)
    tuner.check_whole(6)
    assert [one.resource for one in tuner.events.reports] == list(range(1, 7))


def test_a_script_that_the_cluster_ends_is_retried(open_tuner: Callable[..., Tuner]) -> None:
    """A cluster signals all processes of a job: the script's death by SIGTERM is not its own failure."""
    tuner = open_tuner()
    tuner.start(epochs=4)
    tuner.events.until_reported(0, 1)
    for pid in children(tuner.processes["0-0-0"].pid):
        os.kill(pid, signal.SIGTERM)
    tuner.check_whole(4)


def test_a_run_is_begun_once(open_tuner: Callable[..., Tuner]) -> None:
    """A second job of the same name, as after a lost answer, leaves the run alone."""
    tuner = open_tuner()
    tuner.start(epochs=2)
    tuner.events.until_reported(0, 1)
    second = subprocess.run(tuner.channel.command("0-0-0"), capture_output=True, text=True, check=False)
    assert second.returncode == 0
    assert "was begun before" in second.stderr
    tuner.check_whole(2, retries=0)
    assert [one.seq for one in tuner.events.reports] == [1, 2]
    assert tuner.channel.heartbeat("0-0-0")


def test_a_frozen_worker_loses_its_run(open_tuner: Callable[..., Tuner]) -> None:
    """Its lease is not renewed, and another worker is begun; when it wakes up, it says nothing more about the run and ends."""
    tuner = open_tuner(is_workers=True)
    tuner.start(epochs=5)
    tuner.events.until_reported(0, 2)
    (process,) = tuner.processes.values()
    (run,) = children(process.pid)
    for pid in (run, process.pid):
        os.kill(pid, signal.SIGSTOP)
    tuner.check_whole(5)
    assert len(tuner.processes) == 2
    written = (tuner.channel.run_folder(JobName(0, 0, 0)) / "messages").read_text()
    os.kill(process.pid, signal.SIGCONT)
    os.kill(run, signal.SIGCONT)
    assert process.wait(60) == 0
    assert (tuner.channel.run_folder(JobName(0, 0, 0)) / "messages").read_text() == written


def test_workers_take_run_after_run_and_are_followed(open_tuner: Callable[..., Tuner]) -> None:
    """A worker near its time limit hands its run over: no epoch is trained twice, and no retry is counted as a loss."""
    tuner = open_tuner(is_workers=True, job_seconds=4.0, max_retries=0)
    for trial_id in range(2):
        tuner.start(trial_id, epochs=1)
        tuner.events.until_ended(trial_id)
    assert len(tuner.processes) == 1
    tuner.start(2, epochs=20)
    assert tuner.events.until_ended(2).exit == 0
    resources = [one.resource for one in tuner.events.reports if one.trial_id == 2]
    assert resources == list(range(1, 21))
    assert len(tuner.processes) >= 2


@pytest.mark.parametrize("is_workers", [False, True])
def test_jobs_that_cannot_begin_end_the_experiment(
    open_tuner: Callable[..., Tuner], is_workers: bool
) -> None:
    tuner = open_tuner(is_workers=is_workers, python="/bin/ls")
    tuner.start(epochs=1)
    with pytest.raises(
        BackendError, match=r"(?s)failed before its trial began.*cannot access.*see .*job\.log"
    ):
        tuner.events.until_ended(0)


def test_the_number_of_workers_changes(open_tuner: Callable[..., Tuner]) -> None:
    """More workers take runs at once; fewer end when they have nothing to do."""
    tuner = open_tuner(is_workers=True, idle=0.1)
    for trial_id in range(2):
        tuner.start(trial_id, epochs=2)
    tuner.backend.set_workers(2)
    for trial_id in range(2):
        tuner.check_whole(2, trial_id=trial_id, retries=0)
    assert len(tuner.processes) == 2
    tuner.backend.set_workers(1)
    assert tuner.backend.free_workers() == 1


def test_an_idle_worker_ends(open_tuner: Callable[..., Tuner]) -> None:
    tuner = open_tuner(is_workers=True, idle=0.1)
    tuner.start(epochs=1)
    tuner.check_whole(1, retries=0)
    (process,) = tuner.processes.values()
    while process.poll() is None:
        tuner.events.drain()
    assert process.returncode == 0


class Board:
    """Both sides of the tasks in a folder: a tuner's board and two workers."""

    def __init__(self, folder: Path) -> None:
        self.channel = channel_for(benchmark(2), folder, workers=worker_times())
        self.channel.prepare()
        self.board = FolderTaskBoard(self.channel, lambda key: f"job-{key}")
        self.workers = [self.worker(number) for number in range(2)]

    def worker(self, number: int) -> FolderWorkplace:
        order = WorkerJobOrder(number=number, n_instances=1, dollars_per_hour=0.0)
        self.channel.place(order, f"job-{order.key}")
        facts = WorkerFacts(number, 1, 60.0, 1e5, 1e5, 1e5, 0.0)
        return FolderWorkplace(
            self.channel.job_folder(order.key), FolderWorkerFacts(f"job-{order.key}", facts, 60.0)
        )

    def post(self, trial_id: int = 0) -> str:
        order = JobOrder(run=Run(trial_id=trial_id, attempt=0), config={})
        self.board.post(order)
        return order.key


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path)


def test_one_worker_gets_a_run(board: Board) -> None:
    first, second = board.workers
    key = board.post()
    assert first.waiting() == second.waiting() == [key]
    lease = first.claim(key)
    assert lease is not None
    assert second.claim(key) is None
    assert board.board.holder(key) == "job-0-1-0"
    board.post()  # again, as after an error
    assert second.claim(key) is None
    assert not board.board.withdraw(key)
    first.give_back(lease)
    assert (board.board.list_tasks().waiting, board.board.list_tasks().leases) == (set(), {})


def test_a_run_that_is_taken_back_is_claimed_by_no_worker(board: Board) -> None:
    key = board.post()
    assert board.board.withdraw(key)
    assert board.workers[0].claim(key) is None
    assert board.board.list_tasks().leases == {}


def test_a_lease_is_taken_away_unless_it_was_renewed(board: Board) -> None:
    (worker, _), key = board.workers, board.post()
    lease = worker.claim(key)
    assert lease is not None
    old = board.board.list_tasks().leases[key]
    assert worker.renew(lease)
    assert not board.board.revoke(key, old)
    assert worker.renew(lease)
    assert board.board.revoke(key, board.board.list_tasks().leases[key])
    assert not worker.renew(lease)
    worker.give_back(lease)
    assert board.board.list_tasks().leases == {}


def test_a_worker_that_is_drained_hears_of_it(board: Board) -> None:
    assert not board.workers[1].is_draining()
    board.board.drain(1)
    assert board.workers[1].is_draining()
    assert board.board.draining() == {1}


def test_trouble_of_the_file_system_passes_and_a_removed_folder_does_not(board: Board) -> None:
    worker = board.workers[0]
    assert worker.is_passing(OSError(5, "Input/output error"))
    assert not worker.is_passing(PermissionError())
    assert not worker.is_passing(ValueError())
    shutil.rmtree(board.channel.root)
    with pytest.raises(FileNotFoundError) as error:
        worker.waiting()
    assert not worker.is_passing(error.value)
