"""How the training scripts that need PyTorch are run: as processes of the environment that ``scripts/test`` makes."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = ROOT / "src" / "tunewright" / "benchmarks" / "scripts"
SHARED_DATA = ROOT.parent / "shared" / "data"
MARK = "[tune-metric]: "
PATIENCE = 300.0  # seconds; a script that hangs is killed

Reports = list[dict[str, Any]]
Train = Callable[..., Reports]


@pytest.fixture(scope="session")
def torch_python() -> Path:
    """The interpreter that has PyTorch."""
    venv = ROOT / ".venv-torch"
    if not (venv / ".complete").exists():
        pytest.skip("There is no .venv-torch: scripts/test makes it")
    return venv / "bin" / "python"


@pytest.fixture
def shared_data() -> Callable[[str], Path]:
    """The path of a recorded file; the test is skipped where it is absent."""

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"There is no ../shared/data/{name}")
        return path

    return find


@pytest.fixture
def train(torch_python: Path, tmp_path: Path) -> Train:
    """Run a script to its end, or kill it at the report ``until`` as the runner does; return its own metrics."""
    variables = {
        "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(SCRIPTS / "shared")]),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "cache" / "huggingface"),
        "HF_HUB_OFFLINE": "1",
    }

    def run(name: str, arguments: Sequence[object], folder: Path, until: int | None = None) -> Reports:
        limits = {"TUNEWRIGHT_UNTIL": str(until), "TUNEWRIGHT_RESOURCE_ATTR": "epoch"} if until else {}
        reports: Reports = []
        with (
            (tmp_path / "stderr").open("w") as errors,
            subprocess.Popen(
                [torch_python, SCRIPTS / name / f"{name}.py", *map(str, arguments)],
                env={**os.environ, **variables, **limits, "TUNEWRIGHT_CHECKPOINT_DIR": str(folder)},
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            ) as process,
        ):
            watchdog = threading.Timer(PATIENCE, process.kill)
            watchdog.start()
            for line in process.stdout or ():
                if line.startswith(MARK):
                    metrics = json.loads(line.removeprefix(MARK))
                    reports.append({key: metrics[key] for key in metrics if not key.startswith("st_")})
                if until is not None and len(reports) == until:
                    process.kill()
            watchdog.cancel()
        expected = 0 if until is None else -9
        assert process.returncode == expected, (tmp_path / "stderr").read_text()[-3000:]
        return reports

    return run


@pytest.fixture
def train_with_interruption(train: Train, tmp_path: Path) -> Train:
    """Run a script undisturbed, and again killed after ``until`` epochs and resumed: the numbers must be equal."""

    def run(name: str, arguments: Sequence[object], n_epochs: int, until: int) -> Reports:
        undisturbed = train(name, arguments, tmp_path / "undisturbed")
        assert [report["epoch"] for report in undisturbed] == list(range(1, n_epochs + 1))
        interrupted = train(name, arguments, tmp_path / "interrupted", until)
        interrupted += train(name, arguments, tmp_path / "interrupted")
        assert interrupted == undisturbed
        return undisturbed

    return run
