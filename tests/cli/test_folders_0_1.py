"""Experiment folders that ``tunewright init`` of version 0.1 wrote go on working."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tunewright.cli import main as tunewright
from tunewright.storage import experiments

FOLDERS = Path(__file__).with_name("folders_0_1")
MODULES = ("baselines", "benchmark_definitions")


class Folder:
    """A copy of a folder whose scripts run in this process."""

    def __init__(
        self, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.path = path
        self._capsys = capsys
        self._monkeypatch = monkeypatch
        self.out = self.err = ""

    def run(self, script: str, *flags: str) -> int:
        for name in MODULES:
            sys.modules.pop(name, None)
        path = self.path / script
        self._monkeypatch.setattr(sys, "argv", [str(path), *flags])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            runpy.run_path(str(path), run_name="__main__")
        self.out, self.err = self._capsys.readouterr()
        return int(exited.value.code or 0)


@pytest.fixture
def folder(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Any:
    path = tmp_path / "folder"
    shutil.copytree(FOLDERS / request.param, path)
    monkeypatch.syspath_prepend(str(path))
    yield Folder(path, capsys, monkeypatch)
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("folder", ["local"], indirect=True)
def test_processes(folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ("--experiment_tag", "old_folder", "--num_seeds", "1", "--method", "RS", "--max_num_trials", "2")
    assert folder.run("hpo_main.py", *flags, "--n_workers", "1") == 0
    assert "Best:    loss" in folder.out
    (experiment,) = experiments("old_folder")
    assert folder.run("hpo_main.py", *flags, "--n-workers=1", "--resume", "1") == 0
    assert "Finished already" in folder.out
    with pytest.raises(SystemExit) as exited:
        tunewright(["show", experiment.name, "--format", "json"])
    assert not exited.value.code
    assert json.loads(capsys.readouterr().out)["trials"]["completed"] == 2


@pytest.mark.parametrize("folder", ["sagemaker"], indirect=True)
def test_training_jobs(folder: Folder) -> None:
    flags = ("--method", "ASHA", "--endpoint", "embedded", "--max_num_trials", "9", "--warm_pool", "1")
    for script in ("hpo_main.py", "launch_remote.py"):
        assert folder.run(script, *flags, "--dry_run") == 0
        assert json.loads(folder.out)["ResourceConfig"]["KeepAlivePeriodInSeconds"] > 0


@pytest.mark.parametrize("folder", ["simulated"], indirect=True)
def test_tables(folder: Folder) -> None:
    flags = ("--benchmark", "digits", "--method", "RS,ASHA", "--max_num_evaluations", "20", "--n_jobs", "1")
    assert folder.run("hpo_main.py", *flags) == 0
    assert "2 of 2 cells run" in folder.out


@pytest.mark.parametrize("folder", ["local", "sagemaker", "simulated"], indirect=True)
@pytest.mark.parametrize("script", ["hpo_main.py", "launch_remote.py"])
def test_help_and_errors(folder: Folder, script: str) -> None:
    assert folder.run(script, "--help") == 0
    assert f"Usage: {script}" in folder.out
    assert folder.run(script, "--num_seed", "1") == 2
    assert f"Unknown flag --num_seed. Did you mean '--num_seeds'? See {script} --help" in folder.err
