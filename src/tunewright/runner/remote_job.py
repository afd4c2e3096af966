"""The runner of a tuning job: ``runner.pyz remote /opt/ml`` runs an ``hpo_main.py`` with its payload."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import zipfile
from pathlib import Path
from typing import IO, Any

from .process import ChildProcess, Script, adopt_orphans
from .requirements import install_missing
from .training_job import cache_folder, code_folder, run_program, write_failure

REMOTE_FILE = "remote.json"
"""File of the code channel: ``wheel`` and ``entry``."""
REQUIREMENTS = "requirements.txt"
WHEEL = "wheel"
"""Folder of the code channel that holds the wheel of the package."""
SOURCE = "source"
"""Folder of the code channel that holds the experiment folder."""
TABLES = "tables"
"""Folder of the code channel that holds recorded tables."""
LOG_VARIABLE = "TUNEWRIGHT_REMOTE_LOG"
"""Environment variable of the experiments: the file that their output is copied to."""
FLAGS_PARAMETER = "tunewright_flags"
"""Hyperparameter of the command line: a JSON list."""

_POLL_SECONDS = 0.2
_INSIDE = "tunewright.cli.tuning_job"


def main(arguments: list[str]) -> int:
    """Run the job's experiments.

    Parameters
    ----------
    arguments
        The folder that is ``/opt/ml``.

    Returns
    -------
    int
        The exit code of ``hpo_main.py``.
    """
    return run_program("The runner", _run, arguments)


def _run(base: Path) -> int:
    code = code_folder(base)
    job = json.loads((code / REMOTE_FILE).read_text(encoding="utf-8"))
    entry = code / job["entry"]
    environment = _environment(base, code, code / WHEEL / job["wheel"])
    command = [sys.executable, "-m", _INSIDE, str(entry), *_flags(base)]
    adopt_orphans()
    with Path(environment[LOG_VARIABLE]).open("ab") as log:
        sinks: Any = (_Tee(sys.stdout.buffer, log), _Tee(sys.stderr.buffer, log))
        process = ChildProcess(command, environment, str(entry.parent))
        script = Script(process, sinks, on_report=lambda _: False)
        exit_code = _follow(script)
    if exit_code:
        lines = script.last_lines()
        write_failure(base, f"hpo_main ended with exit code {exit_code}. Its last output:\n{lines}")
    return 128 - exit_code if exit_code < 0 else exit_code


def _environment(base: Path, code: Path, wheel: Path) -> dict[str, str]:
    """Unpack and install the payload; the environment in which the experiments find it."""
    packages = install_missing(code / REQUIREMENTS, cache_folder(base), sys.stderr.buffer)
    site = base / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    home = base / "tunewright"
    home.mkdir(exist_ok=True)
    if (code / TABLES).is_dir() and not (home / "tables").exists():
        (home / "tables").symlink_to(code / TABLES)
    paths = [str(site), packages, os.environ.get("PYTHONPATH", "")]
    return {
        "TUNEWRIGHT_HOME": str(home),
        LOG_VARIABLE: str(base / "tuner.log"),
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUNBUFFERED": "1",
    }


class _Tee:
    """Two files as one: the output and its copy."""

    def __init__(self, first: IO[bytes], second: IO[bytes]) -> None:
        self._files = (first, second)

    def write(self, data: bytes) -> None:
        """Write to both."""
        for file in self._files:
            file.write(data)

    def flush(self) -> None:
        """Flush both."""
        for file in self._files:
            file.flush()


def _flags(base: Path) -> list[str]:
    file = base / "input" / "config" / "hyperparameters.json"
    flags: list[str] = json.loads(json.loads(file.read_text(encoding="utf-8"))[FLAGS_PARAMETER])
    return flags


def _follow(script: Script) -> int:
    """Pass SIGTERM and SIGINT on and wait for the end; processes that the experiments leave behind are ended."""

    def pass_on(number: int, _frame: object) -> None:
        script.signal_group(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    while (code := script.poll()) is None:
        time.sleep(_POLL_SECONDS)
    script.end_group(reap_all=True)
    return code
