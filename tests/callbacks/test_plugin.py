"""Callbacks by name: from text, as data, in an experiment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tunewright import tune_function
from tunewright.callbacks.plugin import (
    callback_from_json,
    callback_from_text,
    callback_names,
    callback_to_json,
    find_callback,
)
from tunewright.callbacks.tensorboard import TensorBoardConfig
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment
from tunewright.history import History
from tunewright.interfaces import Callback
from tunewright.space import Float
from tunewright.trial import TrialStatus


class Ends(Callback):
    """Counts the ends of trials."""

    def __init__(self) -> None:
        self.n = 0

    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        self.n += 1


def test_a_callback_is_read_from_text() -> None:
    assert "tensorboard" in callback_names()
    assert callback_from_text("tensorboard") == TensorBoardConfig()
    assert callback_from_text("tensorboard:folder=a:b") == TensorBoardConfig(folder="a:b")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tensorbord", "Did you mean 'tensorboard'"),
        ("tensorboard:folder", "NAME:key=value"),
        ("tensorboard:", "NAME:key=value"),
        ("tensorboard:foldr=a", "Did you mean 'folder'"),
    ],
)
def test_text_that_names_no_callback_is_refused(text: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        callback_from_text(text)


def test_a_callback_is_data() -> None:
    config = TensorBoardConfig(folder="board")
    assert callback_from_json(json.loads(json.dumps(callback_to_json(config)))) == config
    assert find_callback("tensorboard").extra == "tensorboard"
    for data in ({}, 3, {"name": "other"}, {"name": "tensorboard", "config": {"folder": 3}}):
        with pytest.raises(SettingsError):
            callback_from_json(data)


def test_a_function_is_tuned_under_the_eyes_of_callbacks(tmp_path: Path) -> None:
    """Those that are named are stored with the experiment; objects watch the session."""
    script = tmp_path / "training.py"
    script.write_text("import tunewright\n\ndef train(x):\n    tunewright.report(loss=x)\n")
    ends = Ends()
    outcome = tune_function(
        f"{script}:train",
        {"x": Float(0.0, 1.0)},
        metric="loss",
        max_num_trials=2,
        callbacks=["tensorboard:folder=board", ends],
        progress=False,
    )
    assert ends.n == 2
    assert (outcome.path / "board" / "trial-00001").is_dir()
    stored = Experiment.from_json(outcome.folder.metadata())
    assert stored.callbacks == (TensorBoardConfig(folder="board"),)
