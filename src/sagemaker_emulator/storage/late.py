"""Lines on their way to the log, which takes its time to show them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import final

Line = tuple[int, str]
"""Epoch milliseconds, text."""


@final
class LateLines:
    """A queue of lines that come out some time after they went in; not thread-safe.

    Parameters
    ----------
    delay
        Real seconds.
    clock
        Real seconds that never decrease.
    """

    def __init__(self, delay: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._delay = delay
        self._clock = clock
        self._waiting: deque[tuple[float, str, Sequence[Line]]] = deque()

    def put(self, stream: str, lines: Sequence[Line]) -> None:
        """Lines of a stream, oldest first."""
        self._waiting.append((self._clock() + self._delay, stream, lines))

    def due(self) -> Iterator[tuple[str, Sequence[Line]]]:
        """Take out what can be read by now: streams and their lines."""
        now = self._clock()
        while self._waiting and self._waiting[0][0] <= now:
            _, stream, lines = self._waiting.popleft()
            yield stream, lines
