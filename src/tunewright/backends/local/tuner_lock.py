"""Lock that shows runners that a tuner works in their folder, and keeps a second tuner out."""

from __future__ import annotations

from pathlib import Path
from typing import final

from filelock import FileLock, Timeout

from tunewright.exceptions import BackendError

_PATIENCE = 2.0
"""Seconds to try again: a runner that tests the lock holds it for an instant itself."""


@final
class TunerLock:
    """Lock held from construction to :meth:`release`, or to the end of the process, ``kill -9`` included.

    Runners, which have the standard library only, test it with ``fcntl.flock``: filelock takes the same lock.

    Parameters
    ----------
    path
        File of the lock; it stays after the release.

    Raises
    ------
    BackendError
        Another tuner holds the lock.
    """

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path)
        try:
            self._lock.acquire(timeout=_PATIENCE, poll_interval=0.01)
        except Timeout as error:
            raise BackendError(
                f"Another tuner works in {path.parent}: wait for its end, or take another folder"
            ) from error

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()
