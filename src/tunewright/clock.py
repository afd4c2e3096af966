"""Clocks: seconds since the experiment began, real or simulated."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from typing import ClassVar, final


class Clock(ABC):
    """Seconds since the experiment began. The backend owns it; the Tuner reads it."""

    kind: ClassVar[str]
    """``"wall"`` or ``"simulated"``, as it stands in an experiment's metadata."""
    max_wait: ClassVar[float]
    """The longest single wait, in seconds of this clock, after which the Tuner wants to look round."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since the experiment began; never decreases."""

    @abstractmethod
    def resume_at(self, seconds: float) -> None:
        """Go on from ``seconds``: time between two sessions of an experiment does not count."""


@final
class WallClock(Clock):
    """Real time, deaf to changes of the system's date."""

    kind: ClassVar[str] = "wall"
    max_wait: ClassVar[float] = 1.0

    def __init__(self) -> None:
        self._origin = time.monotonic()

    def now(self) -> float:
        """Seconds since construction, or since the point that ``resume_at`` set."""
        return time.monotonic() - self._origin

    def resume_at(self, seconds: float) -> None:
        """Let ``now()`` be ``seconds`` at this instant."""
        self._origin = time.monotonic() - seconds


@final
class SimulatedClock(Clock):
    """Time that moves only when it is told to."""

    kind: ClassVar[str] = "simulated"
    max_wait: ClassVar[float] = math.inf

    def __init__(self) -> None:
        self._now = 0.0

    def now(self) -> float:
        """The present simulated second."""
        return self._now

    def advance_to(self, seconds: float) -> None:
        """Move forward; a time in the past changes nothing."""
        self._now = max(self._now, seconds)

    def resume_at(self, seconds: float) -> None:
        """Let the present be ``seconds``."""
        self._now = seconds
