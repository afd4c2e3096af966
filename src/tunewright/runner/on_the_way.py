"""When a run's checkpoints are kept on its way, so that a lost machine costs little."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import final

from .s3_checkpoints import snapshot

_RELATIVE_PAUSE = 10.0
"""Between two checkpoints on the way, at least so many times what the last one took."""


@final
class OnTheWay:
    """Copies the folder of checkpoints where the last time is long enough ago.

    Parameters
    ----------
    folder
        Where the script writes them.
    seconds
        Between two copies.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = folder
        self._seconds = seconds
        self.next_at = time.monotonic() + seconds
        """When the next copy is due."""

    def note(self, resource: int, keep: Callable[[Path, int], object]) -> None:
        """The script has reached a resource, and may have written a checkpoint.

        Parameters
        ----------
        resource
            Reached by the run.
        keep
            Gets a copy that nobody writes to, and the resource.
        """
        began = time.monotonic()
        if began < self.next_at or resource < 1:
            return
        copy = snapshot(self._folder)
        if copy is None:
            return
        try:
            keep(copy, resource)
        finally:
            shutil.rmtree(copy, ignore_errors=True)
        now = time.monotonic()
        self.next_at = now + max(self._seconds, _RELATIVE_PAUSE * (now - began))
