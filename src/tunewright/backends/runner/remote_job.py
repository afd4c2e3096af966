"""The runner of a tuning job: ``runner.pyz remote /opt/ml`` runs an ``hpo_main.py`` with what travelled along."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import zipfile
from pathlib import Path

from .process import Script, adopt_orphans
from .requirements import install_missing

REMOTE_FILE = "remote.json"
"""File of the code channel: ``wheel`` and ``entry``."""
REQUIREMENTS = "requirements.txt"
WHEEL = "wheel"
"""Folder of the code channel that holds the wheel of the package."""
SOURCE = "source"
"""Folder of the code channel that holds the experiment folder."""
TABLES = "tables"
"""Folder of the code channel that holds recorded tables."""
FLAGS_PARAMETER = "tunewright_flags"
"""Hyperparameter of the command line: a JSON list."""

_CACHE_VARIABLE = "SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"
_POLL_SECONDS = 0.2
_INSIDE = "tunewright.launchers.inside"


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
    base = Path(arguments[0])
    failure = base / "output" / "failure"
    failure.parent.mkdir(parents=True, exist_ok=True)
    try:
        return _run(base, failure)
    except Exception as error:
        failure.write_text(f"The runner failed: {type(error).__name__}: {error}"[:1024], encoding="utf-8")
        raise


def _run(base: Path, failure: Path) -> int:
    code = base / "input" / "data" / "code"
    job = json.loads((code / REMOTE_FILE).read_text(encoding="utf-8"))
    cache = Path(os.environ.get(_CACHE_VARIABLE) or base / "cache")
    packages = install_missing(code / REQUIREMENTS, cache, sys.stderr.buffer)
    site = base / "site"
    with zipfile.ZipFile(code / WHEEL / job["wheel"]) as wheel:
        wheel.extractall(site)
    home = base / "tunewright"
    home.mkdir(exist_ok=True)
    if (code / TABLES).is_dir():
        (home / "tables").symlink_to(code / TABLES)
    paths = [str(site), packages, os.environ.get("PYTHONPATH", "")]
    environment = {
        "TUNEWRIGHT_HOME": str(home),
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONUNBUFFERED": "1",
    }
    command = [sys.executable, "-m", _INSIDE, str(code / job["entry"]), *_flags(base)]
    sinks = (sys.stdout.buffer, sys.stderr.buffer)
    adopt_orphans()
    script = Script(command, environment, str((code / job["entry"]).parent), sinks, on_report=lambda _: None)
    exit_code = _follow(script)
    if exit_code:
        text = f"hpo_main ended with exit code {exit_code}. Its last output:\n{script.last_lines()}"
        failure.write_text(text[-1024:], encoding="utf-8")
    return 128 - exit_code if exit_code < 0 else exit_code


def _flags(base: Path) -> list[str]:
    file = base / "input" / "config" / "hyperparameters.json"
    flags: list[str] = json.loads(json.loads(file.read_text(encoding="utf-8"))[FLAGS_PARAMETER])
    return flags


def _follow(script: Script) -> int:
    """Pass SIGTERM and SIGINT on and wait for the end; what the experiments leave behind is ended."""

    def pass_on(number: int, _frame: object) -> None:
        script.signal_group(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    while (code := script.poll()) is None:
        time.sleep(_POLL_SECONDS)
    script.end_group(reap_all=True)
    return code
