"""Stopping criteria: small, and combined with ``|`` (the strictest wins) and ``&`` (all must agree).

Criteria on started trials say NO_STARTS, so that what runs comes to its end; those on time, cost and metrics say STOP.

Examples
--------
Ten minutes at most, ten trials at most::

    stop_when = MaxWallclockTime(600) | MaxTrialsStarted(10)
"""

from __future__ import annotations

import math
import weakref
from typing import final

from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Progress, StoppingCriterion
from tunewright.metric import Metric
from tunewright.trial import TrialStatus


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise SettingsError(f"{name} must be positive, not {value!r}")


@final
class Never(StoppingCriterion):
    """Goes on until the scheduler has nothing left to run."""

    def check(self, history: History, now: float) -> Progress:
        """Always GO_ON."""
        del history, now
        return Progress.GO_ON


@final
class MaxWallclockTime(StoppingCriterion):
    """STOP when the experiment's clock has reached ``seconds``."""

    def __init__(self, seconds: float) -> None:
        _positive("max_wallclock_time", seconds)
        self._seconds = float(seconds)

    def check(self, history: History, now: float) -> Progress:
        """STOP from the deadline on."""
        del history
        return Progress.STOP if now >= self._seconds else Progress.GO_ON

    def deadline(self) -> float:
        """The given seconds."""
        return self._seconds


@final
class MaxTrialsStarted(StoppingCriterion):
    """NO_STARTS once ``n`` trials were begun: exactly ``n`` are."""

    def __init__(self, n: int) -> None:
        _positive("max_num_trials", n)
        self._n = n

    def check(self, history: History, now: float) -> Progress:
        """NO_STARTS when no further trial may begin."""
        del now
        return Progress.NO_STARTS if history.n_trials >= self._n else Progress.GO_ON


@final
class MaxTrialsCompleted(StoppingCriterion):
    """STOP once ``n`` trials came to their own end."""

    def __init__(self, n: int) -> None:
        _positive("max_num_trials_completed", n)
        self._n = n

    def check(self, history: History, now: float) -> Progress:
        """STOP when ``n`` trials are COMPLETED."""
        del now
        return Progress.STOP if len(history.ids(TrialStatus.COMPLETED)) >= self._n else Progress.GO_ON


@final
class MaxTrialsFinished(StoppingCriterion):
    """STOP once ``n`` trials will never run again: completed, stopped or failed."""

    def __init__(self, n: int) -> None:
        _positive("max_num_trials_finished", n)
        self._n = n

    def check(self, history: History, now: float) -> Progress:
        """STOP when ``n`` trials are over."""
        del now
        return Progress.STOP if _n_finished(history) >= self._n else Progress.GO_ON


@final
class MaxEvaluations(StoppingCriterion):
    """STOP once ``n`` results were accepted."""

    def __init__(self, n: int) -> None:
        _positive("max_num_evaluations", n)
        self._n = n

    def check(self, history: History, now: float) -> Progress:
        """STOP when there are ``n`` results."""
        del now
        return Progress.STOP if history.n_results >= self._n else Progress.GO_ON


@final
class MaxCost(StoppingCriterion):
    """STOP once the runs have cost ``dollars``, resumed and repeated work included."""

    def __init__(self, dollars: float) -> None:
        _positive("max_cost", dollars)
        self._dollars = dollars

    def check(self, history: History, now: float) -> Progress:
        """STOP from that cost on."""
        del now
        return Progress.STOP if history.cost >= self._dollars else Progress.GO_ON


@final
class MetricReached(StoppingCriterion):
    """STOP once a result is at least as good as ``value``."""

    def __init__(self, metric: Metric, value: float) -> None:
        self._loss = metric.loss(value)
        self._best = _BestLoss(metric)

    def check(self, history: History, now: float) -> Progress:
        """STOP when the best result is good enough."""
        del now
        return Progress.STOP if self._best.of(history) <= self._loss else Progress.GO_ON


@final
class Plateau(StoppingCriterion):
    """STOP once ``n_results`` results in a row brought no improvement.

    Parameters
    ----------
    metric
        What should improve.
    n_results
        Results in a row that may bring nothing.
    tolerance
        An improvement that is not larger than this counts for nothing.
    """

    def __init__(self, metric: Metric, n_results: int, tolerance: float = 0.0) -> None:
        _positive("n_results", n_results)
        if tolerance < 0:
            raise SettingsError(f"tolerance must not be negative, it is {tolerance!r}")
        self._best = _BestLoss(metric, tolerance)
        self._n_results = n_results

    def check(self, history: History, now: float) -> Progress:
        """STOP when too many results came since the last improvement."""
        del now
        stale = math.isfinite(self._best.of(history)) and self._best.n_stale >= self._n_results
        return Progress.STOP if stale else Progress.GO_ON


def _n_finished(history: History) -> int:
    over = (TrialStatus.COMPLETED, TrialStatus.STOPPED, TrialStatus.FAILED)
    return sum(len(history.ids(status)) for status in over)


@final
class _BestLoss:
    """The best loss of a history, read on from where the last look ended."""

    def __init__(self, metric: Metric, tolerance: float = 0.0) -> None:
        self._metric = metric
        self._tolerance = tolerance
        self._begin(None)

    def _begin(self, history: History | None) -> None:
        self._history = None if history is None else weakref.ref(history)
        self._n_read = 0
        self._best = math.inf
        self.n_stale = 0

    def of(self, history: History) -> float:
        if self._history is None or self._history() is not history:
            self._begin(history)
        for _, result in history.results_since(self._n_read):
            self._n_read += 1
            loss = self._metric.loss_of(result.metrics)
            improved = math.isfinite(loss) and not loss >= self._best - self._tolerance
            self.n_stale = 0 if improved else self.n_stale + 1
            if improved:
                self._best = loss
        return self._best
