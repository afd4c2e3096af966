"""The Slurm backend on a real cluster."""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import ClassVar

import pytest
from tests.conformance.slurm.cluster import Cluster
from typing_extensions import override

from tunewright.backends.slurm import SlurmBackend, SlurmConfig
from tunewright.backends.slurm.plugin import PLUGIN
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import BackendError
from tunewright.interfaces import Backend
from tunewright.space import Float, SearchSpace
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.events import EventReader
from tunewright.testing.training_script import training_config
from tunewright.trial import Run

CONFIG = SlurmConfig(squeue_seconds=0.6, stop_grace=30.0)

GPU_SCRIPT = """
import os, time
from argparse import ArgumentParser
from pathlib import Path
from tunewright.report import Reporter
parser = ArgumentParser()
parser.add_argument("--seen", type=Path)
folder = parser.parse_args().seen
folder.mkdir(exist_ok=True)
(folder / str(os.getpid())).write_text(os.environ["CUDA_VISIBLE_DEVICES"])
while len(list(folder.iterdir())) < 2:  # both at the same time
    time.sleep(0.1)
Reporter()(epoch=1, loss=0.0)
"""
NODES_SCRIPT = """
import os, socket, time
from argparse import ArgumentParser
from pathlib import Path
from tunewright.report import Reporter, load_newest, save_checkpoint
parser = ArgumentParser()
parser.add_argument("--seen", type=Path)
folder = parser.parse_args().seen
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
address = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
if rank == 0:
    with socket.create_server(address) as server:
        peers = [server.accept()[0] for _ in range(size - 1)]
else:
    for _ in range(600):
        try:
            peers = [socket.create_connection(address)]
            break
        except OSError:
            time.sleep(0.1)
folder.mkdir(exist_ok=True)
facts = rank, size, os.environ["LOCAL_RANK"], os.environ["SLURMD_NODENAME"], os.environ["OMP_NUM_THREADS"]
(folder / str(rank)).write_text(" ".join(map(str, facts)))
report = Reporter()
saved = load_newest()
for epoch in range(saved.step + 1 if saved else 1, 9):
    for peer in peers:  # a step of all processes
        peer.sendall(b".")
        peer.recv(1)
    print(f"epoch {epoch} of rank {rank}")
    time.sleep(0.3)
    if rank == 0:
        save_checkpoint(epoch, {})
    report(epoch=epoch, loss=float(rank))
"""
THREADS_SCRIPT = """
import os
from tunewright.report import Reporter
Reporter()(epoch=1, loss=float(os.environ["OMP_NUM_THREADS"]))
"""


class TestSlurmBackend(BackendContract):
    patience: ClassVar[float] = 120.0
    epoch_seconds: ClassVar[float] = 0.2
    config: ClassVar[SlurmConfig] = CONFIG
    benchmark: RealBenchmarkDefinition

    @pytest.fixture(autouse=True)
    def use(self, cluster: Cluster, benchmark: RealBenchmarkDefinition) -> None:
        self.benchmark = benchmark

    @override
    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        benchmark = dataclasses.replace(self.benchmark, n_workers=n_workers)
        return SlurmBackend(benchmark, self.config, experiment=folder.name, folder=folder / "trials")


class TestSlurmWorkers(TestSlurmBackend):
    """Runs are tasks of jobs that take one after the other."""

    is_run_a_job: ClassVar[bool] = False
    config: ClassVar[SlurmConfig] = dataclasses.replace(CONFIG, execution="workers")


class Tuner:
    """A backend with one worker on the cluster, and its events."""

    def __init__(
        self, benchmark: RealBenchmarkDefinition, folder: Path, config: SlurmConfig = CONFIG
    ) -> None:
        benchmark = dataclasses.replace(benchmark, n_workers=1)
        self.backend = SlurmBackend(benchmark, config, experiment=folder.name, folder=folder / "trials")
        self.backend.attach(())
        self.events = EventReader(self.backend, patience=120.0)
        self._prefix = f"tw-{folder.name}-"

    def start(self, *, epochs: int, seconds: float = 0.5) -> None:
        self.backend.start(Run(trial_id=0, attempt=0), training_config(epochs=epochs, seconds=seconds))

    def name(self, retry: int = 0) -> str:
        return f"{self._prefix}0-0-{retry}"

    def check_whole(self, epochs: int) -> None:
        """Check that the run ends well in a second job that goes on where the first one ended: each epoch was reported once."""
        ended = self.events.until_ended(0)
        assert (ended.exit, ended.error) == (0, "")
        assert [one.resource for one in self.events.reports] == list(range(1, epochs + 1))
        assert {one.retry for one in self.events.reports} == {0, 1}
        assert self.backend.summary().jobs == 2


@pytest.fixture
def tuner(cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path) -> Iterator[Tuner]:
    tuner = Tuner(benchmark, tmp_path)
    yield tuner
    tuner.backend.close()


def test_a_job_that_is_cancelled_by_hand_goes_on(cluster: Cluster, tuner: Tuner) -> None:
    tuner.start(epochs=6)
    tuner.events.until_reported(0, 2)
    cluster.call("scancel", "--name", tuner.name())
    tuner.check_whole(6)


def test_a_job_that_is_preempted_goes_on(cluster: Cluster, tuner: Tuner) -> None:
    tuner.start(epochs=6)
    tuner.events.until_reported(0, 2)
    urgent = ("sbatch", "--partition", "urgent", "--exclusive", "--output", "/dev/null", "--wrap", "sleep 1")
    assert "Submitted" in cluster.call(*urgent)
    tuner.check_whole(6)


def test_a_restart_of_the_controller_is_not_noticed(
    own_cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    tuner = Tuner(benchmark, tmp_path)
    tuner.start(epochs=4)
    tuner.events.until_reported(0, 1)
    own_cluster.restart_controller()
    assert tuner.events.until_ended(0).exit == 0
    assert [one.resource for one in tuner.events.reports] == [1, 2, 3, 4]
    assert tuner.backend.summary().jobs == 1
    tuner.backend.close()


def test_a_job_whose_node_is_silent_is_replaced(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    """Slurm goes on to call it running; the stopped runner stands for a node that is gone."""
    config = dataclasses.replace(CONFIG, silent_after=15.0, checkpoint_seconds=0.0)
    tuner = Tuner(benchmark, tmp_path, config)
    tuner.start(epochs=6)
    tuner.events.until_reported(0, 2)
    run = str(tmp_path / "trials" / "0" / "runs" / "0-0")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if run.encode() in words:
            os.kill(int(process.name), signal.SIGSTOP)
    assert tuner.events.until_ended(0).exit == 0
    assert {one.resource for one in tuner.events.reports} == set(range(1, 7))
    assert {one.retry for one in tuner.events.reports} == {0, 1}
    assert any("no sign of life" in notice for notice in tuner.backend.summary().notices)
    tuner.backend.close()


def test_a_time_limit_stores_the_checkpoint_first(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    """Slurm sends the signal of a limit of one minute within the first seconds."""
    tuner = Tuner(benchmark, tmp_path, dataclasses.replace(CONFIG, time_limit="1", signal_seconds=45))
    tuner.start(epochs=40, seconds=1.0)
    for epoch in count(1):
        tuner.events.until_reported(0, epoch)
        if tuner.events.reports[-1].retry:
            break
    tuner.backend.stop(0)
    tuner.events.until_ended(0)
    reported = [one.resource for one in tuner.events.reports]
    assert reported == list(range(1, len(reported) + 1))
    tuner.backend.close()


def test_cpus_and_setup_lines_reach_the_trial(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    setup = (f"echo $SLURM_JOB_NAME $SLURM_CPUS_PER_TASK > '{tmp_path}/seen'",)
    tuner = Tuner(benchmark, tmp_path, dataclasses.replace(CONFIG, setup=setup, cpus_per_trial=3))
    tuner.start(epochs=1, seconds=0.0)
    assert tuner.events.until_ended(0).exit == 0
    assert (tmp_path / "seen").read_text().split() == [tuner.name(), "3"]
    tuner.backend.close()


def test_trials_at_the_same_time_have_gpus_of_their_own(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(GPU_SCRIPT)
    benchmark = dataclasses.replace(
        benchmark, script=str(script), space=SearchSpace({"seen": Float(0.0, 1.0)})
    )
    config = dataclasses.replace(CONFIG, num_gpus_per_trial=1)
    backend = SlurmBackend(benchmark, config, experiment=tmp_path.name, folder=tmp_path / "trials")
    backend.attach(())
    for trial_id in range(2):
        backend.start(Run(trial_id=trial_id, attempt=0), {"seen": str(tmp_path / "seen")})
    events = EventReader(backend, patience=120.0)
    assert [events.until_ended(trial_id).exit for trial_id in range(2)] == [0, 0]
    backend.close()
    seen = [file.read_text() for file in (tmp_path / "seen").iterdir()]
    assert len(seen) == 2
    assert set(seen) < {"0", "1", "2", "3"}
    assert seen[0] != seen[1]


def test_a_trial_on_two_nodes_is_paused_and_goes_on(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes find each other by PyTorch's variables; only the one of rank 0 reports."""
    monkeypatch.delenv("OMP_NUM_THREADS")
    script = tmp_path / "train.py"
    script.write_text(NODES_SCRIPT)
    benchmark = dataclasses.replace(
        benchmark, script=str(script), space=SearchSpace({"seen": Float(0.0, 1.0)})
    )
    config = dataclasses.replace(
        CONFIG, partition="wide", nodes_per_trial=2, tasks_per_node=2, cpus_per_trial=2
    )
    backend = SlurmBackend(benchmark, config, experiment=tmp_path.name, folder=tmp_path / "trials")
    backend.attach(())
    events = EventReader(backend, patience=120.0)
    configuration = {"seen": str(tmp_path / "seen")}
    backend.start(Run(trial_id=0, attempt=0), configuration)
    events.until_reported(0, 2)
    backend.pause(0)
    paused = events.until_ended(0)
    assert (paused.exit, paused.error) == (0, "")
    assert paused.checkpoint is not None
    reached = paused.checkpoint.resource
    run = Run(trial_id=0, attempt=1, resume_from=reached, from_checkpoint=paused.checkpoint)
    backend.start(run, configuration)
    ended = events.until_ended(0, attempt=1)
    backend.close()
    assert (ended.exit, ended.error) == (0, "")
    assert [one.resource for one in events.reports] == list(range(1, 9))
    seen = sorted(file.read_text() for file in (tmp_path / "seen").iterdir())
    assert seen == ["0 4 0 one 2", "1 4 1 one 2", "2 4 0 two 2", "3 4 1 two 2"]
    log = (tmp_path / "trials" / "0" / "runs" / "0-0" / "rank-3").read_text()
    assert "epoch 1 of rank 3" in log


def test_a_requeue_by_hand_changes_nothing(cluster: Cluster, tuner: Tuner) -> None:
    tuner.start(epochs=4)
    tuner.events.until_reported(0, 1)
    (job,) = [number for number, name, _ in cluster.jobs() if name == tuner.name()]
    assert "disabled" in cluster.call("scontrol", "requeue", job)
    assert tuner.events.until_ended(0).exit == 0
    assert [one.resource for one in tuner.events.reports] == [1, 2, 3, 4]
    assert tuner.backend.summary().jobs == 1


def test_the_jobs_of_a_node_that_died_go_on_when_it_is_back(
    own_cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    """It comes back at once, and Slurm goes on to call its job running."""
    config = dataclasses.replace(CONFIG, silent_after=15.0, checkpoint_seconds=0.0)
    tuner = Tuner(benchmark, tmp_path, config)
    tuner.start(epochs=6)
    tuner.events.until_reported(0, 2)
    own_cluster.kill_node()
    own_cluster.start_node()
    assert tuner.events.until_ended(0).exit == 0
    assert {one.resource for one in tuner.events.reports} == set(range(1, 7))
    assert {one.retry for one in tuner.events.reports} == {0, 1}
    tuner.backend.close()


def test_threads_are_the_cpus_of_the_trial_unless_the_user_says_so(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    script = tmp_path / "train.py"
    script.write_text(THREADS_SCRIPT)
    benchmark = dataclasses.replace(benchmark, script=str(script))
    for number, (wanted, expected) in enumerate((({}, 3.0), ({"OMP_NUM_THREADS": "2"}, 2.0))):
        chosen = dataclasses.replace(benchmark, environment=wanted)
        tuner = Tuner(chosen, tmp_path / str(number), dataclasses.replace(CONFIG, cpus_per_trial=3))
        tuner.start(epochs=1)
        assert tuner.events.until_ended(0).exit == 0
        assert tuner.events.reports[0].metrics["loss"] == expected
        tuner.backend.close()


def test_the_doctor_runs_a_job_with_the_resources_of_a_trial(cluster: Cluster, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, num_gpus_per_trial=2)
    found = list(PLUGIN.examine(config, tmp_path / "doctor"))
    assert not [one for one in found if one.remedy]
    (job,) = [one.found for one in found if one.what == "job"]
    assert job.endswith("with the GPUs 0,1")
    partitions = [one.what for one in found if one.what.startswith("partition")]
    assert partitions == ["partition main (default)", "partition urgent", "partition wide"]


def test_resources_that_the_cluster_has_not_end_the_experiment(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    tuner = Tuner(benchmark, tmp_path, dataclasses.replace(CONFIG, partition="nowhere"))
    tuner.start(epochs=1)
    with pytest.raises(BackendError, match="invalid partition"):
        tuner.events.until_ended(0)
    tuner.backend.close()


@pytest.mark.parametrize("execution", ["jobs", "workers"])
def test_a_refusal_after_accepted_jobs_ends_nothing(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path, execution: str
) -> None:
    """The partition is drained for a while: sbatch refuses further jobs, and those that run go on."""
    config = dataclasses.replace(CONFIG, execution=execution)
    backend = SlurmBackend(benchmark, config, experiment=tmp_path.name, folder=tmp_path / "trials")
    backend.attach(())
    events = EventReader(backend, patience=120.0)
    backend.start(Run(trial_id=0, attempt=0), training_config(epochs=30, seconds=0.5))
    events.until_reported(0, 1)
    assert not cluster.call("scontrol", "update", "PartitionName=main", "State=DRAIN")
    try:
        backend.start(Run(trial_id=1, attempt=0), training_config(epochs=1, seconds=0.0))
        for epoch in count(2):
            events.until_reported(0, epoch)
            if any("It took jobs before" in notice for notice in backend.summary().notices):
                break
    finally:
        assert not cluster.call("scontrol", "update", "PartitionName=main", "State=UP")
    assert [events.until_ended(trial_id).error for trial_id in (0, 1)] == ["", ""]
    assert {one.retry for one in events.reports} == {0}
    assert any("inactive or drain" in notice for notice in backend.summary().notices)
    backend.close()


def test_a_job_that_fails_before_its_trial_ends_the_experiment(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    tuner = Tuner(benchmark, tmp_path, dataclasses.replace(CONFIG, python="/no/python"))
    tuner.start(epochs=1)
    with pytest.raises(BackendError, match="/no/python"):
        tuner.events.until_ended(0)
    tuner.backend.close()
