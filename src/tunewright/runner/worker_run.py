"""One run on a worker, in a process of its own, so that its death does not end the worker."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, final

from . import s3_keys
from .channel import EXITED, GO_ON, RELEASE, Channel, End, Report
from .contract import SOURCE
from .job_secrets import with_secrets
from .run_order import RunOrder
from .s3_channel import S3Channel, S3Place
from .s3_job import S3Client
from .supervisor import supervise
from .training_job import is_passing

REVOKED = "revoked"
"""Content of :data:`REQUEST_FILE` after the run was taken away from the worker."""
REQUEST_FILE = "request"
"""File of a run's folder with the request of the worker, not of the backend."""
_CHECKPOINTS = "checkpoints"
_LOG = "log"
_LOG_BYTES = 1 << 20
"""Of a run's output, so much of its end is stored."""
_LOG_SECONDS = 10.0
_LINE_BYTES = 1 << 16
"""Of a line that has no end yet, so much is waited for."""
_VICTIM = b"500"
"""Added to the kernel's badness of a run's processes: if memory runs out, they are killed before their worker."""


@dataclass(frozen=True)
class RunPlace:
    """A run's place on its worker."""

    base: Path
    """The instance's ``/opt/ml``."""
    code: Path
    cache: Path
    s3: S3Place
    job: dict[str, Any]
    """The job's file."""
    secrets: dict[str, str]
    """Variables of the scripts whose values must not be in messages."""
    gpus: str | None
    """CUDA_VISIBLE_DEVICES; None: as it is."""
    max_seconds: float
    """A script that runs longer is ended; 0: no limit."""
    skew: float
    """Seconds that the service's clock is ahead of this instance's."""
    worker: str = ""
    """Name of the worker: job, instance, and slot if the instance has several."""
    is_warm: bool = False
    """Whether the worker had another run before."""

    def folder(self, run: str) -> Path:
        """The run's own folder."""
        return self.base / "runs" / run


def run_task(run: str, task: dict[str, Any], place: RunPlace) -> int:
    """Run a task's script to its end.

    Parameters
    ----------
    run
        ``{trial}-{attempt}-{retry}``.
    task
        ``config``, and ``facts``: further fields of the order, and ``source``: trial and resource of the checkpoint to
        begin with, or None.
    place
        Where.

    Returns
    -------
    int
        0: an end was sent.

    Raises
    ------
    Exception
        S3 is out of reach: the run is to go on elsewhere.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_bytes(_VICTIM)
    folder = place.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    if (place.base / "input").is_dir() and not (folder / "input").exists():
        (folder / "input").symlink_to(place.base / "input")
    facts = dict(task["facts"])
    source = facts.pop("source")
    order = with_secrets(_order(task["config"], facts, place, folder), place.secrets)
    client = S3Client(place.cache)
    inner = S3Channel(client, place.s3, order, tuple(source) if source else None)
    channel = WorkerChannel(inner, client, place, order)
    with (folder / _LOG).open("ab") as log:
        sinks: Any = (RunSink(run, log, sys.stdout.buffer), RunSink(run, log, sys.stderr.buffer))
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
    return 0


def _order(config: dict[str, Any], facts: dict[str, Any], place: RunPlace, folder: Path) -> RunOrder:
    environment = {} if place.gpus is None else {"CUDA_VISIBLE_DEVICES": place.gpus}
    return RunOrder(
        config=config,
        checkpoint_dir=str(folder / _CHECKPOINTS),
        config_file=str(folder / "config.json"),
        import_paths=[str(place.code / SOURCE)],
        cwd=str(place.code / SOURCE),
        base_dir=str(folder),
        cache_dir=str(place.cache),
        environment=environment,
        max_seconds=place.max_seconds,
        **place.job["order"],
        **facts,
    )


@final
class WorkerChannel(Channel):
    """The channel of a run on a worker: that of a job, which also obeys the worker and stores the output.

    Times are given by the service's clock. Once the run was taken away, nothing is sent any more.

    Parameters
    ----------
    channel
        A job's.
    client
        A boto3 client of S3.
    place
        The run's place.
    order
        The run.
    """

    def __init__(self, channel: S3Channel, client: Any, place: RunPlace, order: RunOrder) -> None:
        self.poll_seconds = channel.poll_seconds
        self._channel = channel
        self._client = client
        self._place = place
        self._run = order.name
        self._folder = place.folder(order.name)
        self._logged = 0
        self._next_log = time.monotonic() + _LOG_SECONDS

    def load_checkpoint(self) -> None:
        """Download the checkpoint that the run begins with."""
        self._channel.load_checkpoint()

    def send_report(self, report: Report) -> None:
        """Write the report's object; the first one names the worker."""
        if report.seq == 1:
            report = replace(report, worker=self._place.worker, is_warm=self._place.is_warm)
        if not self._is_revoked():
            self._channel.send_report(self._dated(report))

    def wanted(self) -> str:
        """The worker's request, or else the backend's."""
        if self._request():
            return RELEASE
        if time.monotonic() >= self._next_log:
            self._store_log()
        return self._channel.wanted()

    def note_checkpoint(self, resource: int) -> None:
        """Store the checkpoint if it is time."""
        if not self._is_revoked():
            self._channel.note_checkpoint(resource)

    def save_checkpoint(self, resource: int) -> bool:
        """Store the checkpoint."""
        return not self._is_revoked() and self._channel.save_checkpoint(resource)

    def send_end(self, end: End) -> None:
        """Store the output, then write the end's object."""
        if not self._is_revoked():
            self._store_log()
            self._channel.send_end(self._dated(end))

    def _dated(self, message: Any) -> Any:
        return replace(message, wall=message.wall + self._place.skew)

    def _request(self) -> str:
        try:
            return (self._folder / REQUEST_FILE).read_text(encoding="ascii")
        except FileNotFoundError:
            return GO_ON

    def _is_revoked(self) -> bool:
        return self._request() == REVOKED

    def _store_log(self) -> None:
        """Write the end of the output, if there is something new."""
        self._next_log = time.monotonic() + _LOG_SECONDS
        file = self._folder / _LOG
        size = file.stat().st_size
        if size > self._logged:
            with file.open("rb") as log:
                log.seek(max(0, size - _LOG_BYTES))
                body = log.read()
            key = self._place.s3.prefix + s3_keys.LOGS + self._run
            self._client.put_object(Bucket=self._place.s3.bucket, Key=key, Body=body)
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


def start_run(run: str, task: dict[str, Any], place: RunPlace) -> int:
    """Start the process of a run; its process id.

    The worker has no threads, so that its copy has all that was imported, and starts in milliseconds.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        code = run_task(run, task, place)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.write(2, f"[{run}] The run cannot go on: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)
