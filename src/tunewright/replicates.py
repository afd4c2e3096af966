"""Replicates of a configuration: seeds, or folds of a cross-validation, whose mean is the trial's value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

from tunewright.exceptions import SettingsError
from tunewright.metric import Constraint, Metric
from tunewright.trial import Result

NUMBER: Final = "replicate"
"""Key of a result: number of the replicate that it adds."""
COUNT: Final = "replicates"
"""Key of a result: how many replicates its mean is of."""


def own_key(metric: str) -> str:
    """Return the key of the value of one replicate; the metric's own key has the mean."""
    return f"{metric}_replicate"


def error_key(metric: str) -> str:
    """Return the key of the standard error of the mean, which results of at least two replicates have."""
    return f"{metric}_se"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Replicates:
    """The replicates of each trial, which its script runs one after the other and reports one by one.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    n: int
    """Replicates of a full trial, >= 2."""
    attr: str | None = None
    """Key of the replicate's number in reports, in any order; None: ``replicate``, or the order of the reports."""
    significance: float = 0.25
    """A trial stops if a one-sided test against the best trial has at most this p-value, >= 0 and < 1; 0: never. With ``n`` replicates
    that are all worse, the p-value is ``2**-n``."""

    def __post_init__(self) -> None:
        if self.n < 2:
            raise SettingsError(f"replicates={self.n} must be >= 2")
        if not 0.0 <= self.significance < 1.0:
            raise SettingsError(f"significance={self.significance} must be >= 0 and < 1")

    @property
    def constraint(self) -> Constraint:
        """The constraint on the best result: it is a mean of all replicates."""
        return Constraint(COUNT, self.n, is_upper=False)

    @property
    def unit(self) -> str:
        """Name of the resource."""
        return self.attr or NUMBER


@final
class ReplicateMeans:
    """Replaces reported values by means over a trial's replicates.

    A result then has, for each metric, the mean under the metric's own key, the replicate's value under :func:`own_key`, and the
    standard error of the mean (sample deviation over the root of the count) under :func:`error_key`. Its resource is the
    number of replicates so far. Sums are exact, so that the order of the replicates does not matter.

    Parameters
    ----------
    replicates
        Number and key of the replicates.
    metrics
        The values that are replaced.
    """

    def __init__(self, replicates: Replicates, metrics: Sequence[Metric]) -> None:
        self._replicates = replicates
        self._names = tuple(dict.fromkeys(metric.name for metric in metrics))

    def add(
        self, reported: Mapping[str, float], resource: int, earlier: Sequence[Result]
    ) -> tuple[Mapping[str, float], int]:
        """Return the values and the resource of the result that a report adds to a trial.

        A report of a known replicate, or of one more than a full trial has, is returned as it is, at the resource that
        the trial has reached.

        Parameters
        ----------
        reported
            Values of the report; metrics that it lacks stay away.
        resource
            Resource of the report: the replicate's number if the report has none.
        earlier
            Results of the trial.
        """
        number = reported.get(self._replicates.unit, float(resource))
        count = len(earlier)
        if count == self._replicates.n or any(result.metrics[NUMBER] == number for result in earlier):
            return reported, count
        values = {**reported, NUMBER: number, COUNT: count + 1.0}
        for name in self._names:
            if name in reported:
                own = [*(result.metrics[own_key(name)] for result in earlier), reported[name]]
                values |= {own_key(name): reported[name], name: _mean(own)}
                if len(own) > 1:
                    values[error_key(name)] = _standard_error(own)
        return values, count + 1


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.nan


def _standard_error(values: Sequence[float]) -> float:
    mean = _mean(values)
    if math.isnan(mean):
        return math.nan
    n = len(values)
    return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1) / n)
