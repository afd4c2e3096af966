"""An experiment of ASHA by the command line on a real cluster, which a test disturbs, and the proof that nothing was lost or done twice."""

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

from tunewright.events import Event, ResultEvent, StartEvent
from tunewright.experiments import load_outcome
from tunewright.journal import read_events
from tunewright.storage import ExperimentFolder, experiments
from tunewright.trial import TrialStatus

TAG = "disturbed"
_TUNEWRIGHT = (sys.executable, "-m", "tunewright")
_MAX_RESOURCE = 9
_RUNGS = (1, 3, 9)
_SCRIPT = """
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
    time.sleep({seconds})
    epoch, state = epoch + 1, state / 2 + x
    save_checkpoint(epoch, {{"state": state}})
    report(epoch=epoch, loss=state)
"""
_TUNE = ("--metric", "loss", "--resource", "epoch", "--method", "ASHA", "--max_resource", str(_MAX_RESOURCE))


class DisturbedExperiment:
    """The experiment with a tuner, seen by its journal.

    Parameters
    ----------
    folder
        For the script and the output of the tuners.
    start
        Starts a process that ends with the test.
    flags
        Of the backend.
    n_trials, n_workers, epoch_seconds
        Size of the experiment.
    patience
        Seconds that any wait may take.
    """

    def __init__(
        self,
        folder: Path,
        start: Callable[..., subprocess.Popen[bytes]],
        *flags: str,
        n_trials: int,
        n_workers: int,
        epoch_seconds: float,
        patience: float,
    ) -> None:
        self._n_trials = n_trials
        self._patience = patience
        self._out = folder / "out"
        self._start_process = start
        (folder / "train.py").write_text(_SCRIPT.format(seconds=epoch_seconds))
        (folder / "space.toml").write_text('[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
        limits = ("--max_num_trials", str(n_trials), "--n_workers", str(n_workers), "--experiment_tag", TAG)
        script, space = str(folder / "train.py"), str(folder / "space.toml")
        self._start("tune", script, "--space", space, *_TUNE, *limits, *flags)

    @property
    def folder(self) -> ExperimentFolder:
        (folder,) = experiments(TAG)
        return folder

    def events(self) -> list[Event]:
        folders = [one for one in experiments(TAG) if one.journal_path.exists()]
        return list(read_events(folders[0].journal_path)) if folders else []

    def more_results(self, n: int) -> None:
        """Wait for so many further results."""
        wanted = self._n_results() + n
        self.until(lambda: self._n_results() >= wanted, f"there are no {wanted} results")

    def until(self, condition: Callable[[], object], error: str) -> None:
        """Wait until a function returns something true, while the tuner runs."""
        deadline = time.monotonic() + self._patience
        while not condition():
            assert self._tuner.poll() is None, self.output()
            assert time.monotonic() < deadline, f"{error}: {self.output()}"
            time.sleep(0.1)

    def first(self, find: Callable[[], list[str]]) -> str:
        """The first running job of a list that may be empty for a moment, as between two runs."""
        found: list[str] = []

        def is_found() -> bool:
            found[:] = find()
            return bool(found)

        self.until(is_found, "no job runs")
        return found[0]

    def kill_tuner(self) -> None:
        """End the tuner by kill -9, and continue the experiment by another one."""
        os.kill(self._tuner.pid, signal.SIGKILL)
        self._tuner.wait()
        self._start("resume", TAG)

    def output(self) -> str:
        """Output of all tuners."""
        return self._out.read_text()

    def check_end(self) -> None:
        """Wait for the end; each trial has each result once, with the loss of a training that was never disturbed, and ends at a rung."""
        assert self._tuner.wait(self._patience) == 0, self.output()
        printed, events = self.output(), self.events()
        starts = [event for event in events if isinstance(event, StartEvent)]
        configs = {event.trial_id: event.config for event in starts if event.config}
        results: dict[int, list[ResultEvent]] = defaultdict(list)
        for event in events:
            if isinstance(event, ResultEvent) and event.is_accepted:
                results[event.trial_id].append(event)
        assert sorted(results) == list(range(self._n_trials)), printed
        for trial_id, found in results.items():
            epochs = [event.resource for event in found]
            assert epochs == list(range(1, len(found) + 1)), f"trial {trial_id}: {printed}"
            assert len(found) in _RUNGS, f"trial {trial_id} ended between two rungs: {printed}"
            for event in found:
                expected = _loss(float(configs[trial_id]["x"]), event.resource)
                assert event.metrics["loss"] == pytest.approx(expected), f"trial {trial_id}: {printed}"
        history = load_outcome(self.folder).history
        ends = {TrialStatus.COMPLETED, TrialStatus.PAUSED, TrialStatus.STOPPED}
        assert {history.status(trial_id) for trial_id in results} <= ends
        lengths = {len(found) for found in results.values()}
        assert max(lengths) == _MAX_RESOURCE

    def _n_results(self) -> int:
        return sum(isinstance(event, ResultEvent) for event in self.events())

    def _start(self, *command: str) -> None:
        with self._out.open("ab") as out:
            self._tuner = self._start_process([*_TUNEWRIGHT, *command], stdout=out, stderr=out)


def _loss(x: float, epoch: int) -> float:
    """Loss of a training that was never disturbed."""
    state = 0.0
    for _ in range(epoch):
        state = state / 2 + x
    return state
