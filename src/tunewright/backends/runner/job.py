"""What the programs of all jobs share: where things lie on their instance, and how they say why they failed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

_CACHE_VARIABLE = "SAGEMAKER_MANAGED_WARMPOOL_CACHE_DIRECTORY"
_LONGEST_FAILURE = 1024


def code_folder(base: Path) -> Path:
    """The code channel below ``/opt/ml``."""
    return base / "input" / "data" / "code"


def cache_folder(base: Path) -> Path:
    """Where packages are kept: the cache that outlives the job, where there is one."""
    return Path(os.environ.get(_CACHE_VARIABLE) or base / "cache")


def failure_file(base: Path) -> Path:
    """What the service shows as the reason where a job fails."""
    return base / "output" / "failure"


def write_failure(base: Path, text: str) -> None:
    """Say why the job fails; of a long text the end counts."""
    file = failure_file(base)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text[-_LONGEST_FAILURE:], encoding="utf-8")


def run_program(who: str, program: Callable[[Path], int], arguments: list[str]) -> int:
    """Run the program of a job; an error of its own becomes the reason why the job fails, and is raised.

    Parameters
    ----------
    who
        Begins the sentence.
    program
        From the folder that is ``/opt/ml`` to the exit code.
    arguments
        That folder.
    """
    base = Path(arguments[0])
    try:
        return program(base)
    except Exception as error:
        write_failure(base, f"{who} failed: {type(error).__name__}: {error}"[:_LONGEST_FAILURE])
        raise
