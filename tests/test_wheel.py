"""The built wheel, installed into a bare environment with its declared dependencies only, is a working program."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sys.executable).with_name("uv")

SCRIPT = """
import argparse
from tunewright import Reporter

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int)
arguments = parser.parse_args()
report = Reporter()
for epoch in range(1, arguments.epochs + 1):
    report(epoch=epoch, loss=(arguments.x - 0.3) ** 2 + 1 / epoch)
"""

SPACE = """
[x]
type = "float"
low = 0.0
high = 1.0
"""


def run(*command: str | Path, **variables: str) -> str:
    """What a command prints; its output is shown when it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | variables
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(
        UV,
        "build",
        "--wheel",
        "--offline",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "--out-dir",
        folder,
    )
    (built,) = folder.glob("*.whl")
    return built


def core_requirements() -> set[str]:
    """Names of the distributions that a plain ``pip install`` would bring, those of dependencies included."""
    found: set[str] = set()
    waiting = ["tunewright"]
    while waiting:
        for text in distribution(waiting.pop()).requires or ():
            requirement = Requirement(text)
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if applies and requirement.name not in found:
                found.add(requirement.name)
                waiting.append(requirement.name)
    return found


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs' folder of an environment that holds the wheel and links to the packages it declares."""
    venv = tmp_path_factory.mktemp("bare") / "venv"
    run(UV, "venv", "--offline", "--python", sys.executable, venv)
    (site,) = venv.glob("lib/python*/site-packages")
    for name in core_requirements():
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            link = site / top
            if not link.exists():
                link.symlink_to(Path(str(distribution(name).locate_file(top))))
    run(UV, "pip", "install", "--offline", "--no-deps", "--python", venv / "bin" / "python", wheel)
    return venv / "bin"


@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tunewright", "sagemaker_emulator"}
    sources = {p.relative_to(ROOT / "src").as_posix() for p in (ROOT / "src").rglob("*.py")}
    assert sources <= set(names)
    assert {"tunewright/py.typed", "sagemaker_emulator/py.typed"} <= set(names)


@pytest.mark.slow
def test_the_installed_program_tunes_a_script(bare: Path, tmp_path: Path) -> None:
    script, space = tmp_path / "train.py", tmp_path / "space.toml"
    script.write_text(SCRIPT)
    space.write_text(SPACE)
    home = str(tmp_path / "home")
    what = [
        "--space",
        space,
        "--metric",
        "loss",
        "--goal",
        "min",
        "--resource",
        "epoch",
        "--max_resource",
        "3",
    ]
    how = ["--max_resource_attr", "epochs", "--method", "ASHA", "--n_workers", "2", "--max_num_trials", "4"]
    run(bare / "tunewright", "tune", script, *what, *how, "--backend", "local", TUNEWRIGHT_HOME=home)
    (experiment,) = json.loads(run(bare / "tunewright", "list", "--format", "json", TUNEWRIGHT_HOME=home))
    shown = run(
        bare / "tunewright", "show", experiment["experiment"], "--format", "json", TUNEWRIGHT_HOME=home
    )
    answer = json.loads(shown)
    assert answer["status"] == "completed"
    assert sum(answer["trials"].values()) == 4
    assert 0.0 <= answer["best"]["config"]["x"] <= 1.0


@pytest.mark.slow
def test_the_installed_program_says_which_extra_is_missing(bare: Path, tmp_path: Path) -> None:
    script, space = tmp_path / "train.py", tmp_path / "space.toml"
    script.write_text(SCRIPT)
    space.write_text(SPACE)
    command = [
        bare / "tunewright",
        "tune",
        script,
        "--space",
        space,
        "--metric",
        "loss",
        "--backend",
        "sagemaker",
    ]
    done = subprocess.run(
        [*command, "--max_num_trials", "1", "--endpoint", "embedded"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode != 0
    assert re.search(r"pip install '/.*\.whl\[aws\]' \(or the extra emulator instead", done.stderr)
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_source_distribution_is_complete(tmp_path: Path) -> None:
    """A wheel can be made from it, and what a packager needs is there: tests, documents, licences, lock."""
    build = ("--offline", "--no-build-isolation", "--python", sys.executable, "--out-dir", tmp_path)
    run(UV, "build", "--sdist", *build)
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    tracked = run("git", "ls-files").splitlines() if (ROOT / ".git").exists() else []
    left_out = {name for name in tracked if name not in names and not name.startswith(".git")}
    assert left_out <= {".dockerignore", ".pre-commit-config.yaml"}
    assert {"LICENSE", "uv.lock", "tests/test_wheel.py", "docs/index.md"} <= names
    assert not {name for name in names if name.startswith((".venv", "build/", "docs/tutorials/"))}
