"""The worker of a SageMaker training job: ``runner.pyz worker /opt/ml``; tasks, leases and messages are objects in S3."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, final

from . import s3_keys
from .channel import EXITED, Channel, End, Report
from .contract import SOURCE, WORKER_VARIABLE
from .job_secrets import read_secrets, with_secrets
from .run_order import RunOrder
from .s3_channel import S3Channel, S3Clock
from .s3_job import S3Client, load_boto3, place_of
from .s3_tasks import S3Lease, TaskQueue
from .supervisor import supervise
from .training_job import cache_folder, code_folder, current_host, is_passing, read_job, run_program
from .worker import DRAIN, Seat, Worker, WorkerChannel, WorkerFacts, Workplace

_CHECKPOINTS = "checkpoints"
_LOG = "log"
_LOG_BYTES = 1 << 20
"""Of a run's output, so much of its end is stored."""
_LOG_SECONDS = 10.0
_LINE_BYTES = 1 << 16
"""Of a line that has no end yet, so much is waited for."""


def main(arguments: list[str]) -> int:
    """Take runs until the worker is drained, abandoned or at its deadline.

    Parameters
    ----------
    arguments
        The folder that is ``/opt/ml``.

    Returns
    -------
    int
        Always 0: failures of runs are reported to their backend.
    """
    return run_program("The worker", _run, arguments)


def _run(base: Path) -> int:
    facts = WorkerFacts(**json.loads(os.environ[WORKER_VARIABLE]))
    return Worker(facts, S3Workplace(base, facts)).run()


@final
class S3Workplace(Workplace[S3Lease]):
    """Tasks in S3, and an instance of a training job.

    Parameters
    ----------
    base
        The instance's ``/opt/ml``.
    facts
        Of the worker.
    """

    def __init__(self, base: Path, facts: WorkerFacts) -> None:
        self._base = base
        self._facts = facts
        self._code = code_folder(base)
        self._cache = cache_folder(base)
        self._job = read_job(base)
        # runs outlive the tuner; the worker watches it
        self._s3 = replace(place_of(self._job), abandon_seconds=0.0)
        self._secrets = read_secrets(self._job, lambda: load_boto3(self._cache))
        self._client = S3Client(self._cache)
        job_name = os.environ.get("TRAINING_JOB_NAME", "")
        self.name = f"{job_name}/{current_host(base)}"
        self.poll_seconds = self._s3.poll_seconds
        self._queue = TaskQueue(self._client, self._s3.bucket, self._s3.prefix, job_name)
        self._clock = S3Clock(self._client, self._s3.bucket, self._s3.prefix)

    def open(self) -> None:
        """Measure how far S3's clock is ahead: reports are in order of time, and clocks of machines differ."""
        self._clock.ahead()

    def is_draining(self) -> bool:
        """By the control object of the job."""
        return self._queue.get(s3_keys.worker_control(self._facts.number)) == DRAIN.encode("ascii")

    def session(self) -> bytes | None:
        """Content of the session object."""
        return self._queue.get(s3_keys.SESSION)

    def waiting(self) -> list[str]:
        """At most a thousand, by one request."""
        return self._queue.waiting()

    def claim(self, run: str) -> S3Lease | None:
        """By a conditional write."""
        return self._queue.claim(run)

    def renew(self, lease: S3Lease) -> bool:
        """By a conditional write."""
        return self._queue.renew(lease)

    def give_back(self, lease: S3Lease) -> None:
        """Delete the lease."""
        self._queue.give_back(lease)

    def folder(self, run: str) -> Path:
        """A folder of the instance."""
        return self._base / "runs" / run

    def clear(self, run: str) -> None:
        """Remove the folder."""
        shutil.rmtree(self.folder(run), ignore_errors=True)

    def is_passing(self, error: Exception) -> bool:
        """Whether S3 did not answer."""
        return is_passing(error)

    def run(self, lease: S3Lease, seat: Seat) -> None:
        """Run a task's script, whose output is stored too.

        The task has ``config``, and ``facts``: further fields of the order, and ``source``: trial and resource of the checkpoint to
        begin with, or None.
        """
        folder = self.folder(lease.run)
        folder.mkdir(parents=True, exist_ok=True)
        if (self._base / "input").is_dir() and not (folder / "input").exists():
            (folder / "input").symlink_to(self._base / "input")
        facts = dict(lease.task["facts"])
        source = facts.pop("source")
        order = with_secrets(self._order(lease.task["config"], facts, seat, folder), self._secrets)
        client = S3Client(self._cache)
        inner = S3Channel(client, self._s3, order, tuple(source) if source else None, clock=self._clock)
        key = self._s3.prefix + s3_keys.LOGS + order.name
        logged = LogKeeper(inner, client, self._s3.bucket, key, folder / _LOG)
        channel = WorkerChannel(logged, folder, seat)
        with (folder / _LOG).open("ab") as log:
            sinks: Any = (
                RunSink(lease.run, log, sys.stdout.buffer),
                RunSink(lease.run, log, sys.stderr.buffer),
            )
            try:
                supervise(order, channel, sinks)
            except Exception as error:
                if is_passing(error):
                    raise
                text = f"The runner failed: {type(error).__name__}: {error}"
                channel.send_end(End(EXITED, 1, text, order.cost_before, time.time(), None))
            finally:
                for sink in sinks:
                    sink.close()

    def _order(self, config: dict[str, Any], facts: dict[str, Any], seat: Seat, folder: Path) -> RunOrder:
        source = str(self._code / SOURCE)
        return RunOrder(
            config=config,
            checkpoint_dir=str(folder / _CHECKPOINTS),
            config_file=str(folder / "config.json"),
            import_paths=[source],
            cwd=source,
            base_dir=str(folder),
            cache_dir=str(self._cache),
            environment={} if seat.gpus is None else {"CUDA_VISIBLE_DEVICES": seat.gpus},
            max_seconds=self._facts.max_run_seconds,
            **self._job["order"],
            **facts,
        )


@final
class LogKeeper(Channel):
    """A channel that also stores the end of a script's output, since the job's own log has that of all runs.

    Parameters
    ----------
    channel
        A job's.
    client
        A boto3 client of S3.
    bucket, key
        Where the output goes.
    file
        The output.
    """

    def __init__(self, channel: S3Channel, client: Any, bucket: str, key: str, file: Path) -> None:
        self.poll_seconds = channel.poll_seconds
        self._channel = channel
        self._client = client
        self._bucket = bucket
        self._key = key
        self._file = file
        self._logged = 0
        self._next_log = time.monotonic() + _LOG_SECONDS

    def load_checkpoint(self) -> None:
        """Download the checkpoint that the run begins with."""
        self._channel.load_checkpoint()

    def send_report(self, report: Report) -> None:
        """Write the report's object."""
        self._channel.send_report(report)

    def wanted(self) -> str:
        """The backend's request; the output is stored if it is time."""
        if time.monotonic() >= self._next_log:
            self._store_log()
        return self._channel.wanted()

    def note_checkpoint(self, resource: int) -> None:
        """Store the checkpoint if it is time."""
        self._channel.note_checkpoint(resource)

    def save_checkpoint(self, resource: int) -> bool:
        """Store the checkpoint."""
        return self._channel.save_checkpoint(resource)

    def send_end(self, end: End) -> None:
        """Store the output, then write the end's object."""
        self._store_log()
        self._channel.send_end(end)

    def _store_log(self) -> None:
        """Write the end of the output, if there is something new."""
        self._next_log = time.monotonic() + _LOG_SECONDS
        size = self._file.stat().st_size
        if size > self._logged:
            with self._file.open("rb") as log:
                log.seek(max(0, size - _LOG_BYTES))
                body = log.read()
            self._client.put_object(Bucket=self._bucket, Key=self._key, Body=body)
            self._logged = size


@final
class RunSink:
    """Takes a script's output: into the run's log as it comes, and into the job's line by line, with the run's name.

    Parameters
    ----------
    run
        ``{trial}-{attempt}-{retry}``.
    log, stream
        Binary files: the run's log and the job's.
    """

    def __init__(self, run: str, log: IO[bytes], stream: IO[bytes]) -> None:
        self._head = f"[{run}] ".encode("ascii")
        self._log = log
        self._stream = stream
        self._rest = b""

    def write(self, data: bytes) -> None:
        """Copy output; a line without an end is cut, so that a progress bar does not fill the memory."""
        self._log.write(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LINE_BYTES:
            lines, self._rest = [*lines, self._rest], b""
        self._print(lines)

    def flush(self) -> None:
        """Flush both."""
        self._log.flush()
        self._stream.flush()

    def close(self) -> None:
        """The script is gone: its last line counts as well."""
        rest, self._rest = self._rest, b""
        with contextlib.suppress(OSError):
            self._print([rest] if rest else [])
            self._stream.flush()

    def _print(self, lines: list[bytes]) -> None:
        if lines:
            self._stream.write(b"".join(self._head + line + b"\n" for line in lines))
