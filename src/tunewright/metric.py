"""Metrics and their goals: the one place where "maximise" exists."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast, final

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


@final
@dataclass(frozen=True, slots=True)
class Constraint:
    """A bound on a reported value: a result that violates it is never the best one.

    Parameters
    ----------
    name
        The key in the script's reports.
    bound
        Finite.
    is_upper
        Whether the value must be <= ``bound``; else >= it.
    """

    name: str
    bound: float = 0.0
    is_upper: bool = True

    def __post_init__(self) -> None:
        if not self.name or not math.isfinite(self.bound):
            raise SettingsError(f"A constraint needs a name and a finite bound, not {self}")

    def __str__(self) -> str:
        return f"{self.name}{'<=' if self.is_upper else '>='}{self.bound:g}"

    @staticmethod
    def parse(text: str) -> Constraint:
        """Read ``memory<=8`` or ``recall>=0.9``; a name alone stands for ``name<=0``.

        Raises
        ------
        SettingsError
            It is none of these.
        """
        for sign in ("<=", ">="):
            name, found, bound = text.partition(sign)
            if found:
                try:
                    return Constraint(name.strip(), float(bound), sign == "<=")
                except ValueError:
                    break
        if not text.strip() or set(text) & set("<>="):
            raise SettingsError(f"A constraint is such as memory<=8 or recall>=0.9, not {text!r}")
        return Constraint(text.strip())

    @property
    def metric(self) -> Metric:
        """The value as a metric whose loss is to stay at or below :attr:`limit`."""
        return Metric(self.name, Goal.MINIMIZE if self.is_upper else Goal.MAXIMIZE)

    @property
    def limit(self) -> float:
        """The bound on the scale of losses."""
        return self.metric.loss(self.bound)

    def is_met(self, metrics: Mapping[str, float]) -> bool:
        """Whether a report's value is finite and within the bound."""
        return self.metric.loss_of(metrics) <= self.limit


def metrics_from(
    names: str | Sequence[str], goals: str | Sequence[str] = Goal.MINIMIZE
) -> tuple[Metric, ...]:
    """One metric for each name.

    Parameters
    ----------
    names
        The keys of reports: one, several with commas (``"error,seconds"``), or a sequence of such texts.
    goals
        ``"min"`` or ``"max"``, in the same form: one for all, or one for each.

    Raises
    ------
    SettingsError
        A name comes twice, a goal is unknown, or there are as many goals as fit neither.
    """
    every, wanted = _parts(names), _parts(goals)
    twice = next((name for name in every if every.count(name) > 1), None)
    if twice is not None:
        raise SettingsError(f"The metric {twice!r} is given twice")
    if len(wanted) not in {1, len(every)}:
        raise SettingsError(
            f"There are {len(wanted)} goals ({', '.join(wanted)}) for {len(every)} metrics ({', '.join(every)}): "
            "give one for all, or one for each"
        )
    if len(wanted) == 1:
        wanted *= len(every)
    return tuple(Metric(name, cast("Goal", goal)) for name, goal in zip(every, wanted, strict=True))


def _parts(given: str | Sequence[str]) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    return [part.strip() for text in texts for part in text.split(",")]
