"""A tuner that dies: for tests that an experiment which was killed and resumed is that of an undisturbed one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import final

from tunewright.journal import Journal, Line, MemoryJournal


@final
class Killed(BaseException):
    """What kill -9 is to a process."""


@final
class MortalJournal(Journal):
    """A journal whose tuner is killed once it has written so many lines.

    Parameters
    ----------
    kept
        Holds the lines; it is what the next tuner finds.
    lines_left
        Lines until then, >= 0; below 0: it lives.
    """

    def __init__(self, kept: MemoryJournal, lines_left: int) -> None:
        self._kept = kept
        self._lines_left = lines_left

    @property
    def header(self) -> Line:
        """The first line."""
        return self._kept.header

    def lines(self) -> Iterator[Line]:
        """What was written so far."""
        return self._kept.lines()

    def append(self, line: Line) -> None:
        """Keep a line.

        Raises
        ------
        Killed
            No line is left.
        """
        if self._lines_left == 0:
            raise Killed
        self._kept.append(line)
        self._lines_left -= 1

    def close(self) -> None:
        """Nothing is to be closed."""
