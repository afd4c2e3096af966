"""The lock that tells runners that a tuner is there, and keeps a second one away."""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import final

from tunewright.exceptions import BackendError

_PATIENCE = 2.0
"""Seconds to try again: a runner that looks whether the lock is held holds it for an instant itself."""


@final
class TunerLock:
    """Held from construction to :meth:`release`, or to the end of the process.

    Parameters
    ----------
    path
        The lock's file.

    Raises
    ------
    BackendError
        Another tuner holds it.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        deadline = time.monotonic() + _PATIENCE
        while not self._try():
            if time.monotonic() > deadline:
                self._file.close()
                raise BackendError(
                    f"Another tuner works in {path.parent}: wait for its end, or take another folder"
                )
            time.sleep(0.01)

    def release(self) -> None:
        """Let go."""
        self._file.close()

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
