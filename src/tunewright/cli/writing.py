"""Files that a command is told to write."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tunewright.exceptions import SettingsError


@contextmanager
def writing(path: Path, place: str = "file") -> Generator[None]:
    """Write to what ``--out`` named.

    Parameters
    ----------
    path
        The file.
    place
        What ``--out`` takes: a file, or the folder that it is in.

    Raises
    ------
    SettingsError
        The file system refuses.
    """
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"Cannot write {path}: {error.strerror}. Choose another {place} with --out"
        ) from None
