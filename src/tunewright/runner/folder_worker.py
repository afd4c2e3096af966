"""The worker of a job that shares a folder with its tuner: ``runner.pyz folder_worker FOLDER``.

Files below the experiment's folder, beside those of `folder_job`; ``{worker}`` is the key of the worker's job, ``{key}`` is ``{trial}-{attempt}-{retry}``::

    tasks/{key}                        a run that waits for a worker
    leases/{key}                       a run that a worker has; its content changes with each renewal
    workers/{worker}/worker.json       times of the worker, see :class:`FolderWorkerFacts`
    workers/{worker}/claim             created by the worker
    workers/{worker}/control           ``drain`` if it is to take no more runs
    workers/{worker}/heartbeat         changes while the worker lives

A lease is created exclusively, so that of many workers one gets it. The tuner takes a lease away by renaming it, and the worker finds out
when it renews it. No times are compared, and nothing depends on locks, which may end at the node. Folders are opened anew at each look,
as a network file system shows new names then.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import final

from .channel import Channel
from .folder_job import CONTROL, HEARTBEAT, RUNS, SESSION, claim, content_of, run_once
from .s3_keys import is_run
from .worker import DRAIN, Seat, Worker, WorkerChannel, WorkerFacts, Workplace

TASKS = "tasks"
LEASES = "leases"
WORKERS = "workers"
FACTS = "worker.json"
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class FolderWorkerFacts:
    """Content of :data:`FACTS`."""

    name: str
    """Of the worker's job in its engine."""
    worker: WorkerFacts
    checkpoint_seconds: float
    """Between two checkpoints of a run on the way."""


@final
@dataclass
class FolderLease:
    """A run that this worker has."""

    run: str
    """``{trial}-{attempt}-{retry}``."""


def main(arguments: list[str]) -> int:
    """Take runs until the worker is drained, abandoned or at its deadline.

    Parameters
    ----------
    arguments
        The worker's folder.

    Returns
    -------
    int
        Always 0: failures of runs are reported to the tuner.
    """
    folder = Path(arguments[0])
    if not claim(folder):
        sys.stderr.write(f"[tunewright] {folder} was begun before\n")
        return 0
    found = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    worker = WorkerFacts(**found["worker"])
    facts = FolderWorkerFacts(found["name"], worker, found["checkpoint_seconds"])
    return Worker(worker, FolderWorkplace(folder, facts)).run()


def run_folder(root: Path, run: str) -> Path:
    """The folder of a run, ``{trial}-{attempt}-{retry}``, below an experiment's folder."""
    trial, _, rest = run.partition("-")
    return root / trial / RUNS / rest


@final
class FolderWorkplace(Workplace[FolderLease]):
    """Tasks in a shared folder.

    Parameters
    ----------
    folder
        The worker's own.
    facts
        Of the worker.
    """

    poll_seconds = _POLL_SECONDS

    def __init__(self, folder: Path, facts: FolderWorkerFacts) -> None:
        self.name = facts.name
        self._facts = facts
        self._folder = folder
        self._root = folder.parent.parent
        self._mark = f"{folder.name} {uuid.uuid4().hex} ".encode("ascii")
        """Beginning of our leases, which ends with a number of fixed width."""
        self._beat = 0

    def is_draining(self) -> bool:
        """By the worker's control file."""
        return content_of(self._folder / CONTROL) == DRAIN.encode("ascii")

    def session(self) -> bytes | None:
        """Content of the session file."""
        return content_of(self._root / SESSION)

    def waiting(self) -> list[str]:
        """All, by one look at the folder."""
        return [file.name for file in (self._root / TASKS).iterdir() if is_run(file.name)]

    def claim(self, run: str) -> FolderLease | None:
        """Create the lease, then remove the task."""
        try:
            lease = os.open(self._root / LEASES / run, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            return None
        with os.fdopen(lease, "wb") as file:
            file.write(self._content())
        try:
            (self._root / TASKS / run).unlink()
        except FileNotFoundError:  # it was taken, and is over, since it was listed
            (self._root / LEASES / run).unlink()
            return None
        return FolderLease(run)

    def renew(self, lease: FolderLease) -> bool:
        """Change the content of the lease."""
        try:
            with (self._root / LEASES / lease.run).open("r+b", buffering=0) as file:
                if not file.read().startswith(self._mark):
                    return False
                file.seek(0)
                file.write(self._content())
        except FileNotFoundError:
            return False
        return True

    def give_back(self, lease: FolderLease) -> None:
        """Remove the lease, unless it was taken away."""
        if self.renew(lease):
            for place in (TASKS, LEASES):
                with contextlib.suppress(FileNotFoundError):
                    (self._root / place / lease.run).unlink()

    def show_life(self) -> None:
        """Change the heartbeat file."""
        (self._folder / HEARTBEAT).write_bytes(self._content())

    def folder(self, run: str) -> Path:
        """The run's folder, which is shared."""
        return run_folder(self._root, run)

    def run(self, lease: FolderLease, seat: Seat) -> None:
        """Run as a job of its own does; a run that was begun before goes back without an end."""
        folder = self.folder(lease.run)

        def wrap(channel: Channel) -> Channel:
            return WorkerChannel(channel, folder, seat)

        run_once(
            folder,
            abandon_seconds=self._facts.worker.abandon_seconds,
            checkpoint_seconds=self._facts.checkpoint_seconds,
            silent_seconds=self._facts.worker.lease_seconds,
            environment={} if seat.gpus is None else {"CUDA_VISIBLE_DEVICES": seat.gpus},
            wrap=wrap,
        )

    def is_passing(self, error: Exception) -> bool:
        """Whether the file system has trouble, and the folder was not removed."""
        if not isinstance(error, OSError) or isinstance(error, PermissionError):
            return False
        return not isinstance(error, FileNotFoundError) or self._folder.is_dir()

    def _content(self) -> bytes:
        self._beat += 1
        return self._mark + b"%012d" % self._beat
