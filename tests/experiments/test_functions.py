"""``tune_function``, and what trials print."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import tunewright
from tunewright.backends.local.config import LocalConfig
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, load_outcome, tune_function
from tunewright.experiments.functions import function_path
from tunewright.space import Float
from tunewright.storage import ExperimentFolder, experiments

TRAINING = """
import os, pathlib, tunewright

def train(x, epochs):
    print("training with", x)
    for epoch in range(1, epochs + 1):
        pathlib.Path(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"], "state").write_text(str(epoch))
        tunewright.report(epoch=epoch, loss=x / epoch)
"""


@pytest.fixture
def training(tmp_path: Path) -> str:
    """Path of a training function in a file."""
    (tmp_path / "training.py").write_text(TRAINING)
    return f"{tmp_path / 'training.py'}:train"


def test_a_function_is_tuned_in_processes(training: str, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = tune_function(
        training,
        {"x": Float(0.0, 1.0), "epochs": 2},
        metric="loss",
        method="auto",
        resource="epoch",
        max_resource_attr="epochs",
        max_num_trials=3,
        n_workers=2,
        seed=1,
    )
    assert outcome.best is not None
    assert outcome.best.value == min(r.metrics["loss"] for _, r in outcome.history.results_since(0))
    assert outcome.path.is_dir()
    said = capsys.readouterr()
    assert said.out == ""  # that is the script's own
    assert "Best:    loss" in said.err
    stored = Experiment.from_json(outcome.folder.metadata())
    log = stored.plugin.logs(stored.backend, stored.context(outcome.folder), 0)
    assert "training with 0.5" in log.new_text()
    assert log.new_text() == ""
    log.close()


def test_the_options_are_checked_before_anything_starts(training: str, tunewright_home: Path) -> None:
    space = {"x": Float(0.0, 1.0), "epochs": 2}
    with pytest.raises(SettingsError, match="Did you mean 'n_workers'"):
        tune_function(training, space, metric="loss", n_worker=2)  # type: ignore[call-arg]
    with pytest.raises(SettingsError, match="Nothing would end"):
        tune_function(training, space, metric="loss", progress=False)
    with pytest.raises(SettingsError, match="Unknown method"):
        tune_function(training, space, metric="loss", method="ASAH")
    with pytest.raises(SettingsError, match="'min' or 'max'"):
        tune_function(training, space, metric="loss", goal="minimum", max_num_trials=1)
    assert not tunewright_home.exists()


def test_functions_are_known_by_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    def nested() -> None: ...

    assert function_path(tune_function) == "tunewright.experiments.functions:tune_function"
    assert function_path("module:name") == "module:name"
    for unfindable in (lambda: None, nested, ModuleType("m")):
        with pytest.raises(SettingsError, match="at the top level of a module"):
            function_path(unfindable)  # type: ignore[arg-type]

    main = ModuleType("__main__")
    exec("def train(): ...", main.__dict__)  # noqa: S102 - what a prompt does
    monkeypatch.setitem(sys.modules, "__main__", main)
    with pytest.raises(SettingsError, match="put it into a file"):
        function_path(main.train)
    main.__file__ = "/somewhere/script.py"
    assert function_path(main.train) == "/somewhere/script.py:train"


def test_a_log_is_read_as_it_grows(experiment: Callable[..., Experiment], tmp_path: Path) -> None:
    cell = experiment(backend=LocalConfig())
    log = cell.plugin.logs(cell.backend, cell.context(ExperimentFolder(tmp_path)), 0)
    assert log.new_text() == ""
    run = tmp_path / "trials" / "0" / "runs" / "0-0"
    run.mkdir(parents=True)
    (run / "order.json").write_text("{}")
    (run / "stdout").write_bytes("ü".encode()[:1])
    assert log.new_text() == ""
    (run / "stdout").write_bytes("ü\n".encode())
    (run / "stderr").write_bytes(b"warning\n")
    assert log.new_text() == "ü\nwarning\n"


def test_the_package_exports_it() -> None:
    assert tunewright.tune_function is tune_function


UNGUARDED = """
import tunewright
from tunewright import Float

def train(lr):
    return lr

outcome = tunewright.tune_function(train, {"lr": Float(0.1, 1.0)}, metric="loss", max_num_trials=3, n_workers=2)
print(outcome.best.value)
"""


def test_a_file_needs_no_main_guard(tmp_path: Path) -> None:
    """Its trials load it as well, and begin no experiments of their own."""
    (tmp_path / "tuning.py").write_text(UNGUARDED)
    command = [sys.executable, "tuning.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    (folder,) = experiments()
    outcome = load_outcome(folder)
    assert outcome.counts["completed"] == 3
    assert outcome.best is not None
    assert done.stdout == f"{outcome.best.value}\n"
