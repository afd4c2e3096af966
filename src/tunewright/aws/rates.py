"""Request rates: a token bucket before each service operation, which learns from throttling."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, final

SERVICE_RATES: Final[Mapping[str, float]] = {
    "CreateTrainingJob": 1.0,
    "ListTrainingJobs": 1.0,
    "DescribeTrainingJob": 2.0,
    "StopTrainingJob": 2.0,
    "UpdateTrainingJob": 1.0,
    "Search": 1.0,
    "FilterLogEvents": 2.0,
    "GetLogEvents": 5.0,
    "DescribeLogStreams": 5.0,
}
"""Requests per service second by operation.

CreateTrainingJob has a quota of 1 a second (L-21A1652A). ListTrainingJobs has 2 a second, not adjustable, of which
we use half, so that a console beside us still works. The others are not published: these are careful starts, which
throttling lowers.
"""

DEFAULT_RATE: Final = 20.0
"""Requests per second of operations that are not in the table (S3, STS, IAM)."""

_RECOVERY_SECONDS: Final = 10.0
_RECOVERY_STEP: Final = 0.05
_LOWEST_SHARE: Final = 1 / 16


@final
class TokenBucket:
    """Lets one request through every ``1 / rate`` seconds; thread-safe.

    Throttling halves the rate (to a sixteenth at the least), once for all requests that were sent at the old one; each
    ten seconds without it give five per cent of the full rate back.

    Parameters
    ----------
    rate
        Requests per second.
    speed
        The ten seconds are divided by it.
    clock
        Seconds that never decrease.
    sleep
        Waits for seconds.

    Raises
    ------
    ValueError
        The rate is not positive.
    """

    def __init__(
        self,
        rate: float,
        *,
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not rate > 0:
            raise ValueError(f"rate must be positive, got {rate}")
        self._full_rate = rate
        self._recovery = _RECOVERY_SECONDS / speed
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = clock()
        self._changed = self._next
        self._deaf_until = self._next

    @property
    def rate(self) -> float:
        """Requests per second at present."""
        with self._lock:
            self._recover(self._clock())
            return self._rate

    def delay(self) -> float:
        """Seconds until a request may go; 0 where it may go now. Takes nothing."""
        with self._lock:
            return max(0.0, self._next - self._clock())

    def acquire(self) -> None:
        """Take the next place and wait for it."""
        with self._lock:
            now = self._clock()
            self._recover(now)
            start = max(now, self._next)
            self._next = start + 1 / self._rate
        if start > now:
            self._sleep(start - now)

    def throttled(self) -> None:
        """Note that the service refused a request as one too many."""
        with self._lock:
            now = self._clock()
            self._recover(now)
            if now >= self._deaf_until:
                self._rate = max(self._rate / 2, self._full_rate * _LOWEST_SHARE)
            self._deaf_until = self._next = max(self._next, now + 1 / self._rate)
            self._changed = now

    def _recover(self, now: float) -> None:
        steps = int((now - self._changed) / self._recovery)
        if steps > 0:
            self._rate = min(self._full_rate, self._rate + steps * _RECOVERY_STEP * self._full_rate)
            self._changed += steps * self._recovery


@final
class Rates:
    """One bucket per operation, made when it is first needed.

    Parameters
    ----------
    speed
        Service seconds per second: all rates are multiplied by it.
    rates
        Requests per service second by operation.
    """

    def __init__(self, *, speed: float = 1.0, rates: Mapping[str, float] = SERVICE_RATES) -> None:
        self._speed = speed
        self._rates = rates
        self._buckets: dict[str, TokenBucket] = {}
        self._lock = threading.Lock()

    def bucket(self, operation: str) -> TokenBucket:
        """The bucket of an operation such as ``CreateTrainingJob``."""
        with self._lock:
            if operation not in self._buckets:
                rate = self._rates.get(operation, DEFAULT_RATE) * self._speed
                self._buckets[operation] = TokenBucket(rate, speed=self._speed)
            return self._buckets[operation]
