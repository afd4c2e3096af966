"""Leases: an embedded endpoint runs as long as one of its clients needs it.

Each client holds an exclusive ``flock`` on a file ``<anything>.lease`` in a common folder (with retries, since the emulator
probes the lock from time to time). A client that ends removes its file: the lease is *returned*. A killed client loses
the lock only: the lease is *abandoned*, and the emulator waits a grace time for a successor. An abandoned lease is
deleted after its grace time; a successor may delete it earlier.

The probe takes a shared lock on an existing file. ``filelock`` has no such probe: it would create the file of a lease that
is returned in the same moment, which would then count as abandoned.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Final, final

PATTERN: Final = "*.lease"


@final
class LeaseFolder:
    """Decides whether an endpoint is still needed.

    Parameters
    ----------
    directory
        Folder of the lease files; created if missing.
    grace
        Real seconds to wait for the successor of an abandoned lease, and for the first lease of a new endpoint.
    now
        Monotonic seconds at the start.
    """

    def __init__(self, directory: Path, grace: float, now: float) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._grace = grace
        self._started = now
        self._has_seen_one = any(directory.glob(PATTERN))  # it may be returned before the first check
        self._has_expired = False
        self._abandoned: dict[Path, float] = {}

    def is_needed(self, now: float, *, has_jobs: bool) -> bool:
        """Return whether a lease is held or within its grace time, or jobs of a returned lease still run."""
        leases = set(self._directory.glob(PATTERN))
        held = {lease for lease in leases if _is_locked(lease)}
        self._has_seen_one = self._has_seen_one or bool(leases)
        if not self._has_seen_one:
            return now - self._started < self._grace
        known = self._abandoned
        self._abandoned = {lease: known.get(lease, now) for lease in leases - held}
        expired = [lease for lease, since in self._abandoned.items() if now - since >= self._grace]
        for lease in expired:
            del self._abandoned[lease]
            lease.unlink(missing_ok=True)
        if held or self._abandoned:
            self._has_expired = False
            return True
        self._has_expired = self._has_expired or bool(expired)
        return has_jobs and not self._has_expired


def _is_locked(lease: Path) -> bool:
    try:
        with lease.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False
