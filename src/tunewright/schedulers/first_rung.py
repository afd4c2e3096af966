"""FirstRung: whether the order of trials at the first rung says anything about the second.

References
----------
.. [Fieller1957] Fieller, Hartley, Pearson: Tests for Rank Correlation Coefficients I. Biometrika 44 (1957).
"""

from __future__ import annotations

import math
from typing import Final, final

import numpy as np

from tunewright.models.arrays import Array
from tunewright.models.ranks import spearman

_LEAST_TRIALS: Final = 15
_LEAST_CORRELATION: Final = 0.2
_INTERVAL: Final = 50
"""Trials between two looks."""
_Z: Final = 1.96
"""Of a 95 % interval."""


@final
class FirstRung:
    """Drops the first rung while its order of trials says little about that at the second.

    It is dropped if the upper end of the 95 % interval of Spearman's correlation is below 0.2, over at least 15 trials. Only
    trials that were not compared at the first rung count: survivors of a comparison correlate less, however good it
    was. The first look is made as soon as there are enough trials, the next ones every 50 trials.

    Parameters
    ----------
    first, second
        Resources of the two rungs.
    """

    def __init__(self, first: int, second: int) -> None:
        self.first = first
        self.second = second
        self.is_dropped = False
        self.upper = 1.0
        """Upper end of the interval at the last look."""
        self.n_trials = 0
        """Trials that counted then."""
        self._next_look = 0
        self._at_first: dict[int, float] = {}
        self._pairs: dict[int, tuple[float, float]] = {}

    def observe(self, trial_id: int, resource: int, loss: float) -> None:
        """Take in a result of a trial that is not compared at the first rung; a report that jumps over both says nothing."""
        if resource < self.first or trial_id in self._pairs:
            return
        if resource < self.second:
            self._at_first.setdefault(trial_id, loss)
        elif trial_id in self._at_first:
            before = self._at_first[trial_id]
            if math.isfinite(before) and math.isfinite(loss):
                self._pairs[trial_id] = (before, loss)

    def look(self, n_begun: int) -> None:
        """Decide again if it is time, with ``n_begun`` trials begun."""
        if len(self._pairs) < _LEAST_TRIALS or n_begun < self._next_look:
            return
        self._next_look = n_begun + _INTERVAL
        self.n_trials = len(self._pairs)
        pairs = np.array(list(self._pairs.values()), dtype=np.float64)
        self.upper = upper_correlation(pairs[:, 0], pairs[:, 1])
        self.is_dropped = self.upper < _LEAST_CORRELATION

    @property
    def level(self) -> int:
        """First resource at which new trials are compared."""
        return self.second if self.is_dropped else self.first

    def text(self) -> str:
        """The decision, for the user."""
        few = "may be" if not self.is_dropped else "is at most"
        return (
            f"New trials are first compared at resource {self.level}: over {self.n_trials} trials, the rank correlation of "
            f"{self.first} with {self.second} {few} {self.upper:.2f}"
        )


def upper_correlation(first: Array, second: Array) -> float:
    """Upper end of the 95 % interval of Spearman's rank correlation of two arrays (n,), n > 3.

    By Fisher's z with variance 1.06 / (n - 3) ([Fieller1957]_). 1 if the second is constant, so that there is nothing to
    predict.
    """
    correlation = spearman(first, second)
    if correlation is None:
        return 1.0
    z = math.atanh(min(max(correlation, -0.999999), 0.999999))
    return math.tanh(z + _Z * math.sqrt(1.06 / (len(first) - 3)))
