"""The files of an experiment's folder and their copies in S3, in both directions; only changes are copied."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, final

from tunewright.aws import S3Objects, StoredObject
from tunewright.aws.objects import in_parallel
from tunewright.exceptions import SettingsError, TunewrightError
from tunewright.experiments.outcome import Outcome, load_outcome
from tunewright.experiments.remote_marker import RemoteMarker, write_marker
from tunewright.remote.launch import RemoteLaunch, SliceStatus
from tunewright.remote.layout import EXPERIMENTS, JOURNAL
from tunewright.runner.local_run import WORKING
from tunewright.storage import PRIVATE, ExperimentFolder, home, leads_elsewhere, replacing, write_atomically

_JOURNAL_FILE: Final = "journal.jsonl"
_WORKING: Final = f"/{WORKING}/"
_ETAGS: Final = ".remote.json"
"""File of a fetched folder with the ETag of each object."""


@final
class FolderMirror:
    """Copies changed files of a folder to S3, except for the journal and locks.

    Parameters
    ----------
    folder
        The experiment's folder.
    objects
        The experiment's objects.
    """

    def __init__(self, folder: Path, objects: S3Objects) -> None:
        self._folder = folder
        self._objects = objects
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[int, int]] = {}

    def copy(self) -> None:
        """Copy files that are new or have changed since the last call.

        Raises
        ------
        ServiceError
            S3 refuses or does not answer; the next call copies the other files.
        """
        self._copy("*")

    def copy_checkpoints(self) -> None:
        """Copy new frozen checkpoints of trials.

        Raises
        ------
        ServiceError
            As :meth:`copy`.
        """
        self._copy("trials/*/checkpoints/*")

    def _copy(self, pattern: str) -> None:
        with self._lock:
            for name, path in self._files():
                if fnmatchcase(name, pattern):
                    self._copy_file(name, path)

    def _copy_file(self, name: str, path: Path) -> None:
        try:
            status = path.stat()
            state = (status.st_mtime_ns, status.st_size)
            if self._seen.get(name) != state:
                self._objects.put_file(name, path)
                self._seen[name] = state
        except FileNotFoundError:
            return  # replaced or removed in the meantime

    def _files(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            is_ours = (
                path.name.startswith(".")
                or name.startswith(_JOURNAL_FILE)
                or path.suffix == ".lock"
                or _WORKING in name  # a script writes there; the frozen copy counts
            )
            if not is_ours and path.is_file() and not path.is_symlink():
                yield name, path


def fetch_experiment(objects: S3Objects, stored: Sequence[StoredObject], folder: Path) -> int:
    """Download the files of an experiment that have changed in S3.

    Parameters
    ----------
    objects
        The experiment's objects.
    stored
        A listing of them, keys relative to the experiment.
    folder
        Folder of the files; created if it is missing.

    Returns
    -------
    int
        Number of objects that were downloaded.

    Raises
    ------
    SettingsError
        A key leads out of the folder; then nothing is downloaded.
    """
    stored = [entry for entry in stored if not entry.key.endswith("/")]  # folders of the AWS console
    for entry in stored:
        check_below(entry.key, folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    known = _read_etags(folder)
    changed = [entry for entry in stored if known.get(entry.key) != entry.etag]
    files = [entry for entry in changed if not entry.key.startswith(JOURNAL)]

    def get(entry: StoredObject) -> None:
        mode = PRIVATE if entry.key == "metadata.json" else 0o666
        _write(folder / entry.key, objects.get(entry.key) or b"", mode)

    in_parallel(get, files)
    segments = [entry for entry in stored if entry.key.startswith(JOURNAL)]
    if len(changed) > len(files):
        _fetch_journal(objects, segments, known, folder / _JOURNAL_FILE)
    etags = {entry.key: entry.etag for entry in stored}
    if changed:
        write_atomically(folder / _ETAGS, json.dumps({"etags": etags}))
    return len(changed)


def check_below(key: str, place: str) -> None:
    """Refuse a key that leads out of a folder.

    Raises
    ------
    SettingsError
        It does.
    """
    if leads_elsewhere(key):
        raise SettingsError(f"In S3 {place} holds {key!r}, which would be written elsewhere: remove it there")


def _fetch_journal(
    objects: S3Objects, segments: Sequence[StoredObject], known: Mapping[str, str], path: Path
) -> None:
    """Read the pieces that have changed, and join all of them."""
    old = path.read_bytes() if path.exists() else b""
    content = b""
    for segment in segments:
        part = old[len(content) : len(content) + segment.size]
        is_there = (
            known.get(segment.key) == segment.etag == hashlib.md5(part, usedforsecurity=False).hexdigest()
        )
        content += part if is_there else objects.get(segment.key) or b""
    _write(path, content)


def _write(path: Path, content: bytes, mode: int = 0o666) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.touch(mode)
        unfinished.write_bytes(content)


def _read_etags(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / _ETAGS).read_text(encoding="utf-8"))["etags"])
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return {}


_SMALL: Final = ("metadata.json", "account.json")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SliceView:
    """A slice and its experiments, as S3 has them."""

    status: SliceStatus
    outcomes: tuple[Outcome, ...]
    n_fetched: int
    """Number of objects that were downloaded for it."""


def fetch_views(
    launch: RemoteLaunch, statuses: Sequence[SliceStatus], *, all_files: bool = False
) -> list[SliceView]:
    """Download the experiments of slices, and read them.

    Parameters
    ----------
    launch
        The launch, after a call of its ``look``.
    statuses
        Of the slices.
    all_files
        Download tables of results and files of trials as well, which a status does not need.

    Raises
    ------
    ServiceError
        The service refuses or does not answer.
    SettingsError
        Names in S3 lead out of the folders of experiments.
    """
    return [_view(launch, status, all_files=all_files) for status in statuses]


def _view(launch: RemoteLaunch, status: SliceStatus, *, all_files: bool) -> SliceView:
    outcomes: list[Outcome] = []
    one = status.slice
    note = RemoteMarker(tag=one.tag, name=one.name, state=str(status.state), looked_at=time.time())
    n_fetched = 0
    for name in status.experiments:
        check_below(f"{one.tag}/{name}", one.name)
        folder = ExperimentFolder(home() / "experiments" / one.tag / name)
        stored = [
            entry
            for entry in launch.stored(one.name, name)
            if all_files or entry.key in _SMALL or entry.key.startswith(JOURNAL)
        ]
        objects = launch.objects(one.name).under(f"{EXPERIMENTS}{name}")
        n_fetched += fetch_experiment(objects, stored, folder.path)
        write_marker(folder.path, note)
        try:
            outcomes.append(load_outcome(folder))
        except TunewrightError:
            continue  # it has just begun, and its journal does not exist yet
    return SliceView(status=status, outcomes=tuple(outcomes), n_fetched=n_fetched)
