"""The background copy of a job's checkpoint folder to S3."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import final

from sagemaker_emulator.execution.s3uri import S3Uri
from sagemaker_emulator.execution.transfer import download_prefix
from sagemaker_emulator.storage import ObjectStore


@final
class CheckpointSync:
    """Keeps an S3 prefix equal to a local folder: new, changed and deleted files. Thread-safe.

    A file has changed when its time or size has. One that is written while it is copied is copied again next time.

    Parameters
    ----------
    store
        Where the objects go.
    uri
        Prefix of the checkpoints.
    folder
        The local folder; it need not exist.
    """

    def __init__(self, store: ObjectStore, uri: S3Uri, folder: Path) -> None:
        self._store = store
        self._uri = uri
        self._folder = folder
        self._lock = threading.Lock()
        self._copied: dict[str, tuple[int, int]] = {}
        self._closed = False

    def pull(self) -> int:
        """Bring what is in S3 to the folder, and return its bytes.

        Raises
        ------
        ExecutionError
            A key would leave the folder.
        """
        with self._lock:
            self._folder.mkdir(parents=True, exist_ok=True)
            size = download_prefix(self._store, self._uri, self._folder)
            self._copied = _scan(self._folder)
        return size

    def push(self) -> None:
        """Bring what changed in the folder to S3; nothing after :meth:`close`.

        Raises
        ------
        LookupError
            There is no such bucket.
        OSError
            The folder or the mirror of S3 cannot be read or written.
        ValueError
            A file's name cannot be a key.
        """
        with self._lock:
            if self._closed:
                return
            present = _scan(self._folder)
            for name in [name for name, state in present.items() if self._copied.get(name) != state]:
                try:
                    body = (self._folder / name).read_bytes()
                except FileNotFoundError:  # renamed or deleted in the meantime: the next pass sees it
                    del present[name]
                    continue
                self._store.put(self._uri.bucket, self._uri.child(name).key, body)
            for name in self._copied.keys() - present.keys():
                self._store.delete(self._uri.bucket, self._uri.child(name).key)
            self._copied = present

    def close(self) -> None:
        """Copy nothing any more, so that removing the folder does not remove what is in S3."""
        with self._lock:
            self._closed = True


def _scan(folder: Path) -> dict[str, tuple[int, int]]:
    """Time and size of each regular file below a folder, by relative name."""
    found: dict[str, tuple[int, int]] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            file = Path(parent, name)
            try:
                state = file.stat()
            except FileNotFoundError:
                continue
            if file.is_file():
                found[file.relative_to(folder).as_posix()] = (state.st_mtime_ns, state.st_size)
    return found
