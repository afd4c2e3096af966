"""Warm pools: the instances that wait for the next run."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import final

from tunewright.events import EndEvent, Event, StartEvent


@final
class WarmPools:
    """Which runs start warm, and for how long instances wait.

    All instances are alike. A run that ends leaves its instance idle; the next run takes the one that has waited
    longest; one that has waited for ``keep_alive`` seconds is given up.

    Parameters
    ----------
    keep_alive
        Seconds; 0: an instance is given up with its run.
    """

    def __init__(self, keep_alive: float) -> None:
        self._keep_alive = keep_alive
        self._idle: deque[float] = deque()
        self._idle_seconds = 0.0
        self._past: dict[tuple[int, int], bool] = {}

    def replay(self, events: Iterable[Event]) -> None:
        """Repeat the starts and ends of runs in a journal."""
        for event in events:
            if isinstance(event, StartEvent):
                key = event.trial_id, event.attempt
                self._past[key] = self.take(*key, event.t)
            elif isinstance(event, EndEvent):
                self._past.pop((event.trial_id, event.attempt), None)
                self.release(event.t)

    def take(self, trial_id: int, attempt: int, time: float) -> bool:
        """Give a run an instance at ``time`` seconds; whether it is a warm one."""
        known = self._past.get((trial_id, attempt))
        if known is not None:
            return known
        self._give_up(time)
        if not self._idle:
            return False
        self._idle_seconds += time - self._idle.popleft()
        return True

    def release(self, time: float) -> None:
        """Let the instance of a run that ended at ``time`` seconds wait for the next one."""
        if self._keep_alive:
            self._idle.append(time)

    def idle_seconds(self, now: float) -> float:
        """Seconds that instances have waited until ``now``."""
        return self._idle_seconds + sum(min(now - since, self._keep_alive) for since in self._idle)

    def _give_up(self, now: float) -> None:
        while self._idle and now - self._idle[0] >= self._keep_alive:
            self._idle.popleft()
            self._idle_seconds += self._keep_alive
