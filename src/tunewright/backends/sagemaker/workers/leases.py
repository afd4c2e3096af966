"""Which leases are renewed: judged by our own clock, from changes alone."""

from __future__ import annotations

from typing import final


@final
class LeaseWatch:
    """Remembers since when each lease has looked the same.

    Workers' clocks do not matter: a lease counts as renewed when its ETag is another one than at the last look.

    Parameters
    ----------
    patience
        Seconds without a change after which a lease is stale.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._seen: dict[str, tuple[str, float]] = {}

    def is_stale(self, run: str, etag: str, now: float) -> bool:
        """Take what a look at ``now`` (monotonic seconds) says; whether the lease was not renewed for too long."""
        before = self._seen.get(run)
        if before is None or before[0] != etag:
            self._seen[run] = (etag, now)
            return False
        return now - before[1] > self._patience

    def forget(self, run: str) -> None:
        """The run is over."""
        self._seen.pop(run, None)
