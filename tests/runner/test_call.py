"""Functions called as scripts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tunewright.report import Reporter
from tunewright.runner import call_function as call
from tunewright.runner.build import runner_bytes


def test_the_configuration_becomes_keyword_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", ["runner.pyz", "call", "x"])
    module = tmp_path / "one_of_mine.py"
    module.write_text("SEEN = []\ndef train(**config):\n    SEEN.append(config)\n")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"a": 1, "b": "x"}))
    assert call.main([f"{module}:train", str(config)]) == 0
    assert sys.modules.pop("one_of_mine").SEEN == [{"a": 1, "b": "x"}]
    assert str(tmp_path) in sys.path


def test_functions_are_found_by_module() -> None:
    assert call.load_function("json:dumps") is json.dumps


@pytest.mark.parametrize("spec", ["json:nothing", "no_such_module:f"])
def test_what_is_not_there_is_an_import_error(spec: str) -> None:
    with pytest.raises(ImportError):
        call.load_function(spec)


@pytest.fixture
def call_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Calls ``train`` of a file of this text, tuned by ``loss``, with ``x=2``."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "argv", ["runner.pyz", "call", "x"])
    monkeypatch.setattr(Reporter, "n_reports", 0)
    monkeypatch.setenv("TUNEWRIGHT_METRIC", "loss")
    (tmp_path / "config.json").write_text('{"x": 2}')

    def run(text: str) -> None:
        (tmp_path / "a_file_of_mine.py").write_text(text)
        call.main([f"{tmp_path / 'a_file_of_mine.py'}:train", str(tmp_path / "config.json")])

    yield run
    sys.modules.pop("a_file_of_mine", None)


def reported(text: str) -> list[dict[str, object]]:
    marker = "[tune-metric]: "
    lines = [json.loads(line.removeprefix(marker)) for line in text.splitlines() if line.startswith(marker)]
    return [{name: value for name, value in line.items() if not name.startswith("st_")} for line in lines]


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ("x / 4", [{"loss": 0.5}]),
        ("{'loss': x, 'accuracy': 0.5}", [{"loss": 2, "accuracy": 0.5}]),
        ("None", []),
        ("numpy.float32(x)", [{"loss": 2.0}]),
        ("tunewright.report(loss=1)", [{"loss": 1}]),
        ("[tunewright.report(loss=1), 7][1]", [{"loss": 1}]),
    ],
)
def test_what_a_function_returns_is_reported_if_it_has_reported_nothing(
    call_text: Callable[[str], None],
    capsys: pytest.CaptureFixture[str],
    returned: str,
    expected: list[dict[str, object]],
) -> None:
    call_text(f"import numpy, tunewright\ndef train(x):\n    return {returned}\n")
    assert reported(capsys.readouterr().out) == expected


def test_what_is_no_result_is_an_error(
    call_text: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TypeError, match="a number, a mapping of metrics, or nothing and report"):
        call_text("def train(x):\n    return [x]\n")
    monkeypatch.setenv("TUNEWRIGHT_METRIC", "")
    with pytest.raises(TypeError, match="should return a mapping of metrics"):
        call_text("def train(x):\n    return x\n")


def test_a_file_is_loaded_until_it_begins_an_experiment(
    call_text: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    begins = "from tunewright.runner.contract import stop_loading\ndef train(x):\n    return x\n{}\nbroken\n"
    call_text(begins.format("try:\n    stop_loading()\nexcept Exception:\n    pass"))
    assert reported(capsys.readouterr().out) == [{"loss": 2}]
    sys.modules.pop("a_file_of_mine")
    with pytest.raises(NameError, match="broken"):
        call_text(begins.format(""))
    assert "a_file_of_mine" not in sys.modules
    assert "tunewright_loading" not in sys.modules


_EXPERIMENT = """
import tunewright
from tunewright import Float
from tunewright.backends.sagemaker import SageMakerConfig
from tunewright.callbacks import Callback
from tunewright.experiments import Experiment

class Mine(Callback):
    pass

def train(x):
    tunewright.report(loss=x)
    {body}

space = {{"x": Float(0.0, 1.0, log=True)}}
tunewright.tune(train, space, metric="loss", backend=SageMakerConfig(warm_pool=True))
raise AssertionError("the experiment is not begun in a trial")
"""


def call_alone(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Calls ``train`` of a file that begins an experiment, by the runner's zipapp and a Python without Tunewright."""
    (folder / "runner.pyz").write_bytes(runner_bytes())
    (folder / "tuned.py").write_text(_EXPERIMENT.format(body=body))
    (folder / "config.json").write_text('{"x": 2}')
    side = folder / "runner.pyz" / "trial"
    command = [
        sys.executable,
        "-S",
        folder / "runner.pyz",
        "call",
        f"{folder / 'tuned.py'}:train",
        folder / "config.json",
    ]
    return subprocess.run(
        command, env={"PYTHONPATH": str(side)}, capture_output=True, text=True, check=False, timeout=120
    )


def test_a_file_that_begins_an_experiment_needs_no_tunewright_in_its_trials(tmp_path: Path) -> None:
    done = call_alone(tmp_path, "pass")
    assert done.returncode == 0, done.stderr
    assert reported(done.stdout) == [{"loss": 2}]


def test_a_part_of_tunewright_that_a_trial_has_not_got_is_named(tmp_path: Path) -> None:
    done = call_alone(tmp_path, "Float(0.0, 1.0)")
    assert done.returncode == 1
    assert "tunewright.space.Float is not on this machine" in done.stderr
