"""Request rates of an account: a token bucket for each operation."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Final, final

from sagemaker_emulator.service.errors import throttled

RATES: Final[dict[str, tuple[float, float]]] = {
    "CreateTrainingJob": (1.0, 3.0),
    "ListTrainingJobs": (2.0, 5.0),
    "DescribeTrainingJob": (10.0, 20.0),
    "StopTrainingJob": (5.0, 10.0),
    "UpdateTrainingJob": (2.0, 10.0),
    "DeleteTrainingJob": (2.0, 10.0),
    "Search": (2.0, 5.0),
    "AddTags": (5.0, 10.0),
    "ListTags": (5.0, 10.0),
    "DeleteTags": (5.0, 10.0),
    "FilterLogEvents": (10.0, 20.0),
}
"""Operation -> (requests per service second, burst). Create, List and FilterLogEvents are the published limits (1/s, 2/s,
and 10/s in most regions); the other rates and all bursts are not published, these are cautious guesses."""


@final
class RequestRates:
    """Rejects requests above :data:`RATES`, which are multiplied by the speed of the service."""

    def __init__(self, speed: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._speed = speed
        self._clock = clock
        self._lock = Lock()
        now = clock()
        self._buckets = {operation: (burst, now) for operation, (_, burst) in RATES.items()}

    def acquire(self, operation: str) -> None:
        """Take one token.

        Raises
        ------
        ServiceError
            ThrottlingException if the bucket is empty.
        """
        if operation not in RATES:
            return
        rate, burst = RATES[operation]
        with self._lock:
            tokens, then = self._buckets[operation]
            now = self._clock()
            tokens = min(burst, tokens + (now - then) * rate * self._speed)
            self._buckets[operation] = (tokens - 1.0 if tokens >= 1.0 else tokens, now)
        if tokens < 1.0:
            raise throttled()
