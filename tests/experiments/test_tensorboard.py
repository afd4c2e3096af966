"""TensorBoard as a callback of an experiment: event files lie in the experiment's folder, and a resume goes on with them."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.callbacks.tensorboard import TensorBoardConfig
from tunewright.exceptions import MissingExtraError
from tunewright.experiments import (
    Experiment,
    Limits,
    method,
    resume_experiment,
    run_experiment,
)
from tunewright.experiments.experiment import identity_of

CELL = Experiment(
    tag="board",
    benchmark=simulated_benchmark("digits"),
    method=method("RandomSearch"),
    label="RS",
    backend=SimulatedConfig(),
    limits=Limits(max_num_trials=2),
    callbacks=(TensorBoardConfig(),),
)


def test_a_resumed_experiment_goes_on_with_its_files() -> None:
    outcome = run_experiment(CELL)
    board = outcome.path / "tensorboard"
    assert {path.name for path in board.iterdir()} == {"best", "trial-00000", "trial-00001"}
    stored = Experiment.from_json(outcome.folder.metadata())
    assert stored.callbacks == CELL.callbacks
    resume_experiment(outcome.folder, replace(stored, limits=Limits(max_num_trials=3)))
    assert {path.name for path in board.iterdir()} == {"best", "trial-00000", "trial-00001", "trial-00002"}


def test_it_is_the_same_cell_without_them() -> None:
    without = replace(CELL, callbacks=())
    assert without.identity() == CELL.identity()
    data = {key: value for key, value in without.to_json().items() if key != "callbacks"}
    assert identity_of(data) == CELL.identity()
    assert not Experiment.from_json(data).callbacks


def test_nothing_begins_where_the_package_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(MissingExtraError, match=r"\[tensorboard\]'"):
        CELL.build_scheduler()
