"""The runner of a run inside a training job without a network: ``runner.pyz logs /opt/ml``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from .job import run_program
from .job_order import config_text, is_main_host, job_order, read_job, run_facts
from .log_channel import LogChannel
from .muted_channel import muted_unless
from .supervisor import supervise
from .synced_checkpoints import SYNCED_FOLDER

CHECKPOINT_CHANNEL = "tunewright-checkpoint"
"""Input channel of the checkpoint that the run begins with."""
CONFIG_CHANNEL = "tunewright-config"
"""Input channel of a configuration that is too long for a hyperparameter."""


def main(arguments: list[str]) -> int:
    """Run the job's script.

    Parameters
    ----------
    arguments
        The folder that is ``/opt/ml``.

    Returns
    -------
    int
        The script's exit code; 0 where the runner ended it.
    """
    return run_program("The runner", _run, arguments)


def _run(base: Path) -> int:
    job = read_job(base)
    facts = run_facts()
    source = base / "input" / "data" / CHECKPOINT_CHANNEL if facts.pop("source") else None
    order = job_order(base, job, _config(base), facts)
    sinks = (sys.stdout.buffer, sys.stderr.buffer)
    heard = LogChannel(
        sinks[0], order, source, base / SYNCED_FOLDER, checkpoint_seconds=job["checkpoint_seconds"]
    )
    return supervise(order, muted_unless(is_main_host(base), heard), sinks).exit


def _config(base: Path) -> dict[str, Any]:
    text = config_text(base)
    if text.startswith("s3://"):
        name = text.rpartition("/")[2]
        text = (base / "input" / "data" / CONFIG_CHANNEL / name).read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)
    return config
