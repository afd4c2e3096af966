"""An experiment of ASHA on a real cluster, whose processes, head and tuner are killed."""

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
from tests.conformance.ray.cluster import Cluster

from tunewright.events import Event, ResultEvent, StartEvent
from tunewright.experiments import load_outcome
from tunewright.journal import read_events
from tunewright.storage import ExperimentFolder, experiments
from tunewright.trial import TrialStatus

TUNEWRIGHT = (sys.executable, "-m", "tunewright")
N_TRIALS = 12
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
    time.sleep(1.5)
    epoch, state = epoch + 1, state / 2 + x
    save_checkpoint(epoch, {"state": state})
    report(epoch=epoch, loss=state)
"""
TUNE = ("--metric", "loss", "--resource", "epoch", "--method", "ASHA", "--max_resource", str(MAX_RESOURCE))
LIMITS = ("--max_num_trials", str(N_TRIALS), "--n_workers", "4", "--experiment_tag", "disturbed")
RAY = ("--backend", "ray", "--list_seconds", "0.6", "--checkpoint_seconds", "0")
PATIENCE = 400.0


def loss(x: float, epoch: int) -> float:
    """Loss of a training that was never disturbed."""
    state = 0.0
    for _ in range(epoch):
        state = state / 2 + x
    return state


class Experiment:
    """The experiment with a tuner, seen by its journal."""

    def __init__(self, cluster: Cluster, folder: Path, start: Callable[..., subprocess.Popen[bytes]]) -> None:
        self.cluster = cluster
        self._out = folder / "out"
        self._start_process = start
        (folder / "train.py").write_text(SCRIPT)
        (folder / "space.toml").write_text('[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
        script, space = str(folder / "train.py"), str(folder / "space.toml")
        self._start("tune", script, "--space", space, *TUNE, *LIMITS, *RAY)

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
        deadline = time.monotonic() + PATIENCE
        while self._n_results() < wanted:
            assert self._tuner.poll() is None, self.output()
            assert time.monotonic() < deadline, f"there are no {wanted} results: {self.output()}"
            time.sleep(0.1)

    def a_running_job(self) -> str:
        """Name of a job that runs."""
        running: list[str] = []

        def is_found() -> bool:
            running[:] = [
                name for name, job in self.cluster.jobs("tw-disturbed-").items() if job.status == "RUNNING"
            ]
            return bool(running)

        self.cluster.until(is_found, "no job runs")
        return running[0]

    def kill_process(self) -> None:
        """Kill Ray's process of a job that runs."""

        def is_killed() -> bool:
            trial, attempt, retry = self.a_running_job().split("-")[-3:]
            return self.cluster.kill_supervisor(
                self.folder.trials_path / trial / "runs" / f"{attempt}-{retry}"
            )

        self.cluster.until(is_killed, "no job runs")

    def kill_tuner(self) -> None:
        """End the tuner by kill -9, and continue the experiment by another one."""
        os.kill(self._tuner.pid, signal.SIGKILL)
        self._tuner.wait()
        self._start("resume", "disturbed")

    def end(self) -> None:
        """Wait for the end."""
        assert self._tuner.wait(PATIENCE) == 0, self.output()

    def output(self) -> str:
        """Output of all tuners."""
        return self._out.read_text()

    def _n_results(self) -> int:
        return sum(isinstance(event, ResultEvent) for event in self.events())

    def _start(self, *command: str) -> None:
        with self._out.open("ab") as out:
            self._tuner = self._start_process([*TUNEWRIGHT, *command], stdout=out, stderr=out)


@pytest.mark.slow
def test_nothing_is_lost_and_nothing_is_done_twice(
    own_cluster: Cluster, tmp_path: Path, start_process: Callable[..., subprocess.Popen[bytes]]
) -> None:
    experiment = Experiment(own_cluster, tmp_path, start_process)
    experiment.more_results(4)
    own_cluster.client.stop(experiment.a_running_job())
    experiment.more_results(2)
    experiment.kill_process()
    experiment.more_results(2)
    experiment.kill_tuner()
    experiment.more_results(3)
    own_cluster.restart()
    experiment.more_results(2)
    experiment.kill_tuner()
    experiment.end()

    starts = [event for event in experiment.events() if isinstance(event, StartEvent)]
    configs = {event.trial_id: event.config for event in starts if event.config}
    results: dict[int, list[ResultEvent]] = defaultdict(list)
    for event in experiment.events():
        if isinstance(event, ResultEvent) and event.is_accepted:
            results[event.trial_id].append(event)
    assert sorted(results) == list(range(N_TRIALS)), experiment.output()
    for trial_id, found in results.items():
        epochs = [event.resource for event in found]
        assert epochs == list(range(1, len(found) + 1)), f"trial {trial_id}: {experiment.output()}"
        assert len(found) in RUNGS, f"trial {trial_id} ended between two rungs: {experiment.output()}"
        for event in found:
            expected = loss(float(configs[trial_id]["x"]), event.resource)
            assert event.metrics["loss"] == pytest.approx(expected), f"trial {trial_id}"
    history = load_outcome(experiment.folder).history
    assert {history.status(trial_id) for trial_id in results} <= {TrialStatus.COMPLETED, TrialStatus.PAUSED}
    assert max(len(found) for found in results.values()) == MAX_RESOURCE
    assert not [
        job for job in own_cluster.jobs("tw-disturbed-").values() if job.status in {"PENDING", "RUNNING"}
    ]
