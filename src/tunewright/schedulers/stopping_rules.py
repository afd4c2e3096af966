"""Rules that stop trials of any scheduler: worse than the median, no improvement, values beyond a threshold.

References
----------
.. [Golovin2017] Golovin, Solnik, Moitra, Kochanski, Karro, Sculley: Google Vizier: A Service for Black-Box Optimization.
   KDD 2017.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_left, insort
from collections.abc import Collection
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from tunewright.exceptions import SettingsError, check_at_least
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.metric import Metric
from tunewright.trial import Decision, Result, Resume, Run, Start, TrialStatus, Verdict
from tunewright.types import Config


class StoppingRule(ABC):
    """Judges the results of trials."""

    @abstractmethod
    def reason(self, trial_id: int, result: Result) -> str | None:
        """Take in a result; return the reason for which its trial stops, or None if it may run on."""


@final
class RuleStopping(Scheduler):
    """A stopping rule around any scheduler, which decides everything else.

    The inner scheduler's verdict comes first: the rule only stops trials that would run on.

    Parameters
    ----------
    scheduler
        Decides everything else.
    rule
        Judges each result, also those of trials that the scheduler stops.
    """

    def __init__(self, scheduler: Scheduler, rule: StoppingRule) -> None:
        self._scheduler = scheduler
        self._rule = rule

    @override
    def suggest(self, history: History) -> Start | Resume | None:
        """The suggestion of the inner scheduler."""
        return self._scheduler.suggest(history)

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Tell the inner scheduler."""
        self._scheduler.on_trial_start(history, run)

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """The verdict of the inner scheduler; if it is CONTINUE, that of the rule."""
        verdict = self._scheduler.on_trial_result(history, trial_id, result)
        reason = self._rule.reason(trial_id, result)
        if verdict.decision is not Decision.CONTINUE or reason is None:
            return verdict
        return Verdict(decision=Decision.STOP, reason=reason)

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Tell the inner scheduler."""
        self._scheduler.on_trial_end(history, trial_id, status)

    @override
    def resumable(self, history: History) -> Collection[int]:
        """Those of the inner scheduler."""
        return self._scheduler.resumable(history)

    @override
    def start_requested(self, history: History, config: Config) -> Start | None:
        return self._scheduler.start_requested(history, config)

    @override
    def resume_requested(self, history: History, trial_id: int) -> Resume | None:
        return self._scheduler.resume_requested(history, trial_id)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MedianStoppingSettings:
    """How :class:`MedianRule` judges; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    grace_period: int = 1
    """Resource up to which no trial is stopped, >= 0."""
    grace_population: int = 5
    """Number of other trials with reports that a judgement needs, >= 1."""
    cutoff: float = 0.5
    """A trial is stopped if it is worse than more than this share of the others, above 0 and below 1; 0.5: the median."""

    def __post_init__(self) -> None:
        check_at_least(self, 0, "grace_period")
        check_at_least(self, 1, "grace_population")
        if not 0.0 < self.cutoff < 1.0:
            raise SettingsError(f"cutoff={self.cutoff} must be above 0 and below 1")


@dataclass(slots=True)
class _Curve:
    total: float = 0.0
    n_reports: int = 0
    best: float = math.inf


@final
class MedianRule(StoppingRule):
    """The median stopping rule ([Golovin2017]_, section 3.2.2).

    A trial is stopped when the best loss that it has had is strictly worse than the median of the others' running
    averages at the same resource. Others are all trials that have reported there, those still running included, since
    trials run at the same time. A non-finite loss makes a running average the worst.

    Parameters
    ----------
    settings
        Grace and cutoff.
    metric
        The metric to compare.
    """

    def __init__(self, settings: MedianStoppingSettings, *, metric: Metric) -> None:
        self._settings = settings
        self._metric = metric
        self._curves: dict[int, _Curve] = {}
        self._averages: dict[int, list[float]] = {}

    @override
    def reason(self, trial_id: int, result: Result) -> str | None:
        curve = self._curves.setdefault(trial_id, _Curve())
        loss = self._metric.loss_of(result.metrics)
        curve.total += loss
        curve.n_reports += 1
        curve.best = min(curve.best, loss)
        others = self._averages.setdefault(result.resource, [])
        n_better, n_others = bisect_left(others, curve.best), len(others)
        insort(others, curve.total / curve.n_reports)
        settings = self._settings
        is_spared = result.resource <= settings.grace_period or n_others < settings.grace_population
        if is_spared or n_better <= settings.cutoff * n_others:
            return None
        return f"worse than {n_better} of {n_others} at resource {result.resource}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PatienceSettings:
    """How :class:`PatienceRule` judges; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    patience: int = 10
    """Units of resource without an improvement after which a trial stops, >= 1."""
    min_delta: float = 0.0
    """Least improvement that counts, on the metric's scale, >= 0; a value must be better than the best by more than this."""
    grace_period: int = 0
    """Resource up to which no trial is stopped, >= 0."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "patience")
        check_at_least(self, 0, "min_delta", "grace_period")
        if math.isinf(self.min_delta):
            raise SettingsError(f"min_delta={self.min_delta} must be finite")


@final
class PatienceRule(StoppingRule):
    """Early stopping of each trial by its own curve.

    A trial is stopped when its metric has not improved for a number of units of resource. Other trials play no part. The
    first finite value is an improvement; a non-finite one is not. Optuna's PatientPruner stops if the newest values are
    worse than the earlier ones by more than ``min_delta``; here values that stay equal are no improvement.

    Parameters
    ----------
    settings
        Patience and the least improvement.
    metric
        The metric that must improve.
    """

    def __init__(self, settings: PatienceSettings, *, metric: Metric) -> None:
        self._settings = settings
        self._metric = metric
        self._best: dict[int, tuple[float, int]] = {}

    @override
    def reason(self, trial_id: int, result: Result) -> str | None:
        best, since = self._best.setdefault(trial_id, (math.inf, 0))
        loss = self._metric.loss_of(result.metrics)
        if loss < best - self._settings.min_delta:
            self._best[trial_id] = (loss, result.resource)
            return None
        is_patient = result.resource - since < self._settings.patience
        if is_patient or result.resource <= self._settings.grace_period:
            return None
        return f"no improvement since resource {since}"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdSettings:
    """How :class:`ThresholdRule` judges; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    lower: float | None = None
    """Value of the metric below which a trial stops; None: no bound."""
    upper: float | None = None
    """Value of the metric above which a trial stops; None: no bound."""
    grace_period: int = 0
    """Resource up to which no trial is stopped, >= 0."""

    def __post_init__(self) -> None:
        check_at_least(self, 0, "grace_period")
        lower, upper = self.bounds
        if not lower < upper:
            raise SettingsError(f"lower={self.lower} must be below upper={self.upper}")

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound, infinite if there is none."""
        return (
            -math.inf if self.lower is None else self.lower,
            math.inf if self.upper is None else self.upper,
        )


@final
class ThresholdRule(StoppingRule):
    """Stop trials whose metric leaves an interval: diverged ones, or those that have reached a goal.

    Values at a bound stay. A report that lacks the metric, and the value NaN, are outside of every interval, also if no
    bound is given.

    Parameters
    ----------
    settings
        The interval.
    metric
        The metric, by its own values, whatever its goal is.
    """

    def __init__(self, settings: ThresholdSettings, *, metric: Metric) -> None:
        self._settings = settings
        self._name = metric.name

    @override
    def reason(self, trial_id: int, result: Result) -> str | None:
        value = result.metrics.get(self._name, math.nan)
        lower, upper = self._settings.bounds
        if lower <= value <= upper or result.resource <= self._settings.grace_period:
            return None
        if math.isnan(value):
            return f"{self._name} is not a number"
        side, bound = ("below", lower) if value < lower else ("above", upper)
        return f"{self._name}={value:g} is {side} {bound:g}"
