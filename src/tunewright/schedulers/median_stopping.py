"""MedianStopping: any scheduler, whose trials are also stopped when they do worse than most."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Collection
from dataclasses import dataclass
from typing import final

from typing_extensions import override

from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.metric import Metric
from tunewright.trial import Decision, Result, Resume, Run, Start, TrialStatus, Verdict


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MedianStoppingSettings:
    """How :class:`MedianStopping` judges; checked when built.

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
        if self.grace_period < 0:
            raise SettingsError(f"grace_period={self.grace_period} must be >= 0")
        if self.grace_population < 1:
            raise SettingsError(f"grace_population={self.grace_population} must be >= 1")
        if not 0.0 < self.cutoff < 1.0:
            raise SettingsError(f"cutoff={self.cutoff} must be above 0 and below 1")


@dataclass(slots=True)
class _Curve:
    total: float = 0.0
    n_reports: int = 0
    best: float = math.inf


@final
class MedianStopping(Scheduler):
    """The median stopping rule (Golovin et al.: Google Vizier, KDD 2017, section 3.2.2) around any scheduler.

    A trial is stopped when the best loss that it has had is strictly worse than the median of the others' running
    averages at the same resource. Others are all trials that have reported there, those still running included, since
    trials run at the same time. A non-finite loss makes a running average the worst. What the inner scheduler decides
    comes first: the rule only stops trials that would run on.

    Parameters
    ----------
    scheduler
        Decides everything else.
    settings
        Grace and cutoff.
    metric
        What is compared.
    """

    def __init__(self, scheduler: Scheduler, settings: MedianStoppingSettings, *, metric: Metric) -> None:
        self._scheduler = scheduler
        self._settings = settings
        self._metric = metric
        self._curves: dict[int, _Curve] = {}
        self._averages: dict[int, list[float]] = {}

    @override
    def suggest(self, history: History) -> Start | Resume | None:
        """The suggestion of the inner scheduler."""
        return self._scheduler.suggest(history)

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Tell the scheduler within."""
        self._scheduler.on_trial_start(history, run)

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """The verdict of the inner scheduler; if it is CONTINUE, that of the rule."""
        verdict = self._scheduler.on_trial_result(history, trial_id, result)
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
        if verdict.decision is not Decision.CONTINUE or is_spared or n_better <= settings.cutoff * n_others:
            return verdict
        reason = f"worse than {n_better} of {n_others} at resource {result.resource}"
        return Verdict(decision=Decision.STOP, reason=reason)

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Tell the scheduler within."""
        self._scheduler.on_trial_end(history, trial_id, status)

    @override
    def resumable(self, history: History) -> Collection[int]:
        """Those of the inner scheduler."""
        return self._scheduler.resumable(history)
