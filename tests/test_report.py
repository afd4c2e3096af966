"""The Reporter and the checkpoint helpers of training scripts."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import types
from argparse import ArgumentParser
from pathlib import Path

import numpy as np
import pytest

from tunewright import report as reporting
from tunewright.report import (
    MAX_REPORT_BYTES,
    Reporter,
    add_checkpointing_to_argparse,
    checkpoint_dir,
    load_arrays,
    load_newest,
    load_torch,
    save_arrays,
    save_checkpoint,
    save_torch,
)

SOURCES = Path(__file__).parents[1] / "src"


def printed(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    lines = capsys.readouterr().out.splitlines()
    assert all(line.startswith("[tune-metric]: ") for line in lines)
    return [json.loads(line.removeprefix("[tune-metric]: ")) for line in lines]


def test_a_report_is_one_line_with_time_and_count(capsys: pytest.CaptureFixture[str]) -> None:
    report = Reporter()
    report(epoch=1, accuracy=0.25, note="a\nb")
    report(epoch=2)
    first, second = printed(capsys)
    assert (first["epoch"], first["accuracy"], first["note"]) == (1, 0.25, "a\nb")
    assert (first["st_worker_iter"], second["st_worker_iter"]) == (0, 1)
    assert second["st_worker_time"] >= first["st_worker_time"] >= 0
    assert second["st_worker_timestamp"] >= first["st_worker_timestamp"] > 1e9
    assert "st_worker_cost" not in first


def test_time_and_cost_are_optional(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEWRIGHT_DOLLARS_PER_HOUR", "3600")
    Reporter()(a=1)
    Reporter(add_time=False, add_cost=False)(a=1)
    with_cost, bare = printed(capsys)
    assert with_cost["st_worker_cost"] == pytest.approx(with_cost["st_worker_time"])
    assert bare == {"a": 1, "st_worker_iter": 0}


def test_scalars_of_numpy_become_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    report = Reporter(add_time=False)
    report(
        a=np.float32(0.5),
        b=np.int64(3),
        c=np.array(2.0),
        d=np.array([7]),
        e=[np.float64(1.5)],
        f=np.bool_(True),
    )
    assert printed(capsys) == [
        {"a": 0.5, "b": 3, "c": 2.0, "d": 7, "e": [1.5], "f": True, "st_worker_iter": 0}
    ]


def test_non_finite_numbers_may_be_reported(capsys: pytest.CaptureFixture[str]) -> None:
    Reporter()(a=math.nan, b=math.inf, c=-math.inf)
    (values,) = printed(capsys)
    assert math.isnan(values["a"])
    assert (values["b"], values["c"]) == (math.inf, -math.inf)


@pytest.mark.parametrize(
    ("metrics", "error", "message"),
    [
        ({}, ValueError, "at least one metric"),
        ({"st_worker_time": 1}, ValueError, "reserved"),
        ({"loss": None}, TypeError, "'loss' is None"),
        ({"loss": {1, 2}}, TypeError, "loss: set"),
        ({"loss": np.zeros(3)}, TypeError, "'loss' is an array"),
        ({"loss": np.zeros(0)}, TypeError, "loss: ndarray"),
        ({"text": "x" * MAX_REPORT_BYTES}, ValueError, "largest metric is 'text'"),
    ],
)
def test_what_cannot_be_reported_is_refused(
    capsys: pytest.CaptureFixture[str], metrics: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Reporter()(**metrics)
    assert capsys.readouterr().out == ""


def test_the_module_is_the_function(capsys: pytest.CaptureFixture[str]) -> None:
    assert isinstance(reporting, types.ModuleType)
    reporting(epoch=1)
    reporting.report(epoch=2)
    assert [values["epoch"] for values in printed(capsys)] == [1, 2]


@pytest.mark.parametrize(
    ("environment", "metrics", "ends"),
    [
        ({"TUNEWRIGHT_RESOURCE_ATTR": "epoch"}, {"epoch": 4}, False),
        ({"TUNEWRIGHT_RESOURCE_ATTR": "epoch"}, {"epoch": 5.0}, True),
        ({"TUNEWRIGHT_RESOURCE_ATTR": "epoch"}, {"epoch": 7}, True),
        ({"TUNEWRIGHT_RESOURCE_ATTR": "epoch"}, {"epoch": 9.5}, False),
        ({"TUNEWRIGHT_RESOURCE_ATTR": "epoch", "TUNEWRIGHT_RESUME_FROM": "4"}, {"loss": 1.0}, True),
        ({"TUNEWRIGHT_RESUME_FROM": "4"}, {"loss": 1.0}, True),
        ({"TUNEWRIGHT_RESUME_FROM": "3"}, {"loss": 1.0}, False),
    ],
)
def test_at_until_a_report_does_not_return(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    metrics: dict[str, float],
    ends: bool,
) -> None:
    for name, text in {"TUNEWRIGHT_UNTIL": "5", **environment}.items():
        monkeypatch.setenv(name, text)
    report = Reporter()
    parents = iter([os.getppid(), os.getppid(), 1_000_000])
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr(reporting.time, "sleep", lambda _: None)
    if ends:
        with pytest.raises(SystemExit) as left:
            report(**metrics)
        assert left.value.code == 0
    else:
        report(**metrics)
    assert len(printed(capsys)) == 1


def test_outside_of_tuning_there_are_no_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TUNEWRIGHT_CHECKPOINT_DIR", raising=False)
    assert checkpoint_dir() is None
    assert save_checkpoint(1, {"a": 1}) is None
    assert load_newest() is None


def test_the_newest_checkpoint_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWRIGHT_CHECKPOINT_DIR", str(tmp_path / "new"))
    assert load_newest() is None
    for step in (8, 9, 10):
        save_checkpoint(step, {"weights": [step, 0.5]})
    assert load_newest() == (10, {"weights": [10, 0.5]})
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_a_corrupt_checkpoint_is_reported_and_the_one_before_is_used(tmp_path: Path) -> None:
    save_checkpoint(1, {"a": 1}, folder=tmp_path)
    newest = save_checkpoint(2, {"a": 2}, folder=tmp_path)
    assert newest is not None
    newest.write_bytes(newest.read_bytes()[:-1])
    with pytest.warns(UserWarning, match=newest.name):
        assert load_newest(folder=tmp_path) == (1, {"a": 1})


@pytest.mark.parametrize(("resume_from", "step"), [("", 5), ("0", 5), ("4", 4), ("9", 5), ("3", 5)])
def test_a_step_that_was_never_reported_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resume_from: str, step: int
) -> None:
    """Unless there is no other, as where steps count something else than reports."""
    for saved in (3, 4, 5):
        save_checkpoint(saved, {}, folder=tmp_path)
    monkeypatch.setenv("TUNEWRIGHT_RESUME_FROM", resume_from)
    loaded = load_newest(folder=tmp_path)
    assert loaded is not None
    assert loaded.step == step


def test_a_writer_that_fails_leaves_the_old_checkpoint(tmp_path: Path) -> None:
    save_checkpoint(1, {"a": 1}, folder=tmp_path)

    def write(path: Path) -> None:
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        save_checkpoint(2, write, folder=tmp_path)
    assert load_newest(folder=tmp_path) == (1, {"a": 1})


def test_a_step_saved_again_replaces_the_first(tmp_path: Path) -> None:
    for value in (1, 2, 3):
        save_checkpoint(4, {"a": value}, folder=tmp_path, keep=1)
    assert load_newest(folder=tmp_path) == (4, {"a": 3})
    assert len(list(tmp_path.iterdir())) == 1


def test_a_function_may_write_and_read(tmp_path: Path) -> None:
    save_checkpoint(3, lambda path: path.write_text("mine"), folder=tmp_path)
    assert load_newest(Path.read_text, folder=tmp_path) == (3, "mine")


def test_arrays_are_saved_without_pickle(tmp_path: Path) -> None:
    save_arrays(2, {"w": np.arange(3.0), "b": np.array([1])}, folder=tmp_path)
    saved = load_arrays(folder=tmp_path)
    assert saved is not None
    assert saved.step == 2
    np.testing.assert_array_equal(saved.state["w"], [0.0, 1.0, 2.0])
    save_arrays(3, {"o": np.array([{"x": 1}], dtype=object)}, folder=tmp_path)
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(folder=tmp_path)


def test_torch_is_imported_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: Path, *, map_location: str, weights_only: bool) -> object:
        assert (map_location, weights_only) == ("cpu", True)
        return json.loads(path.read_text())

    torch = types.ModuleType("torch")
    torch.save = lambda state, file: file.write(json.dumps(state).encode())
    torch.load = load
    monkeypatch.setitem(sys.modules, "torch", torch)
    save_torch(6, {"model": {"w": 1}}, folder=tmp_path)
    assert load_torch(folder=tmp_path) == (6, {"model": {"w": 1}})


def test_the_checkpoint_folder_as_an_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWRIGHT_CHECKPOINT_DIR", "/from/environment")
    parser = ArgumentParser()
    add_checkpointing_to_argparse(parser)
    assert parser.parse_args([]).checkpoint_dir == "/from/environment"
    assert parser.parse_args(["--st_checkpoint_dir", "x"]).checkpoint_dir == "x"


@pytest.mark.parametrize("python", sorted((Path.home() / ".pyenv" / "versions").glob("3.9.*/bin/python"))[:1])
def test_it_runs_on_the_oldest_python(python: Path, tmp_path: Path) -> None:
    code = """
import sys
from tunewright import Reporter, report
from tunewright.report import load_newest, save_checkpoint
save_checkpoint(1, {"a": 1}, folder=sys.argv[1])
Reporter()(a=load_newest(folder=sys.argv[1]).state["a"])
report(a=2)
assert sys.version_info[:2] == (3, 9)
"""
    done = subprocess.run(
        [python, "-c", code, tmp_path],
        env={"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.count("[tune-metric]") == 2
