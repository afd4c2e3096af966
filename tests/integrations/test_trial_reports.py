"""What the callbacks of all frameworks share; the callbacks themselves are tested in tests/conformance."""

from __future__ import annotations

import importlib
import importlib.util
import json
import logging
from pathlib import Path

import numpy as np
import pytest

from tunewright.integrations import TrialReports, import_framework, newest_first


@pytest.fixture(autouse=True)
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process is a trial that goes on from epoch 3."""
    monkeypatch.setenv("TUNEWRIGHT_CHECKPOINT_DIR", str(tmp_path))
    monkeypatch.setenv("TUNEWRIGHT_RESOURCE_ATTR", "epoch")
    monkeypatch.setenv("TUNEWRIGHT_RESUME_FROM", "3")


LOGGED = {
    "loss": 0.5,
    "accuracy": np.float32(0.25),
    "name": "a",
    "vector": np.zeros(3),
    "lr": np.array([0.1]),
}


@pytest.mark.parametrize(
    ("metrics", "expected"),
    [
        ("loss", {"loss": 0.5}),
        (["loss", "accuracy"], {"loss": 0.5, "accuracy": 0.25}),
        ({"valid": "loss"}, {"valid": 0.5}),
        (None, {"loss": 0.5, "accuracy": 0.25, "lr": 0.1}),
    ],
)
def test_chosen_metrics_are_reported_beside_the_progress(metrics: object, expected: dict[str, float]) -> None:
    found = TrialReports(metrics).select(LOGGED, {"epoch": 4})  # pyright: ignore[reportArgumentType]
    assert found == {**expected, "epoch": 4}


@pytest.mark.parametrize("metrics", ["error", ["loss", "error"], {"loss": "error"}, None])
def test_a_missing_metric_is_named_with_those_that_were_logged(
    metrics: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEWRIGHT_METRIC", "error")
    with pytest.raises(
        ValueError, match=r"The metric 'error' was not logged. Logged: 'accuracy', 'loss', 'lr', "
    ):
        TrialReports(metrics).select(LOGGED, {"epoch": 4})  # pyright: ignore[reportArgumentType]


def test_the_resource_is_that_of_the_runner(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = TrialReports(None)
    assert reports.resource({"epoch": 4.0000001}) == 4
    assert reports.resource({"epoch": 4.5}) == 4  # reports are counted, after the three of earlier runs
    assert reports.resource({"epoch": float("nan")}) == 4
    reports.send({"epoch": 4.5})
    assert reports.resource({"epoch": 4.5}) == 5
    monkeypatch.delenv("TUNEWRIGHT_RESOURCE_ATTR")
    assert reports.resource({"epoch": 9}) == 5
    assert not reports.is_last({})
    line = capsys.readouterr().out.partition("[tune-metric]: ")[2]
    assert json.loads(line)["epoch"] == 4.5


def test_checkpoints_are_ordered_as_load_newest_orders_them(monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoints = {"a": 2, "b": 4, "c": 3, "d": 5}
    assert newest_first(checkpoints) == ["c", "a", "d", "b"]
    monkeypatch.setenv("TUNEWRIGHT_RESUME_FROM", "0")
    assert newest_first(checkpoints) == ["d", "b", "c", "a"]


def test_outside_of_tuning_there_is_one_line_of_information(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("TUNEWRIGHT_CHECKPOINT_DIR")
    with caplog.at_level(logging.INFO):
        assert not TrialReports("loss").is_active
    (record,) = caplog.records
    assert record.getMessage().startswith("This is not a trial of Tunewright")


def test_of_two_names_of_a_framework_the_loaded_one_is_taken() -> None:
    assert import_framework("json", "absent_module", "json") is json
    assert import_framework("json", "wave", "json") is json


@pytest.mark.parametrize("name", ["lightning", "transformers", "keras", "xgboost", "lightgbm"])
def test_a_missing_framework_is_named_with_its_command(name: str) -> None:
    if importlib.util.find_spec(name) is not None:
        pytest.skip(f"{name} is installed")
    with pytest.raises(ModuleNotFoundError, match=f"This callback needs {name}: pip install {name}"):
        importlib.import_module(f"tunewright.integrations.{name}")
