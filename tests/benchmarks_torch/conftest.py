"""How the training scripts that need PyTorch are run: in the environment that ``scripts/test`` makes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SCRIPTS = ROOT / "src" / "tunewright" / "benchmarks" / "scripts"
SHARED_DATA = ROOT.parent / "shared" / "data"
MARK = "[tune-metric]: "
PATIENCE = 300.0  # seconds; a script that hangs is killed
FINE_TUNING = (
    "datasets",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.tokenization_bert",
)
"""Modules that scripts with ``finetuning`` import."""

Reports = list[dict[str, Any]]
Train = Callable[..., Reports]
RunScript = Callable[..., tuple[Reports, int]]


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


class ForkServer:
    """A process of PyTorch's environment that runs scripts in forks of itself; see ``fork_server.py``."""

    def __init__(self, python: Path, home: Path) -> None:
        """Begin with the scripts' modules on the path, and with caches of its own."""
        self._fifo = home / "stdout"
        os.mkfifo(self._fifo)
        variables = {
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(SCRIPTS / "shared")]),
            "HF_HOME": str(home / "huggingface"),
            "HF_HUB_OFFLINE": "1",
        }
        self._process = subprocess.Popen(
            [python, Path(__file__).parent / "fork_server.py"],
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def run(
        self,
        script: Path,
        arguments: Sequence[object],
        stderr: Path,
        variables: Mapping[str, str] | None = None,
        until: int | None = None,
    ) -> tuple[Reports, int]:
        """Reports of a script's own metrics, and its return code; it is killed at the report ``until``."""
        stderr.touch()
        task = {
            "modules": ["torch", *(FINE_TUNING if "finetuning" in script.read_text() else ())],
            "script": str(script),
            "arguments": [str(argument) for argument in arguments],
            "variables": variables or {},
            "stdout": str(self._fifo),
            "stderr": str(stderr),
        }
        pid = self._ask(task)
        watchdog = threading.Timer(PATIENCE, os.kill, (pid, signal.SIGKILL))
        watchdog.start()
        reports: Reports = []
        with self._fifo.open() as lines:
            for line in lines:
                if line.startswith(MARK):
                    metrics = json.loads(line.removeprefix(MARK))
                    reports.append({key: metrics[key] for key in metrics if not key.startswith("st_")})
                    if len(reports) == until:
                        os.kill(pid, signal.SIGKILL)
        watchdog.cancel()
        return reports, self._ask({})

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _ask(self, task: Mapping[str, object]) -> int:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(task) + "\n")
        return int(self._process.stdout.readline())


@pytest.fixture(scope="session")
def run_script(torch_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunScript]:
    """Run any script in a fork of one process that has imported PyTorch."""
    with closing(ForkServer(torch_python, tmp_path_factory.mktemp("fork_server"))) as server:
        yield server.run


@pytest.fixture
def train(run_script: RunScript, tmp_path: Path) -> Train:
    """Run a script to its end, or kill it at the report ``until`` as the runner does; return its own metrics."""

    def run(name: str, arguments: Sequence[object], folder: Path, until: int | None = None) -> Reports:
        limits = {"TUNEWRIGHT_UNTIL": str(until), "TUNEWRIGHT_RESOURCE_ATTR": "epoch"} if until else {}
        places = {"TUNEWRIGHT_CHECKPOINT_DIR": str(folder), "XDG_CACHE_HOME": str(tmp_path / "cache")}
        errors = tmp_path / "stderr"
        reports, code = run_script(SCRIPTS / name / f"{name}.py", arguments, errors, limits | places, until)
        assert code == (0 if until is None else -signal.SIGKILL), errors.read_text()[-3000:]
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
