"""Limits that need a model, and checkpoints that go early, in whole experiments."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, Limits, method
from tunewright.experiments.run import run_experiment
from tunewright.journal import read_events
from tunewright.launchers import hpo_main_simulated
from tunewright.storage import experiments

DIGITS = simulated_benchmark("digits")


@pytest.fixture(autouse=True)
def at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path))


def test_the_launcher_ends_experiments_early(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "--experiment_tag early --max_num_trials 60 --stop_when_regret_below 100 --n_jobs 1"
    monkeypatch.setattr(sys, "argv", ["hpo_main.py", *line.split()])
    with pytest.raises(SystemExit) as exited:
        hpo_main_simulated.main({"RS": method("RandomSearch")}, {"digits": DIGITS})
    assert exited.value.code == 0
    (folder,) = experiments("early")
    lines = list(read_events(folder.journal_path))
    assert lines[-1].outcome == "stopped"
    assert 10 <= sum(line.kind == "start" for line in lines) < 60
    assert Limits.from_json(folder.metadata()["limits"]).stop_when_regret_below == 100.0


def asha(**changes: object) -> Experiment:
    fields = {
        "tag": "asha",
        "benchmark": DIGITS,
        "method": method("ASHA"),
        "label": "ASHA",
        "backend": SimulatedConfig(),
        "limits": Limits(max_num_trials=30),
        "max_num_checkpoints": 4,
    }
    return Experiment(**{**fields, **changes})  # pyright: ignore[reportArgumentType]


def test_few_checkpoints_are_kept() -> None:
    outcome = run_experiment(asha())
    kinds = [line.kind for line in read_events(outcome.folder.journal_path)]
    assert kinds.count("drop") >= 5
    assert Experiment.from_json(json.loads(json.dumps(outcome.folder.metadata()))).max_num_checkpoints == 4
    assert "max_num_checkpoints" not in asha(max_num_checkpoints=None).to_json()


@pytest.mark.parametrize(
    "choice",
    [method("ASHA", kind="stopping"), method("RandomSearch"), method("DEHB")],
    ids=["stopping", "RandomSearch", "DEHB"],
)
def test_methods_without_promotions_refuse(choice: object) -> None:
    with pytest.raises(SettingsError, match="max_num_checkpoints is for methods that pause trials at rungs"):
        asha(method=choice).build_scheduler()


def test_checkpoints_on_disk_are_removed(experiment: Callable[..., Experiment]) -> None:
    outcome = run_experiment(
        experiment(
            method=method("ASHA", eta=2),
            limits=Limits(max_num_trials=5),
            max_num_checkpoints=1,
        )
    )
    drops = [line for line in read_events(outcome.folder.journal_path) if line.kind == "drop"]
    for line in drops:
        folder = outcome.folder.trials_path / str(line.trial_id)
        assert not list(folder.glob(f"checkpoints/{line['resource']}*"))
    assert outcome.counts["failed"] == 0


def test_thresholds_are_positive() -> None:
    with pytest.raises(SettingsError, match="stop_when_regret_below must be positive"):
        Limits(stop_when_regret_below=-1.0)
