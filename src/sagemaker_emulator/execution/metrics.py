"""MetricDefinitions: numbers that the service finds in the log of a job."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import final


@final
class MetricScanner:
    """Keeps the last match of each metric definition. Not thread-safe: one log, one scanner.

    Parameters
    ----------
    definitions
        ``Name`` and ``Regex`` of each metric; the first group of the expression is the value.

    Raises
    ------
    ValueError
        An expression is not valid.
    """

    def __init__(self, definitions: Sequence[Mapping[str, str]]) -> None:
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._last: dict[str, tuple[float, float]] = {}
        for definition in definitions:
            name, expression = definition["Name"], definition["Regex"]
            try:
                self._patterns[name] = re.compile(expression)
            except re.error as error:
                raise ValueError(
                    f"the Regex {expression!r} of metric {name} is not valid: {error}"
                ) from error

    def scan(self, line: str, time: float) -> None:
        """Look at one line that was written at a time (epoch seconds)."""
        for name, pattern in self._patterns.items():
            for found in pattern.finditer(line):
                value = _number(found[1] if pattern.groups else found[0])
                if value is not None:
                    self._last[name] = (value, time)

    def last(self) -> list[tuple[str, float, float]]:
        """Name, value and time of the last match of each metric that had one."""
        return [(name, value, time) for name, (value, time) in self._last.items()]


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None
