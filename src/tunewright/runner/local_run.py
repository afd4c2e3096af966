"""The channel of runs on this machine: files in the run's folder.

``trials/{trial}/runs/{attempt}-{retry}/`` holds ``order.json``, ``started`` (time at which the
script started), ``reports`` (a JSON line per report), ``control`` (the backend's request), ``checkpoint/`` (the script's folder), ``whole.json`` (state of that folder at the
last report) and, at the end, ``end.json``. ``trials/{trial}/checkpoints/{resource}`` are the frozen checkpoints.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

from .channel import GO_ON, RELEASE, Channel, End, Report, to_fields
from .checkpoints import write_atomically
from .run_order import RunOrder
from .supervisor import supervise

ORDER = "order.json"
STARTED = "started"
REPORTS = "reports"
CONTROL = "control"
END = "end.json"
WORKING = "checkpoint"
WHOLE = "whole.json"
TUNER_LOCK = "tuner.lock"


def frozen_folder(trial: Path, resource: int) -> Path:
    """Where a trial's checkpoint of a resource is kept."""
    return trial / "checkpoints" / str(resource)


def fingerprint(folder: Path) -> list[list[Any]]:
    """Names, sizes and times of all files in a folder: equal ones mean that nothing was written in between.

    Empty for an empty folder, and if a file vanishes meanwhile, since the folder is being written then.
    """
    try:
        states = [(path, path.stat()) for path in folder.rglob("*") if path.is_file()]
    except FileNotFoundError:
        return []
    return sorted([str(path.relative_to(folder)), state.st_size, state.st_mtime_ns] for path, state in states)


def whole_resource(run: Path) -> int | None:
    """The resource of a run's working folder; None if it was written to after the report."""
    note = run / WHOLE
    if not note.is_file():
        return None
    whole = json.loads(note.read_text(encoding="utf-8"))
    files = fingerprint(run / WORKING)
    return whole["resource"] if files and files == whole["files"] else None


def freeze(working: Path, target: Path) -> bool:
    """Rename a working folder to the checkpoint ``target``, unless that exists; False if there is none afterwards."""
    if target.is_dir():
        return True
    if not working.is_dir() or not any(working.iterdir()):
        return False
    target.parent.mkdir(exist_ok=True)
    _relink(working, working)
    working.rename(target)
    return True


def _relink(folder: Path, home: Path) -> None:
    """Let links that lead into ``home`` by its full name lead to the same place of ``folder``, wherever that is moved."""
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    for link in links:
        leads_to = link.readlink()
        if leads_to.is_absolute() and leads_to.is_relative_to(home):
            link.unlink()
            link.symlink_to(os.path.relpath(folder / leads_to.relative_to(home), link.parent))


def drop_frozen(target: Path) -> None:
    """Remove a frozen checkpoint; whenever that is cut short, it is whole or not there."""
    gone = target.with_name(f".old-{target.name}")
    shutil.rmtree(gone, ignore_errors=True)
    with contextlib.suppress(OSError):
        target.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


@final
class LocalChannel(Channel):
    """Files in a run's folder.

    Parameters
    ----------
    run
        The folder of this retry.
    order
        Its order.
    abandon_after
        Seconds without a tuner after which the script is ended and its checkpoint kept.
    """

    poll_seconds = 0.05

    def __init__(self, run: Path, order: RunOrder, abandon_after: float) -> None:
        self._run = run
        self._order = order
        self._trial = run.parent.parent
        self._working = Path(order.checkpoint_dir)
        self._reports = (run / REPORTS).open("a", encoding="utf-8")
        self._watch = _TunerWatch(self._trial.parent / TUNER_LOCK, abandon_after)

    def load_checkpoint(self) -> None:
        """Copy the checkpoint to begin with into the working folder."""
        if self._order.checkpoint_from:
            source = Path(self._order.checkpoint_from)
            shutil.copytree(source, self._working, symlinks=True, dirs_exist_ok=True)
            _relink(self._working, source)

    def note_start(self) -> None:
        """Write the time into ``started``. It is for timelines only: a full disk is no reason to end the script."""
        with contextlib.suppress(OSError):
            write_atomically(self._run / STARTED, str(time.time()))

    def send_report(self, report: Report) -> None:
        """Append a line to ``reports``."""
        self._reports.write(json.dumps(to_fields(report)) + "\n")
        self._reports.flush()

    def wanted(self) -> str:
        """The content of ``control``; RELEASE if the tuner has gone."""
        control = self._run / CONTROL
        if control.exists():
            return control.read_text(encoding="utf-8")
        return RELEASE if self._watch.is_over() else GO_ON

    def note_checkpoint(self, resource: int) -> None:
        """Record the state of the working folder, for a retry after a crash of this runner."""
        if files := fingerprint(self._working):
            write_atomically(self._run / WHOLE, json.dumps({"resource": resource, "files": files}))

    def save_checkpoint(self, resource: int) -> bool:
        """Freeze the working folder by renaming it; a checkpoint that is frozen already stays as it is."""
        return freeze(self._working, frozen_folder(self._trial, resource))

    def send_end(self, end: End) -> None:
        """Write ``end.json``."""
        self._reports.close()
        write_atomically(self._run / END, json.dumps(asdict(end)))


class _TunerWatch:
    """Notices that the tuner's lock was free for a while."""

    def __init__(self, lock: Path, abandon_after: float) -> None:
        self._lock = lock
        self._abandon_after = abandon_after
        self._seen = time.monotonic()
        self._next_look = self._seen

    def is_over(self) -> bool:
        """Whether the tuner has been away for too long; looks twenty times in that time."""
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + self._abandon_after / 20
            if is_locked(self._lock):
                self._seen = now
        return now - self._seen > self._abandon_after


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock of this file."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return False
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def attempt_lock(run: Path) -> Path:
    """The lock that all retries of an attempt share; it holds the folder's name and the pid of the one that runs."""
    return run.parent / f"{run.name.split('-')[0]}.lock"


def main(arguments: list[str]) -> int:
    """Run the order in a folder unless another runner works on the same attempt, or the run has ended.

    Parameters
    ----------
    arguments
        The run's folder, then the seconds without a tuner after which the script is ended.
    """
    run, abandon_after = Path(arguments[0]), float(arguments[1])
    with attempt_lock(run).open("a+b") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return 0
        if (run / END).exists():
            return 0
        lock.truncate(0)
        lock.write(f"{run.name} {os.getpid()}".encode())
        lock.flush()
        order = RunOrder.from_json((run / ORDER).read_text(encoding="utf-8"))
        with (run / "stdout").open("ab") as out, (run / "stderr").open("ab") as err:
            os.environ.setdefault("OMP_NUM_THREADS", "1")
            supervise(order, LocalChannel(run, order, abandon_after), (out, err))
    return 0
