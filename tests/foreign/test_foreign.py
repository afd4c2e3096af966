"""A backend and a callback of packages outside of this repository, installed as wheels and used by the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
TUNEWRIGHT = (sys.executable, "-m", "tunewright")

SCRIPT = """
import argparse, json, time
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int)
parser.add_argument("--seconds", type=float)
given = parser.parse_args()
print("training with", given.x)
for epoch in range(1, given.epochs + 1):
    time.sleep(given.seconds)
    print("[tune-metric]: " + json.dumps({"epoch": epoch, "loss": given.x / epoch}))
"""
SPACE = """
epochs = 3
seconds = 0.0

[x]
type = "float"
low = 0.0
high = 1.0
"""
HPO_MAIN = """
from pathlib import Path
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.cli.hpo_main import main
from tunewright.experiments import method
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace

benchmark = RealBenchmarkDefinition(
    name="toy",
    script=str(Path(__file__).parent / "train.py"),
    space=SearchSpace({"x": Float(0.0, 1.0), "epochs": 3, "seconds": 0.0}),
    metrics=(Metric("loss"),),
    resource_attr="epoch",
    max_resource_attr="epochs",
)
if __name__ == "__main__":
    main({"ASHA": method("ASHA")}, {"toy": benchmark}, backend="local")
"""

SEVERAL = """
import contextlib, io, json, sys
from tunewright.cli import main
ends = []
for words in json.loads(sys.argv[1]):
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        try:
            main(words)
        except SystemExit as error:
            ends.append([error.code or 0, shown.getvalue()])
print(json.dumps(ends))
"""
"""A program of several commands of ``tunewright``, each of which would load for half a second; prints exit codes and outputs."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheels of both packages are installed."""
    wheels, site = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("site")
    for package in ("backend", "callback"):
        build = (sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels))
        subprocess.run(build, cwd=HERE / package, check=True, capture_output=True, timeout=120)
    found = [str(wheel) for wheel in sorted(wheels.glob("*.whl"))]
    assert len(found) == 2
    pip = (sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "-q", "--target", str(site))
    subprocess.run((*pip, *found), check=True, capture_output=True, timeout=120)
    return site


@pytest.fixture
def environment(site: Path, tunewright_home: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(site), "TUNEWRIGHT_HOME": str(tunewright_home)}


@pytest.fixture
def command(environment: dict[str, str], tmp_path: Path) -> Callable[..., str]:
    """Runs a command in the folder of the script; returns what it prints."""
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "space.toml").write_text(SPACE)
    (tmp_path / "hpo_main.py").write_text(HPO_MAIN)

    def run(*words: str, code: int = 0) -> str:
        done = subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def tunewright(command: Callable[..., str]) -> Callable[..., list[list[Any]]]:
    """Runs several commands of ``tunewright`` in one process; returns the exit code and output of each."""

    def run(*lines: tuple[str, ...]) -> list[list[Any]]:
        return json.loads(command(sys.executable, "-c", SEVERAL, json.dumps(lines)))

    return run


def tune(tag: str, *more: str) -> tuple[str, ...]:
    what = ("tune", "train.py", "--space", "space.toml", "--metric", "loss", "--resource", "epoch")
    how = ("--max_resource", "3", "--n_workers", "2", "--experiment_tag", tag, "--backend", "foreign")
    return (*what, *how, *more)


def only_experiment(home: Path, tag: str) -> Path:
    (path,) = (home / "experiments" / tag).iterdir()
    return path


def test_it_tunes_and_is_shown(
    command: Callable[..., str], tunewright: Callable[..., list[list[Any]]], tunewright_home: Path
) -> None:
    line = tune("one", "--max_num_trials", "3", "--niceness", "1")
    said = command(*TUNEWRIGHT, *line, "--callback", "lines:path=mine.txt,digits=2")
    assert "Subprocesses of another package, 2 at a time" in said
    folder = only_experiment(tunewright_home, "one")
    lines = (folder / "mine.txt").read_text().splitlines()
    assert sorted(line.split()[:2] for line in lines) == [
        [str(trial), str(epoch)] for trial in range(3) for epoch in range(1, 4)
    ]
    assert all(len(line.split()[2]) == len("0.12") for line in lines)
    metadata = json.loads((folder / "metadata.json").read_text())
    assert metadata["backend"] == {"name": "foreign", "config": {"niceness": 1}}
    assert metadata["callbacks"] == [{"name": "lines", "config": {"path": "mine.txt", "digits": 2}}]
    (show, shown), (logs, log) = tunewright(("show", "one"), ("logs", "one", "0"))
    assert (show, logs) == (0, 0)
    assert "foreign" in shown
    assert "training with 0.5" in log


def test_its_flags_are_known_and_checked(tunewright: Callable[..., list[list[Any]]]) -> None:
    wrong = (("--niceness", "20"), ("--spot",), ("--callback", "lines:digits=few"), ("--dry_run",))
    lines = [tune("two", "--max_num_trials", "1", *flags) for flags in wrong]
    (code, help_page), *refused = tunewright(("tune", "--backend", "foreign", "--help"), *lines)
    assert code == 0
    assert "Niceness of the processes" in help_page
    assert [code for code, _ in refused] == [2] * 4
    niceness, spot, digits, dry_run = (error for _, error in refused)
    assert "niceness=20" in niceness
    assert "spot" in spot
    assert "--callback lines:" in digits
    assert "$.digits" in digits
    assert "sends none" in dry_run


def test_a_folder_runs_on_it(command: Callable[..., str], tunewright_home: Path) -> None:
    """ASHA stops and the backend ends trials at their rungs."""
    line = (
        "--backend",
        "foreign",
        "--experiment_tag",
        "three",
        "--max_num_trials",
        "4",
        "--callback",
        "lines",
    )
    command(sys.executable, "hpo_main.py", *line)
    folder = only_experiment(tunewright_home, "three")
    assert {line.split()[0] for line in (folder / "lines.txt").read_text().splitlines()} == set("0123")


def test_a_killed_experiment_goes_on(
    tunewright: Callable[..., list[list[Any]]],
    environment: dict[str, str],
    tmp_path: Path,
    tunewright_home: Path,
    start_process: Callable[..., subprocess.Popen[bytes]],
) -> None:
    (tmp_path / "space.toml").write_text(SPACE.replace("seconds = 0.0", "seconds = 0.2"))
    words = (*TUNEWRIGHT, *tune("four", "--max_num_trials", "4", "--callback", "lines"))
    process = start_process(words, cwd=tmp_path, env=environment)
    lines = tunewright_home / "experiments" / "four"
    for _ in range(600):
        if any(path.stat().st_size for path in lines.glob("*/lines.txt")):
            break
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    (code, said), (_, text) = tunewright(("resume", "four"), ("show", "four", "--format", "json"))
    assert code == 0, said
    shown = json.loads(text)
    assert shown["trials"]["completed"] == 4
    assert shown["num_results"] == 12
    folder = only_experiment(tunewright_home, "four")
    assert {line.split()[0] for line in (folder / "lines.txt").read_text().splitlines()} == set("0123")
