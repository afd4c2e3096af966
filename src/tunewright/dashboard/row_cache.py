"""RowCache: rows of finished experiments, kept between servers, so that the list of many journals is there at once.

The file is a cache in the user's folder for such files, and may be removed at any time: a row counts only if the files that it
was made of have the same stamps.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeAlias, final

import msgspec
from typing_extensions import TypedDict

from tunewright.dashboard.documents import Row
from tunewright.storage import cache_folder, write_atomically
from tunewright.types import package_version

Stamps: TypeAlias = tuple[tuple[int, ...], ...]
"""Of each file of an experiment its inode, size and modification time."""

_MOST_ROWS: Final = 10_000
_MOST_BYTES: Final = 64 * 1024 * 1024


class _Kept(TypedDict):
    stamps: Stamps
    row: Row


class _File(msgspec.Struct):
    version: str
    rows: dict[str, _Kept]
    """By the path of the experiment's folder."""


@final
class RowCache:
    """Reads the file once, and writes it when asked; thread-safe."""

    def __init__(self) -> None:
        self._path = cache_folder() / "dashboard-rows.json"
        self._lock = threading.Lock()
        self._is_changed = False
        self._rows = _read(self._path)

    def get(self, folder: Path, stamps: Stamps) -> Row | None:
        """The row of an experiment if its files have these stamps."""
        kept = self._rows.get(str(folder))
        return kept["row"] if kept is not None and kept["stamps"] == stamps else None

    def put(self, folder: Path, stamps: Stamps, row: Row) -> None:
        """Keep the row of an experiment."""
        with self._lock:
            self._rows.pop(str(folder), None)  # the newest at the end
            self._rows[str(folder)] = {"stamps": stamps, "row": row}
            self._is_changed = True

    def write(self) -> None:
        """Write the file if there are new rows; a disk that refuses is no error."""
        with self._lock:
            if not self._is_changed:
                return
            self._is_changed = False
            rows = dict(list(self._rows.items())[-_MOST_ROWS:])
            text = msgspec.json.encode(_File(version=package_version(), rows=rows)).decode()
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(self._path, text, is_private=True)


def _read(path: Path) -> dict[str, _Kept]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return {}
        found = msgspec.json.decode(path.read_bytes(), type=_File)
    except (OSError, ValueError):
        return {}
    return found.rows if found.version == package_version() else {}
