"""Repeats: trials whose reports equal those of earlier trials, as in recorded tables with several configurations per cell."""

from __future__ import annotations

import math
from typing import final

from tunewright.trial import Result


@final
class Repeats:
    """Finds reports that equal an earlier trial's in every value, bit by bit, the elapsed time included.

    Measured times never agree to the last bit, so that such a trial was looked up and not trained. Losses alone are no evidence:
    accuracies on a thousand examples tie. A report without an elapsed time, or with a value that is
    not finite, is therefore never a repeat.

    Parameters
    ----------
    elapsed
        Name of the reported elapsed time.
    """

    def __init__(self, elapsed: str) -> None:
        self._elapsed = elapsed
        self._first: dict[tuple[int, frozenset[tuple[str, float]]], int] = {}

    def original(self, trial_id: int, result: Result) -> int | None:
        """Take in a result; return the earlier trial that reported the same, or None."""
        if self._elapsed not in result.metrics or not all(map(math.isfinite, result.metrics.values())):
            return None
        first = self._first.setdefault((result.resource, frozenset(result.metrics.items())), trial_id)
        return None if first == trial_id else first
