"""Metrics and their goals: the one place where "maximise" exists."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import final

from tunewright.exceptions import SettingsError


class Goal(StrEnum):
    """Which values of a metric are good."""

    MINIMIZE = "min"
    MAXIMIZE = "max"


@final
@dataclass(frozen=True, slots=True)
class Metric:
    """A reported value that is tuned.

    Parameters
    ----------
    name
        The key in the script's reports.
    goal
        ``Goal.MINIMIZE`` or ``Goal.MAXIMIZE`` (or ``"min"``, ``"max"``).
    """

    name: str
    goal: Goal = Goal.MINIMIZE

    def __post_init__(self) -> None:
        if not self.name:
            raise SettingsError("A metric needs a name: the key under which the script reports it")
        try:
            object.__setattr__(self, "goal", Goal(self.goal))
        except ValueError:
            raise SettingsError(
                f"The goal of metric {self.name!r} is 'min' or 'max', not {self.goal!r}"
            ) from None

    def loss(self, value: float) -> float:
        """The value on a scale where lower is better; a non-finite one is the worst (``inf``)."""
        if not math.isfinite(value):
            return math.inf
        return value if self.goal is Goal.MINIMIZE else -value

    def loss_of(self, metrics: Mapping[str, float]) -> float:
        """The loss of a report's metrics; ``inf`` where the metric is missing."""
        return self.loss(metrics.get(self.name, math.nan))

    def is_better(self, value: float, than: float) -> bool:
        """Whether ``value`` is strictly better than ``than``."""
        return self.loss(value) < self.loss(than)
