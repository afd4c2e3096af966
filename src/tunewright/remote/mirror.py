"""The files of an experiment's folder and their copies in S3, in both directions; only what changed is copied."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final, final

from tunewright.aws import S3Objects, StoredObject
from tunewright.aws.objects import in_parallel
from tunewright.exceptions import SettingsError
from tunewright.remote.place import JOURNAL
from tunewright.runner.local_run import WORKING
from tunewright.storage import leads_elsewhere, replacing, write_atomically

_JOURNAL_FILE: Final = "journal.jsonl"
_WORKING: Final = f"/{WORKING}/"
_ETAGS: Final = ".remote.json"
"""In a fetched folder: the ETag of each object when it was fetched."""


@final
class FolderMirror:
    """Copies the files of a folder to S3 when they have changed. Journal and locks are none of its business.

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
        """Copy what is new or changed since the last time.

        Raises
        ------
        ServiceError
            S3 refuses or does not answer; the rest is copied the next time.
        """
        self._copy("*")

    def copy_checkpoints(self) -> None:
        """Copy the frozen checkpoints of trials that are new.

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
            return  # replaced or removed while we looked

    def _files(self) -> Iterator[tuple[str, Path]]:
        for path in sorted(self._folder.rglob("*")):
            name = path.relative_to(self._folder).as_posix()
            is_ours = (
                path.name.startswith(".")
                or name.startswith(_JOURNAL_FILE)
                or path.suffix == ".lock"
                or _WORKING in name  # a script is writing there; what counts is the frozen copy
            )
            if not is_ours and path.is_file() and not path.is_symlink():
                yield name, path


def fetch_experiment(objects: S3Objects, stored: Sequence[StoredObject], folder: Path) -> int:
    """Bring a folder up to what S3 has of its experiment.

    Parameters
    ----------
    objects
        The experiment's objects.
    stored
        A listing of them, keys relative to the experiment.
    folder
        Where the files go; made where it is missing.

    Returns
    -------
    int
        How many objects were downloaded: those whose content has changed since the last time.

    Raises
    ------
    SettingsError
        A key leads out of the folder; then nothing is downloaded.
    """
    stored = [entry for entry in stored if not entry.key.endswith("/")]  # what the console calls a folder
    for entry in stored:
        check_below(entry.key, folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    known = _read_etags(folder)
    changed = [entry for entry in stored if known.get(entry.key) != entry.etag]
    files = [entry for entry in changed if not entry.key.startswith(JOURNAL)]

    def get(entry: StoredObject) -> None:
        _write(folder / entry.key, objects.get(entry.key) or b"")

    in_parallel(get, files)
    segments = [entry for entry in stored if entry.key.startswith(JOURNAL)]
    if len(changed) > len(files):
        _fetch_journal(objects, segments, known, folder / _JOURNAL_FILE)
    etags = {entry.key: entry.etag for entry in stored}
    if changed:
        write_atomically(folder / _ETAGS, json.dumps({"etags": etags}))
    return len(changed)


def check_below(key: str, place: str) -> None:
    """Refuse what S3 has under a name that is none below a folder.

    Raises
    ------
    SettingsError
        It leads elsewhere.
    """
    if leads_elsewhere(key):
        raise SettingsError(f"In S3 {place} holds {key!r}, which would be written elsewhere: remove it there")


def _fetch_journal(
    objects: S3Objects, segments: Sequence[StoredObject], known: Mapping[str, str], path: Path
) -> None:
    """Keep the pieces that are as they were, read the others."""
    old = path.read_bytes() if path.exists() else b""
    content = b""
    for segment in segments:
        part = old[len(content) : len(content) + segment.size]
        is_there = (
            known.get(segment.key) == segment.etag == hashlib.md5(part, usedforsecurity=False).hexdigest()
        )
        content += part if is_there else objects.get(segment.key) or b""
    _write(path, content)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as unfinished:
        unfinished.write_bytes(content)


def _read_etags(folder: Path) -> dict[str, str]:
    try:
        return dict(json.loads((folder / _ETAGS).read_text(encoding="utf-8"))["etags"])
    except (FileNotFoundError, ValueError, LookupError, TypeError):
        return {}
