"""``on_end``: a command gets the summary of an experiment; it can fail, hang and be interrupted."""

from __future__ import annotations

import json
import logging
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunewright import tune
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, Limits, method, on_end, run_experiment
from tunewright.experiments.run import new_folder
from tunewright.space import Float
from tunewright.storage import ExperimentFolder, experiments


@pytest.fixture
def experiment() -> Experiment:
    return Experiment(
        tag="simulated",
        benchmark=simulated_benchmark("digits"),
        method=method("RandomSearch"),
        label="RandomSearch",
        backend=SimulatedConfig(),
        limits=Limits(max_num_trials=2),
    )


@pytest.fixture
def folder(experiment: Experiment) -> ExperimentFolder:
    """An experiment that has not begun."""
    return new_folder(experiment)


def test_the_command_gets_the_summary(experiment: Experiment, tmp_path: Path) -> None:
    outcome = run_experiment(replace(experiment, on_end=f"tee '{tmp_path}/summary 1.json'"))
    summary = json.loads((tmp_path / "summary 1.json").read_text())
    assert summary == {**outcome.to_json(), "folder": str(outcome.path)}
    assert summary["status"] in {"completed", "stopped"}


def test_the_command_is_stored_and_no_part_of_the_identity(experiment: Experiment) -> None:
    watched = replace(experiment, on_end="tee x")
    assert Experiment.from_json(json.loads(json.dumps(watched.to_json()))) == watched
    assert watched.identity() == experiment.identity()
    assert "on_end" not in experiment.to_json()


@pytest.mark.parametrize("command", ["no-such-program x", "tee 'open", " "])
def test_a_command_that_cannot_run_is_refused_at_the_beginning(experiment: Experiment, command: str) -> None:
    with pytest.raises(SettingsError, match="--on_end"):
        run_experiment(replace(experiment, on_end=command))
    assert not list(experiments())


def test_the_option_of_tune_is_checked(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no program no-such-program"):
        tune(tmp_path / "x.py", {"x": Float(0.0, 1.0)}, metric="loss", n_trials=1, on_end="no-such-program")


def test_a_failure_is_a_warning(folder: ExperimentFolder, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        on_end.run_on_end("false", folder)
    assert "failed with exit code 1" in caplog.text


def test_a_command_that_hangs_is_ended(
    folder: ExperimentFolder, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(on_end, "TIME_LIMIT", 0.05)
    with caplog.at_level(logging.WARNING):
        on_end.run_on_end("sleep 1000", folder)
    assert "longer than 0.05 s" in caplog.text


def test_ctrl_c_ends_the_command(folder: ExperimentFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def interrupted(self: subprocess.Popen[bytes], *_: Any) -> None:
        started.append(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        on_end.run_on_end("sleep 1000", folder)
    assert started[0].returncode == -9
