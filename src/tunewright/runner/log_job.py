"""The channel of a runner that has no network: lines of the job's log, and folders that the service copies."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import IO, Any, final

from . import log_lines
from .channel import GO_ON, Channel, End, Report, muted_unless
from .checkpoints import SYNCED_FOLDER, PeriodicCheckpoints, SyncedCheckpoints, load_from
from .contract import CHECKPOINT_CHANNEL, CONFIG_CHANNEL
from .job_secrets import read_secrets, with_secrets
from .run_order import RunOrder
from .s3_job import load_boto3
from .supervisor import supervise
from .training_job import (
    cache_folder,
    config_text,
    is_main_host,
    job_order,
    read_job,
    run_facts,
    run_program,
)


@final
class LogChannel(Channel):
    """Reports and ends as lines of the log, checkpoints in a folder that the service copies.

    Nothing can be wanted of the runner this way: it is stopped by SIGTERM.

    Parameters
    ----------
    sink
        Standard output, which the service writes into the log.
    order
        The run.
    source
        The input channel of the checkpoint that the run begins with; None: it begins from scratch.
    synced
        The folder that the service copies.
    checkpoint_seconds
        Between two checkpoints on the way.
    """

    poll_seconds = 60.0

    def __init__(
        self,
        sink: IO[bytes],
        order: RunOrder,
        source: Path | None,
        synced: Path,
        *,
        checkpoint_seconds: float,
    ) -> None:
        self._sink = sink
        self._order = order
        self._source = source
        self._checkpoints = SyncedCheckpoints(synced)
        self._folder = Path(order.checkpoint_dir)
        self._periodic = PeriodicCheckpoints(self._folder, checkpoint_seconds)
        self._saved: int | None = None
        self._seq = 0

    def load_checkpoint(self) -> None:
        """Copy the checkpoint that the run begins with."""
        if self._source is not None:
            load_from(self._source, self._folder)

    def send_report(self, report: Report) -> None:
        """Print the report."""
        self._seq = report.seq
        self._print(report.seq, report)

    def wanted(self) -> str:
        """Nothing, ever."""
        return GO_ON

    def note_checkpoint(self, resource: int) -> None:
        """Keep a copy of the folder if the last one is old enough, so that a lost machine costs little."""
        self._periodic.note(resource, self._keep)

    def save_checkpoint(self, resource: int) -> bool:
        """Keep the folder for good."""
        return self._keep(self._folder, resource)

    def send_end(self, end: End) -> None:
        """Print the end."""
        self._print(self._seq + 1, end)

    def _keep(self, content: Path, resource: int) -> bool:
        is_kept = self._checkpoints.keep(content, resource)
        if is_kept:
            if self._saved is not None and self._saved != resource:
                self._checkpoints.forget(self._saved)
            self._saved = resource
        return is_kept

    def _print(self, seq: int, message: Report | End) -> None:
        for line in log_lines.encode(self._order.name, seq, message):
            self._sink.write(line)
            self._sink.flush()


def main(arguments: list[str]) -> int:
    """Run the job's script.

    Parameters
    ----------
    arguments
        The folder that is ``/opt/ml``.

    Returns
    -------
    int
        The script's exit code; 0 if the runner ended it.
    """
    return run_program("The runner", _run, arguments)


def _run(base: Path) -> int:
    job = read_job(base)
    facts = run_facts()
    source = base / "input" / "data" / CHECKPOINT_CHANNEL if facts.pop("source") else None
    order = job_order(base, job, _config(base), facts)
    order = with_secrets(order, read_secrets(job, lambda: load_boto3(cache_folder(base))))
    sinks = (sys.stdout.buffer, sys.stderr.buffer)
    channel = LogChannel(
        sinks[0], order, source, base / SYNCED_FOLDER, checkpoint_seconds=job["checkpoint_seconds"]
    )
    return supervise(order, muted_unless(is_main_host(base), channel), sinks).exit


def _config(base: Path) -> dict[str, Any]:
    text = config_text(base)
    if text.startswith("s3://"):
        name = text.rpartition("/")[2]
        text = (base / "input" / "data" / CONFIG_CHANNEL / name).read_text(encoding="utf-8")
    config: dict[str, Any] = json.loads(text)
    return config
