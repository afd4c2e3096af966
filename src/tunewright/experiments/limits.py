"""Limits: when an experiment ends, as data."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

from tunewright.codec import from_json, to_json
from tunewright.exceptions import SettingsError
from tunewright.interfaces import StoppingCriterion
from tunewright.stopping import (
    MaxCost,
    MaxEvaluations,
    MaxTrialsStarted,
    MaxWallclockTime,
    Never,
)
from tunewright.types import Json, Number


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The first limit that is reached ends the experiment.

    Raises
    ------
    SettingsError
        A limit is not positive.
    """

    max_wallclock_time: Number | None = None
    """Seconds on the experiment's clock: time between two sessions does not count."""
    max_num_trials: int | None = None
    """Trials started; those that run come to their end."""
    max_num_evaluations: int | None = None
    """Reports."""
    max_cost: Number | None = None
    """Dollars of all runs, resumed ones included."""
    stop_when_regret_below: Number | None = None
    """On the metric's scale: ends the experiment when a model bounds what is still to be gained by it."""
    max_failures: int = 3
    """Trials that may fail; one more ends the experiment."""

    def __post_init__(self) -> None:
        if self.max_failures < 0:
            raise SettingsError(f"max_failures must be >= 0, not {self.max_failures}")
        regret = self.stop_when_regret_below
        if regret is not None and not 0 < regret < math.inf:
            raise SettingsError(f"stop_when_regret_below must be positive, not {regret!r}")
        self.criterion()

    @property
    def is_endless(self) -> bool:
        """Whether no limit is set."""
        return {self.max_wallclock_time, self.max_num_trials, self.max_num_evaluations, self.max_cost} == {
            None
        }

    def criterion(self) -> StoppingCriterion:
        """The limits that need to know nothing of what is tuned: all but ``stop_when_regret_below``."""
        criterion: StoppingCriterion = Never()
        if self.max_wallclock_time is not None:
            criterion |= MaxWallclockTime(self.max_wallclock_time)
        if self.max_num_trials is not None:
            criterion |= MaxTrialsStarted(self.max_num_trials)
        if self.max_num_evaluations is not None:
            criterion |= MaxEvaluations(self.max_num_evaluations)
        if self.max_cost is not None:
            criterion |= MaxCost(self.max_cost)
        return criterion

    def replace(self, **changes: Any) -> Limits:
        """A copy with other values for some limits; those that are None keep the old value."""
        return dataclasses.replace(self, **{name: v for name, v in changes.items() if v is not None})

    def to_json(self) -> dict[str, Json]:
        """Return the limits as data, from which :meth:`from_json` makes equal ones."""
        return to_json(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Limits:
        """Build limits from the data of :meth:`to_json`.

        Raises
        ------
        SettingsError
            The data are no limits.
        """
        return from_json(Limits, data, "limits")
