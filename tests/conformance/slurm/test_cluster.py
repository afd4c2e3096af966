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
from tunewright.benchmarks.definition import RealBenchmarkDefinition
from tunewright.exceptions import BackendError
from tunewright.interfaces import Backend
from tunewright.testing.backend_contract import BackendContract
from tunewright.testing.events import EventReader
from tunewright.testing.training_script import training_config
from tunewright.trial import Run

CONFIG = SlurmConfig(squeue_seconds=0.6, stop_grace=30.0)


class TestSlurmBackend(BackendContract):
    patience: ClassVar[float] = 120.0
    epoch_seconds: ClassVar[float] = 0.2
    benchmark: RealBenchmarkDefinition

    @pytest.fixture(autouse=True)
    def use(self, cluster: Cluster, benchmark: RealBenchmarkDefinition) -> None:
        self.benchmark = benchmark

    @override
    def make_backend(self, folder: Path, *, n_workers: int) -> Backend:
        benchmark = dataclasses.replace(self.benchmark, n_workers=n_workers)
        return SlurmBackend(benchmark, CONFIG, experiment=folder.name, folder=folder / "trials")


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


def test_resources_that_the_cluster_has_not_end_the_experiment(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    tuner = Tuner(benchmark, tmp_path, dataclasses.replace(CONFIG, partition="nowhere"))
    tuner.start(epochs=1)
    with pytest.raises(BackendError, match="invalid partition"):
        tuner.events.until_ended(0)
    tuner.backend.close()


def test_a_job_that_fails_before_its_trial_ends_the_experiment(
    cluster: Cluster, benchmark: RealBenchmarkDefinition, tmp_path: Path
) -> None:
    tuner = Tuner(benchmark, tmp_path, dataclasses.replace(CONFIG, python="/no/python"))
    tuner.start(epochs=1)
    with pytest.raises(BackendError, match="/no/python"):
        tuner.events.until_ended(0)
    tuner.backend.close()
