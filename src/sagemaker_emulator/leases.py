"""Leases: an embedded endpoint lives as long as somebody who needs it.

Each tuner keeps a file ``<anything>.lease`` in a common folder, with an exclusive ``flock`` on it (taken with a blocking
call: the emulator probes the lock now and then for a moment). A tuner that ends removes its file: the lease is
*returned*. One that is killed loses only the lock: the lease has *vanished*, and the emulator waits a grace time for
whoever takes up its work. A vanished lease is deleted when its grace is over; a tuner that takes over may delete it at once.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Final, final

PATTERN: Final = "*.lease"


@final
class LeaseFolder:
    """Decides when an endpoint is not needed any more.

    Parameters
    ----------
    directory
        Folder of the lease files, created when it is missing.
    grace
        Real seconds that a vanished lease, or the first lease of a new endpoint, is waited for.
    now
        Monotonic seconds at the start.
    """

    def __init__(self, directory: Path, grace: float, now: float) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._grace = grace
        self._started = now
        self._has_seen_one = any(directory.glob(PATTERN))  # it may be returned before the first look
        self._is_abandoned = False
        self._vanished: dict[Path, float] = {}

    def is_needed(self, now: float, *, has_jobs: bool) -> bool:
        """Whether to go on: somebody holds a lease or may come back for one, or jobs of a returned lease still run."""
        leases = set(self._directory.glob(PATTERN))
        held = {lease for lease in leases if _is_locked(lease)}
        self._has_seen_one = self._has_seen_one or bool(leases)
        if not self._has_seen_one:
            return now - self._started < self._grace
        known = self._vanished
        self._vanished = {lease: known.get(lease, now) for lease in leases - held}
        expired = [lease for lease, since in self._vanished.items() if now - since >= self._grace]
        for lease in expired:
            del self._vanished[lease]
            lease.unlink(missing_ok=True)
        if held or self._vanished:
            self._is_abandoned = False
            return True
        self._is_abandoned = self._is_abandoned or bool(expired)
        return has_jobs and not self._is_abandoned


def _is_locked(lease: Path) -> bool:
    try:
        with lease.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
