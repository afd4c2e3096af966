"""What trials have cost so far, from what their reports say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, final

_OF_RUNS: Final = "st_worker_"
"""Values of this beginning are counted by ``Reporter``, from the start of each run."""
_MOST: Final = 1e290
"""Larger values count as so much, so that sums of costs stay finite."""


@final
class CostMeter:
    """Adds up a reported cost over the runs of a trial.

    The value is what the trial has cost since its training began. Values that ``Reporter`` adds begin anew with each
    run, and so does one that falls: these are added to what was spent before.

    Parameters
    ----------
    name
        The key in reports.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._before: dict[int, float] = {}
        self._newest: dict[int, float] = {}

    def begin(self, trial_id: int) -> None:
        """A run begins."""
        if self._name.startswith(_OF_RUNS):
            self._close(trial_id)

    def total(self, trial_id: int, metrics: Mapping[str, float]) -> float:
        """The cost so far, >= 0, after a report; what is not a finite number adds nothing."""
        value, newest = metrics.get(self._name, math.nan), self._newest.get(trial_id, 0.0)
        if math.isfinite(value):
            if value < newest:
                self._close(trial_id)
            self._newest[trial_id] = min(max(value, 0.0), _MOST)
        return self._before.get(trial_id, 0.0) + self._newest.get(trial_id, 0.0)

    def _close(self, trial_id: int) -> None:
        self._before[trial_id] = self._before.get(trial_id, 0.0) + self._newest.pop(trial_id, 0.0)
