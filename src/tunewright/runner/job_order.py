"""From what a training job was given to the order of its run."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from .job import cache_folder, code_folder, failure_file
from .order import RunOrder

CONFIG_PARAMETER = "tunewright_config"
"""Hyperparameter of the whole configuration: JSON, or the S3 address of it."""
RUN_VARIABLE = "TUNEWRIGHT_RUN"
"""Environment variable of the run: JSON."""
JOB_FILE = "job.json"
"""File of the code channel that holds what is the same for all runs of an experiment."""
SOURCE = "source"
"""Folder of the code channel that holds the user's script."""


def read_job(base: Path) -> dict[str, Any]:
    """What :data:`JOB_FILE` says.

    Parameters
    ----------
    base
        The folder that is ``/opt/ml``.
    """
    job: dict[str, Any] = json.loads((code_folder(base) / JOB_FILE).read_text(encoding="utf-8"))
    return job


def run_facts() -> dict[str, Any]:
    """What the job was told of its run, beside the configuration."""
    facts: dict[str, Any] = json.loads(os.environ[RUN_VARIABLE])
    return facts


def config_text(base: Path) -> str:
    """The hyperparameter of the whole configuration: JSON, or an S3 address.

    Parameters
    ----------
    base
        The folder that is ``/opt/ml``.
    """
    file = base / "input" / "config" / "hyperparameters.json"
    text: str = json.loads(file.read_text(encoding="utf-8"))[CONFIG_PARAMETER]
    return text


def job_order(base: Path, job: dict[str, Any], config: dict[str, Any], facts: dict[str, Any]) -> RunOrder:
    """The order of a job's run.

    Parameters
    ----------
    base
        The folder that is ``/opt/ml``.
    job
        What :data:`JOB_FILE` says.
    config
        Of the run.
    facts
        Further fields of the order.
    """
    source = str(code_folder(base) / SOURCE)
    return RunOrder(
        config=config,
        checkpoint_dir=str(base / "checkpoints"),
        config_file=str(base / "config.json"),
        import_paths=[source],
        cwd=source,
        base_dir=str(base),
        cache_dir=str(cache_folder(base)),
        failure_file=str(failure_file(base)),
        **job["order"],
        **facts,
    )


def is_main_host(base: Path) -> bool:
    """Whether this instance reports for the job: the first of its hosts."""
    file = base / "input" / "config" / "resourceconfig.json"
    if not file.is_file():
        return True
    resources = json.loads(file.read_text(encoding="utf-8"))
    return bool(resources["current_host"] == sorted(resources["hosts"])[0])
