"""An experiment of 30 trials of ASHA on a real cluster, while everything happens to it that happens on clusters."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conformance.slurm.cluster import Cluster

from tunewright.events import Event, ResultEvent, StartEvent
from tunewright.experiments import load_outcome
from tunewright.journal import read_events
from tunewright.storage import ExperimentFolder, experiments
from tunewright.trial import TrialStatus

TUNEWRIGHT = (sys.executable, "-m", "tunewright")
N_TRIALS = 30
MAX_RESOURCE = 9
RUNGS = (1, 3, 9)
SCRIPT = """
import time
from argparse import ArgumentParser
from tunewright.report import Reporter, load_newest, save_checkpoint
parser = ArgumentParser()
parser.add_argument("--x", type=float)
x = parser.parse_args().x
saved = load_newest()
epoch, state = (saved.step, saved.state["state"]) if saved else (0, 0.0)
report = Reporter()
while epoch < 9:
    time.sleep(0.7)
    epoch, state = epoch + 1, state / 2 + x
    save_checkpoint(epoch, {"state": state})
    report(epoch=epoch, loss=state)
"""
TUNE = ("--metric", "loss", "--resource", "epoch", "--method", "ASHA", "--max_resource", str(MAX_RESOURCE))
LIMITS = ("--max_num_trials", str(N_TRIALS), "--n_workers", "6", "--experiment_tag", "disturbed")
SLURM = ("--backend", "slurm", "--squeue_seconds", "0.6", "--silent_after", "15", "--checkpoint_seconds", "0")
PATIENCE = 240.0


def loss(x: float, epoch: int) -> float:
    """Loss of a training that was never disturbed."""
    state = 0.0
    for _ in range(epoch):
        state = state / 2 + x
    return state


class Experiment:
    """The experiment with a tuner, seen by its journal."""

    def __init__(
        self, cluster: Cluster, folder: Path, start: Callable[..., subprocess.Popen[bytes]], *flags: str
    ) -> None:
        self.cluster = cluster
        self._out = folder / "out"
        self._start_process = start
        (folder / "train.py").write_text(SCRIPT)
        (folder / "space.toml").write_text('[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
        script, space = str(folder / "train.py"), str(folder / "space.toml")
        self._start("tune", script, "--space", space, *TUNE, *LIMITS, *SLURM, *flags)

    @property
    def folder(self) -> ExperimentFolder:
        (folder,) = experiments("disturbed")
        return folder

    def events(self) -> list[Event]:
        folders = [one for one in experiments("disturbed") if one.journal_path.exists()]
        return list(read_events(folders[0].journal_path)) if folders else []

    def more_results(self, n: int) -> None:
        """Wait for so many further results."""
        wanted = self._n_results() + n
        self.until(lambda: self._n_results() >= wanted, f"there are no {wanted} results")

    def until(self, condition: Callable[[], object], error: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self._tuner.poll() is None, self._out.read_text()
            assert time.monotonic() < deadline, f"{error}: {self._out.read_text()}"
            time.sleep(0.1)

    def running(self) -> list[str]:
        """Ids of the jobs that run."""
        return [
            number
            for number, name, state in self.cluster.jobs()
            if state == "RUNNING" and name.startswith("tw-")
        ]

    def a_running_job(self) -> str:
        """Id of a job that runs; between two runs there may be none for a moment."""
        self.until(self.running, "no job runs")
        return next(iter(self.running()), "") or self.a_running_job()

    def kill_tuner(self) -> None:
        """End the tuner by kill -9, and continue the experiment by another one."""
        os.kill(self._tuner.pid, signal.SIGKILL)
        self._tuner.wait()
        self._start("resume", "disturbed")

    def end(self) -> str:
        """Wait for the end; what the tuners printed."""
        code = self._tuner.wait(PATIENCE)
        assert code == 0, self._out.read_text()
        return self._out.read_text()

    def _n_results(self) -> int:
        return sum(isinstance(event, ResultEvent) for event in self.events())

    def _start(self, *command: str) -> None:
        with self._out.open("ab") as out:
            self._tuner = self._start_process([*TUNEWRIGHT, *command], stdout=out, stderr=out)


def reach_the_time_limit(cluster: Cluster, job: str) -> None:
    """Let a running job be at its time limit: Slurm sends the signal before it soon."""
    assert not cluster.call("scontrol", "update", f"JobId={job}", "TimeLimit=1")


def preempt(cluster: Cluster) -> None:
    """Take the node of all jobs for a moment."""
    urgent = ("sbatch", "--partition", "urgent", "--exclusive", "--output", "/dev/null", "--wrap", "sleep 2")
    assert "Submitted" in cluster.call(*urgent)


def restart_node(cluster: Cluster) -> None:
    """End the node with all that runs on it, and start it again at once: Slurm goes on to call its jobs running."""
    cluster.kill_node()
    cluster.start_node()


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["jobs", "workers"])
def test_nothing_is_lost_and_nothing_is_done_twice(
    own_cluster: Cluster,
    tmp_path: Path,
    start_process: Callable[..., subprocess.Popen[bytes]],
    execution: str,
) -> None:
    experiment = Experiment(own_cluster, tmp_path, start_process, "--execution", execution)
    experiment.more_results(4)
    own_cluster.call("scancel", experiment.a_running_job())
    experiment.more_results(3)
    own_cluster.call("scontrol", "requeue", experiment.a_running_job())
    own_cluster.restart_controller()
    experiment.more_results(3)
    reach_the_time_limit(own_cluster, experiment.a_running_job())
    experiment.more_results(3)
    experiment.kill_tuner()
    experiment.more_results(3)
    preempt(own_cluster)
    experiment.more_results(3)
    restart_node(own_cluster)
    experiment.more_results(1)
    experiment.kill_tuner()
    printed = experiment.end()

    starts = [event for event in experiment.events() if isinstance(event, StartEvent)]
    configs = {event.trial_id: event.config for event in starts if event.config}
    results: dict[int, list[ResultEvent]] = defaultdict(list)
    for event in experiment.events():
        if isinstance(event, ResultEvent) and event.is_accepted:
            results[event.trial_id].append(event)
    assert sorted(results) == list(range(N_TRIALS)), printed
    for trial_id, found in results.items():
        epochs = [event.resource for event in found]
        assert epochs == list(range(1, len(found) + 1)), f"trial {trial_id}: {printed}"
        assert len(found) in RUNGS, f"trial {trial_id} ended between two rungs: {printed}"
        for event in found:
            expected = loss(float(configs[trial_id]["x"]), event.resource)
            assert event.metrics["loss"] == pytest.approx(expected), f"trial {trial_id}: {printed}"
    history = load_outcome(experiment.folder).history
    assert {history.status(trial_id) for trial_id in results} <= {
        TrialStatus.COMPLETED,
        TrialStatus.PAUSED,
        TrialStatus.STOPPED,
    }
    assert max(len(found) for found in results.values()) == MAX_RESOURCE
    assert any(len(found) > 1 for found in results.values())
    assert not experiment.running()
