"""A tuner that crashes: for tests that a killed and resumed experiment equals an undisturbed one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from typing_extensions import override

from tunewright.events import Event, Header
from tunewright.journal import Journal, MemoryJournal


@final
class SimulatedCrash(BaseException):
    """Stands for kill -9 of the process."""


@final
class CrashingJournal(Journal):
    """A journal whose tuner crashes after a number of lines.

    Parameters
    ----------
    kept
        Holds the lines; the next tuner continues it.
    lines_left
        Lines until the crash, >= 0; below 0: no crash.
    """

    def __init__(self, kept: MemoryJournal, lines_left: int) -> None:
        self._kept = kept
        self._lines_left = lines_left

    @property
    @override
    def header(self) -> Header:
        return self._kept.header

    @override
    def events(self) -> Iterator[Event]:
        return self._kept.events()

    @override
    def append(self, event: Event) -> None:
        """Keep an event.

        Raises
        ------
        SimulatedCrash
            No line is left.
        """
        if self._lines_left == 0:
            raise SimulatedCrash
        self._kept.append(event)
        self._lines_left -= 1

    @override
    def close(self) -> None:
        """Nothing to close."""
