"""Clocks: seconds since the experiment began, real or simulated."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from typing import ClassVar, final

from typing_extensions import override


class Clock(ABC):
    """Seconds since the experiment began. The backend owns it; the Tuner reads it."""

    kind: ClassVar[str]
    """``"wall"`` or ``"simulated"``, as in an experiment's metadata."""
    max_wait: ClassVar[float]
    """Maximum duration of one wait of the Tuner, in seconds of this clock."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since the experiment began; never decreases."""

    @abstractmethod
    def resume_at(self, seconds: float) -> None:
        """Continue from ``seconds``: time between two sessions of an experiment does not count."""

    def charge(self, seconds: float) -> None:
        """Count real seconds of deciding, if the clock does not count them by itself and is asked to."""


@final
class WallClock(Clock):
    """Real time, independent of changes of the system's date."""

    kind: ClassVar[str] = "wall"
    max_wait: ClassVar[float] = 1.0

    def __init__(self) -> None:
        self._origin = time.monotonic()

    @override
    def now(self) -> float:
        """Seconds since construction, or since the point that ``resume_at`` set."""
        return time.monotonic() - self._origin

    @override
    def resume_at(self, seconds: float) -> None:
        """Let ``now()`` be ``seconds`` at this instant."""
        self._origin = time.monotonic() - seconds


@final
class SimulatedClock(Clock):
    """Time that moves by events only.

    Parameters
    ----------
    charges_suggest_time
        Count the real seconds of deciding as well, in which nothing is handled; then no run repeats exactly.
    """

    kind: ClassVar[str] = "simulated"
    max_wait: ClassVar[float] = math.inf

    def __init__(self, *, charges_suggest_time: bool = False) -> None:
        self._now = 0.0
        self._charges_suggest_time = charges_suggest_time

    @override
    def now(self) -> float:
        """The simulated time in seconds."""
        return self._now

    def advance_to(self, seconds: float) -> None:
        """Move forward; a time in the past changes nothing."""
        self._now = max(self._now, seconds)

    @override
    def charge(self, seconds: float) -> None:
        if self._charges_suggest_time:
            self._now += seconds

    @override
    def resume_at(self, seconds: float) -> None:
        """Let the present be ``seconds``."""
        self._now = seconds
