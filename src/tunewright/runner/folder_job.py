"""The runner of a job that shares a folder with its tuner: ``runner.pyz folder RUN ABANDON CHECKPOINT SILENT``.

Files below the experiment's folder; ``{run}`` stands for ``{trial}/runs/{attempt}-{retry}``::

    session                            changes while there is a tuner
    {trial}/checkpoints/{resource}/    complete checkpoints, each with a list of its files
    {run}/order.json                   the run
    {run}/claim                        created by the runner that runs it
    {run}/messages                     a JSON line per report, then one of the end
    {run}/control                      the tuner's request; empty: none
    {run}/heartbeat                    changes while the runner lives
    {run}/stdout, {run}/stderr         output of the script
    {run}/checkpoint/                  the script's folder

A worker, see `folder_worker`, has a folder with ``claim``, ``control`` and ``heartbeat`` as well.

The tuner creates ``messages``, ``control`` and ``heartbeat``, and each side opens them anew at each look: then a network file system
shows a change at once, though it shows new names only after a while. Nothing depends on locks, which may end at the node.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import final

from .channel import EXITED, GO_ON, RELEASE, TERMINATED, Channel, End, Report, from_fields, to_fields
from .checkpoints import PeriodicCheckpoints, SyncedCheckpoints, load_from
from .run_order import RunOrder
from .s3_channel import SessionWatch
from .supervisor import supervise

SESSION = "session"
CHECKPOINTS = "checkpoints"
RUNS = "runs"
ORDER = "order.json"
CLAIM = "claim"
MESSAGES = "messages"
CONTROL = "control"
HEARTBEAT = "heartbeat"
WORKING = "checkpoint"
_BEAT_SECONDS = 5.0
_TERMINATED_EXIT = 128 + signal.SIGTERM


def encode(seq: int, message: Report | End) -> bytes:
    """A line of ``messages``."""
    return json.dumps([seq, isinstance(message, End), to_fields(message)]).encode("ascii") + b"\n"


def decode(line: bytes) -> tuple[int, Report | End]:
    """The number and the content of a line of ``messages``.

    Raises
    ------
    ValueError
        No runner wrote it.
    """
    try:
        seq, is_end, found = json.loads(line)
        return int(seq), from_fields(found, is_end=bool(is_end))
    except TypeError as error:
        raise ValueError(f"Not a runner's message: {error}") from error


@final
class FolderChannel(Channel):
    """Files in a run's folder.

    Parameters
    ----------
    run
        The folder of this retry.
    order
        Its order.
    abandon_seconds
        Seconds without a tuner after which the script is ended and its checkpoint kept; 0: it goes on.
    checkpoint_seconds
        Seconds between two copies of the script's folder, for a retry after the loss of the node.
    heartbeat
        Says whether this runner was replaced: then it changes nothing any more.
    """

    poll_seconds = 1.0

    def __init__(
        self,
        run: Path,
        order: RunOrder,
        *,
        abandon_seconds: float,
        checkpoint_seconds: float,
        heartbeat: Heartbeat,
    ) -> None:
        trial = run.parent.parent
        self._heartbeat = heartbeat
        self._run = run
        self._order = order
        self._folder = Path(order.checkpoint_dir)
        self._checkpoints = SyncedCheckpoints(trial / CHECKPOINTS)
        self._periodic = PeriodicCheckpoints(self._folder, checkpoint_seconds)
        self._watch = SessionWatch(lambda: content_of(trial.parent / SESSION), abandon_seconds)
        self._saved: int | None = None
        self._was_ahead = False
        self._seq = 0

    def load_checkpoint(self) -> None:
        """Copy the checkpoint that the run begins with."""
        if self._order.checkpoint_from:
            load_from(Path(self._order.checkpoint_from), self._folder)

    def send_report(self, report: Report) -> None:
        """Append a line."""
        self._seq = report.seq
        self._append(report.seq, report)

    def wanted(self) -> str:
        """The content of ``control``; RELEASE if the tuner has gone."""
        request = (content_of(self._run / CONTROL) or b"").decode("ascii")
        return request or (RELEASE if self._watch.is_over() else GO_ON)

    def note_checkpoint(self, resource: int) -> None:
        """Keep a copy of the folder if the last one is old enough, so that a lost node costs little."""
        self._periodic.note(resource, self._keep)

    def save_checkpoint(self, resource: int) -> bool:
        """Move the folder to the checkpoints."""
        self._was_ahead = self._is_ahead()
        return self._keep(self._folder, resource)

    def send_end(self, end: End) -> None:
        """Append the last line. A script that the cluster ended is retried: it signals all processes of a job at once.

        Such a script may have ended between its checkpoint and the report of it, and a run that went on from there would never
        report it: the checkpoint is dropped.
        """
        if end.cause == EXITED and end.exit == _TERMINATED_EXIT:
            end = replace(end, cause=TERMINATED, exit=0, error="")
            if self._was_ahead and end.checkpoint is not None:
                self._checkpoints.forget(end.checkpoint)
                end = replace(end, checkpoint=None)
        self._append(self._seq + 1, end)

    def _is_ahead(self) -> bool:
        """Whether a file of the checkpoint is newer than the last report, by the clock of the file system."""
        reported = (self._run / MESSAGES).stat().st_mtime_ns
        files = (path for path in self._folder.rglob("*") if path.is_file())
        return any(path.stat().st_mtime_ns > reported for path in files)

    def _append(self, seq: int, message: Report | End) -> None:
        self._heartbeat.check()
        with (self._run / MESSAGES).open("ab", buffering=0) as file:
            file.write(encode(seq, message))

    def _keep(self, content: Path, resource: int) -> bool:
        """Keep a folder, and remove the copy before, which no message names."""
        self._heartbeat.check()
        is_kept = self._checkpoints.keep(content, resource)
        if is_kept:
            if self._saved is not None and self._saved != resource:
                self._checkpoints.forget(self._saved)
            self._saved = resource
        return is_kept


def main(arguments: list[str]) -> int:
    """Run the order in a folder, unless another runner has begun it.

    Parameters
    ----------
    arguments
        The run's folder; seconds without a tuner after which the script is ended; seconds between two checkpoints on the way;
        seconds without a sign of life after which the tuner replaces this runner.

    Returns
    -------
    int
        The script's exit code; 0 if the runner ended it.
    """
    run = Path(arguments[0])
    abandon, checkpoint, silent = (float(argument) for argument in arguments[1:])
    return run_once(run, abandon_seconds=abandon, checkpoint_seconds=checkpoint, silent_seconds=silent)


def run_once(
    run: Path,
    *,
    abandon_seconds: float,
    checkpoint_seconds: float,
    silent_seconds: float,
    environment: Mapping[str, str] = MappingProxyType({}),
    wrap: Callable[[Channel], Channel] = lambda channel: channel,
) -> int:
    """Run the order in a folder, unless another runner has begun it.

    Parameters
    ----------
    run
        The run's folder.
    abandon_seconds, checkpoint_seconds, silent_seconds
        As the arguments of :func:`main`.
    environment
        Added to that of the order.
    wrap
        Makes the channel of the script from that of the folder.

    Returns
    -------
    int
        The script's exit code; 0 if the runner ended it.
    """
    if not claim(run):
        sys.stderr.write(f"[tunewright] {run} was begun before: the tuner decides how it goes on\n")
        return 0
    order = RunOrder.from_json((run / ORDER).read_text(encoding="utf-8"))
    order = replace(order, environment={**order.environment, **environment})
    with (
        Heartbeat(run / HEARTBEAT, silent_seconds) as heartbeat,
        (run / "stdout").open("ab") as out,
        (run / "stderr").open("ab") as err,
    ):
        channel = FolderChannel(
            run,
            order,
            abandon_seconds=abandon_seconds,
            checkpoint_seconds=checkpoint_seconds,
            heartbeat=heartbeat,
        )
        return supervise(order, wrap(channel), (out, err)).exit


def claim(folder: Path) -> bool:
    """Begin a run or a worker; False if its folder was claimed before."""
    try:
        os.close(os.open(folder / CLAIM, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    return True


@final
class Heartbeat:
    """Changes a file every few seconds, also while a checkpoint is stored.

    Parameters
    ----------
    file
        Its content is a number.
    silent_seconds
        The tuner replaces a runner that was silent for so long.
    """

    def __init__(self, file: Path, silent_seconds: float) -> None:
        self._file = file
        self._silent_seconds = silent_seconds
        self._last = time.monotonic()
        self._is_replaced = False
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._is_over.set()
        self._thread.join()

    def check(self) -> None:
        """End a runner that was silent for too long, as on a node that froze: another one has its run.

        Raises
        ------
        RuntimeError
            It was.
        """
        if time.monotonic() - self._last > self._silent_seconds:
            self._is_replaced = True
        if self._is_replaced:
            raise RuntimeError(
                f"This runner was silent for {self._silent_seconds:g} s: another one has its run"
            )

    def _beat(self) -> None:
        number = 0
        while True:
            number += 1
            with contextlib.suppress(RuntimeError):
                self.check()
            with contextlib.suppress(OSError):  # the next report shows it
                self._file.write_text(str(number), encoding="ascii")
                self._last = time.monotonic()
            if self._is_over.wait(min(_BEAT_SECONDS, self._silent_seconds / 4)):
                return


def content_of(file: Path) -> bytes | None:
    """Content of a file; None if there is none."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
