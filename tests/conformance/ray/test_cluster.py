"""The Ray backend on a real cluster."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from tests.conformance.ray.cluster import Cluster
from typing_extensions import override

from tunewright.backends.ray import RayBackend, RayConfig
from tunewright.backends.ray.plugin import RayPlugin
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import BackendError
from tunewright.interfaces import Backend
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.events import EventReader
from tunewright.testing.training_script import training_config
from tunewright.trial import Run

CONFIG = RayConfig(list_seconds=0.6, stop_grace=60.0, cpus_per_trial=0.5)


class TestRayBackend(BackendContract):
    patience: ClassVar[float] = 180.0
    epoch_seconds: ClassVar[float] = 0.2
    config: ClassVar[RayConfig] = CONFIG
    benchmark: RealBenchmarkDefinition

    @pytest.fixture(autouse=True)
    def use(self, cluster: Cluster, benchmark: RealBenchmarkDefinition) -> None:
        self.benchmark = benchmark

    @override
    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        benchmark = dataclasses.replace(self.benchmark, n_workers=n_workers)
        return RayBackend(benchmark, self.config, experiment=folder.name, folder=folder / "trials")


class TestRayWorkers(TestRayBackend):
    """Runs are tasks of jobs that take one after the other."""

    is_run_a_job: ClassVar[bool] = False
    config: ClassVar[RayConfig] = dataclasses.replace(CONFIG, execution="workers")


class Tuner:
    """A backend with one worker on the cluster, and its events."""

    def __init__(self, benchmark: RealBenchmarkDefinition, folder: Path, config: RayConfig = CONFIG) -> None:
        benchmark = dataclasses.replace(benchmark, n_workers=1)
        self.backend = RayBackend(benchmark, config, experiment=folder.name, folder=folder / "trials")
        self.backend.attach(())
        self.events = EventReader(self.backend, patience=180.0)
        self.run = folder / "trials" / "0" / "runs" / "0-0"
        self._prefix = f"tw-{folder.name}-"

    def start(self, *, epochs: int, seconds: float = 0.5) -> None:
        self.backend.start(Run(trial_id=0, attempt=0), training_config(epochs=epochs, seconds=seconds))

    def name(self, retry: int = 0) -> str:
        return f"{self._prefix}0-0-{retry}"

    def check_whole(self, epochs: int) -> None:
        """Check that the run ends well in a second job that goes on from the newest checkpoint, and loses no epoch."""
        ended = self.events.until_ended(0)
        assert (ended.exit, ended.error) == (0, "")
        assert {one.resource for one in self.events.reports} == set(range(1, epochs + 1))
        assert {one.retry for one in self.events.reports} == {0, 1}
        assert self.backend.summary().jobs == 2


@pytest.fixture
def tuner(cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path) -> Iterator[Tuner]:
    tuner = Tuner(benchmark, tmp_path, dataclasses.replace(CONFIG, checkpoint_seconds=0.0))
    yield tuner
    tuner.backend.close()


def test_a_job_that_is_stopped_by_hand_goes_on(cluster: Cluster, tuner: Tuner) -> None:
    """It stores its checkpoint first, so that no epoch is trained twice."""
    tuner.start(epochs=6)
    tuner.events.until_reported(0, 2)
    cluster.client.stop(tuner.name())
    tuner.check_whole(6)
    assert [one.resource for one in tuner.events.reports] == [1, 2, 3, 4, 5, 6]


def test_a_job_whose_process_is_killed_goes_on(cluster: Cluster, tuner: Tuner) -> None:
    tuner.start(epochs=20)
    tuner.events.until_reported(0, 3)
    assert cluster.kill_supervisor(tuner.run)
    tuner.check_whole(20)
    first = next(one for one in tuner.events.reports if one.retry == 1)
    assert first.resource > 1
    assert any("lost its node" in notice for notice in tuner.backend.summary().notices)


@pytest.mark.slow
def test_a_restart_of_the_head_loses_jobs_and_no_result(
    own_cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    tuner = Tuner(benchmark, tmp_path, dataclasses.replace(CONFIG, checkpoint_seconds=0.0))
    tuner.start(epochs=60)
    tuner.events.until_reported(0, 3)
    own_cluster.restart()
    assert not own_cluster.jobs(tuner.name())
    tuner.check_whole(60)
    first = next(one for one in tuner.events.reports if one.retry == 1)
    assert first.resource > 1
    assert any("restart of its head" in notice for notice in tuner.backend.summary().notices)
    tuner.backend.close()


def test_shares_of_a_gpu_and_the_environment_reach_the_trial(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import os\n"
        "open('seen', 'w').write(os.environ['CUDA_VISIBLE_DEVICES'] + ' ' + os.environ['OWN'])\n"
        'print(\'[tune-metric]: {"epoch": 1, "loss": 0.0}\')\n'
    )
    (tmp_path / "env.toml").write_text('[env_vars]\nOWN = "yes"\n')
    config = dataclasses.replace(
        CONFIG, num_gpus_per_trial=0.5, resources=("memory_bus=0.0",), runtime_env=str(tmp_path / "env.toml")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        tuner = Tuner(dataclasses.replace(benchmark, script=str(script)), tmp_path, config)
    tuner.backend.start(Run(trial_id=0, attempt=0), {"x": 0.0})
    assert tuner.events.until_ended(0).exit == 0
    gpu, own = (tmp_path / "seen").read_text().split()
    assert gpu in {"0", "1"}
    assert own == "yes"
    tuner.backend.close()


def test_a_python_that_the_nodes_do_not_have_ends_the_experiment(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    tuner = Tuner(benchmark, tmp_path, dataclasses.replace(CONFIG, python="/no/python"))
    tuner.start(epochs=1)
    with pytest.raises(BackendError, match=r"(?s)/no/python.*--python"):
        tuner.events.until_ended(0)
    tuner.backend.close()


def test_resources_that_no_node_has_are_named(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    config = dataclasses.replace(CONFIG, num_gpus_per_trial=3.0, close_seconds=1.0)
    tuner = Tuner(benchmark, tmp_path, config)
    tuner.start(epochs=1)
    notices: tuple[str, ...] = ()
    while not notices:
        tuner.backend.wait(1.0)
        notices = tuner.backend.summary().notices
    assert "no node of the cluster has CPU 0.5, GPU 3" in notices[0]
    assert "GPU 2" in notices[0]
    tuner.backend.close()


def test_doctor_finds_what_is_there_and_leaves_nothing(cluster: Cluster, tmp_path: Path) -> None:
    found = {one.what: one for one in RayPlugin().examine(RayConfig(), tmp_path / "doctor")}
    assert not [one for one in found.values() if one.remedy]
    assert set(found) == {"dashboard", "token", "nodes", "shared folder", "job", "Python"}
    assert "8 CPUs, 2 GPUs" in found["nodes"].found
    assert not cluster.jobs("tw-doctor-")
    assert not (tmp_path / "doctor").exists()


def test_workers_take_run_after_run_and_a_killed_one_is_replaced(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    """Six runs of two workers take three jobs, as one was killed; its run goes on from the last checkpoint."""
    config = dataclasses.replace(CONFIG, execution="workers", checkpoint_seconds=0.0)
    backend = RayBackend(benchmark, config, experiment=tmp_path.name, folder=tmp_path / "trials")
    backend.attach(())
    events = EventReader(backend, patience=180.0)
    for trial_id in range(6):
        if trial_id >= 2:
            events.until_ended(trial_id - 2)
        backend.start(Run(trial_id=trial_id, attempt=0), training_config(epochs=8, seconds=0.5))
        if trial_id == 1:
            events.until_reported(0, 3)
            events.until_reported(1, 3)
            killed = min((tmp_path / "trials" / "workers").iterdir())
            assert cluster.kill_supervisor(killed)
    for trial_id in range(6):
        assert events.until_ended(trial_id).error == ""
        assert {one.resource for one in events.reports if one.trial_id == trial_id} == set(range(1, 9))
    assert backend.summary().jobs == 3
    backend.close()
    assert not [one for one in cluster.jobs(f"tw-{tmp_path.name}-").values() if one.status == "RUNNING"]
