"""Stopping criteria, combined with ``|`` (the strictest decision) and ``&`` (the mildest decision).

Criteria on started trials answer NO_NEW_TRIALS, so that running trials end by themselves; those on time, cost and metrics
answer STOP.

Examples
--------
Ten minutes at most, ten trials at most::

    stop_when = MaxWallclockTime(600) | MaxTrialsStarted(10)
"""

from __future__ import annotations

import math
import weakref
from typing import final

from typing_extensions import override

from tunewright.exceptions import SettingsError
from tunewright.history import History, KnownResults, known_resource
from tunewright.interfaces import StopDecision, StoppingCriterion
from tunewright.metric import Metric
from tunewright.trial import TrialStatus


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise SettingsError(f"{name} must be positive, not {value!r}")


@final
class Never(StoppingCriterion):
    """Continues until the scheduler has nothing left to run."""

    def __or__(self, other: StoppingCriterion) -> StoppingCriterion:
        """Return the other criterion, which is at least as strict."""
        return other

    @override
    def check(self, history: History, now: float) -> StopDecision:
        return StopDecision.CONTINUE


@final
class MaxWallclockTime(StoppingCriterion):
    """STOP when the experiment's clock has reached ``seconds``."""

    def __init__(self, seconds: float) -> None:
        _positive("max_wallclock_time", seconds)
        self._seconds = float(seconds)

    @override
    def check(self, history: History, now: float) -> StopDecision:
        """STOP from the deadline on."""
        return StopDecision.STOP if now >= self._seconds else StopDecision.CONTINUE

    @override
    def deadline(self) -> float:
        return self._seconds


@final
class MaxTrialsStarted(StoppingCriterion):
    """NO_NEW_TRIALS once ``n`` trials were begun: exactly ``n`` are. Trials that begin with known results do not count."""

    def __init__(self, n: int) -> None:
        _positive("max_num_trials", n)
        self._n = n
        self._known = KnownResults()

    @override
    def check(self, history: History, now: float) -> StopDecision:
        """NO_NEW_TRIALS when no further trial may begin."""
        n_trained = history.n_trials - self._known.n_trials(history)
        return StopDecision.NO_NEW_TRIALS if n_trained >= self._n else StopDecision.CONTINUE


@final
class MaxTrialsCompleted(StoppingCriterion):
    """STOP once ``n`` trials have completed."""

    def __init__(self, n: int) -> None:
        _positive("max_num_trials_completed", n)
        self._n = n

    @override
    def check(self, history: History, now: float) -> StopDecision:
        """STOP when ``n`` trials are COMPLETED."""
        return (
            StopDecision.STOP if len(history.ids(TrialStatus.COMPLETED)) >= self._n else StopDecision.CONTINUE
        )


@final
class MaxTrialsFinished(StoppingCriterion):
    """STOP once ``n`` trials will never run again: completed, stopped or failed."""

    def __init__(self, n: int) -> None:
        _positive("max_num_trials_finished", n)
        self._n = n

    @override
    def check(self, history: History, now: float) -> StopDecision:
        """STOP when ``n`` trials are over."""
        return StopDecision.STOP if _n_finished(history) >= self._n else StopDecision.CONTINUE


@final
class MaxEvaluations(StoppingCriterion):
    """STOP once ``n`` results were accepted. Known results do not count."""

    def __init__(self, n: int) -> None:
        _positive("max_num_evaluations", n)
        self._n = n
        self._known = KnownResults()

    @override
    def check(self, history: History, now: float) -> StopDecision:
        """STOP when there are ``n`` results."""
        if history.n_results < self._n:
            return StopDecision.CONTINUE
        n_reported = history.n_results - self._known.n_results(history)
        return StopDecision.STOP if n_reported >= self._n else StopDecision.CONTINUE


@final
class MaxCost(StoppingCriterion):
    """Ends before the runs cost more than ``dollars`` (US), resumed and repeated work included.

    The forecast is the cost per unit of resource so far. NO_NEW_TRIALS if the rest of the live runs and one more run of
    mean length would exceed the limit; STOP if the next report of each live run would. There is no forecast before the
    first report.
    """

    def __init__(self, dollars: float) -> None:
        _positive("max_cost", dollars)
        self._dollars = dollars
        self._work = _Work()

    @override
    def check(self, history: History, now: float) -> StopDecision:
        """NO_NEW_TRIALS or STOP if the forecast exceeds the limit."""
        cost, work = history.cost, self._work
        work.read(history)
        if cost >= self._dollars:
            return StopDecision.STOP
        if not work.done:
            return StopDecision.CONTINUE
        price, step = cost / work.done, work.done / work.n_results
        left = [work.left(history, trial_id) for trial_id in history.ids(TrialStatus.RUNNING)]
        if left and cost + price * sum(min(step, one) for one in left) > self._dollars:
            return StopDecision.STOP
        coming = price * (sum(left) + work.done / history.n_runs)
        return StopDecision.NO_NEW_TRIALS if cost + coming > self._dollars else StopDecision.CONTINUE


@final
class MetricReached(StoppingCriterion):
    """STOP once a result is at least as good as ``value``."""

    def __init__(self, metric: Metric, value: float) -> None:
        self._loss = metric.loss(value)
        self._best = _BestLoss(metric)

    @override
    def check(self, history: History, now: float) -> StopDecision:
        """STOP when the best result is good enough."""
        return StopDecision.STOP if self._best.of(history) <= self._loss else StopDecision.CONTINUE


@final
class Plateau(StoppingCriterion):
    """STOP once ``n_results`` results in a row brought no improvement.

    Parameters
    ----------
    metric
        Metric to improve.
    n_results
        Results in a row without an improvement, >= 1.
    tolerance
        Largest improvement that does not count, on the metric's scale, >= 0.
    """

    def __init__(self, metric: Metric, n_results: int, tolerance: float = 0.0) -> None:
        _positive("n_results", n_results)
        if tolerance < 0:
            raise SettingsError(f"tolerance must not be negative, it is {tolerance!r}")
        self._best = _BestLoss(metric, tolerance)
        self._n_results = n_results

    @override
    def check(self, history: History, now: float) -> StopDecision:
        """STOP when too many results came since the last improvement."""
        stale = math.isfinite(self._best.of(history)) and self._best.n_stale >= self._n_results
        return StopDecision.STOP if stale else StopDecision.CONTINUE


@final
class NoBetterTrial(StoppingCriterion):
    """STOP once ``n_trials`` new trials in a row have reported, and none was better than the best one before.

    Parameters
    ----------
    metric
        Metric to improve.
    n_trials
        Number of trials, >= 1.
    """

    def __init__(self, metric: Metric, n_trials: int) -> None:
        _positive("n_trials", n_trials)
        self._best = _BestLoss(metric)
        self._n_trials = n_trials

    @override
    def check(self, history: History, now: float) -> StopDecision:
        """STOP when too many trials came since the last improvement."""
        stale = math.isfinite(self._best.of(history)) and self._best.n_stale_trials >= self._n_trials
        return StopDecision.STOP if stale else StopDecision.CONTINUE


def _n_finished(history: History) -> int:
    over = (TrialStatus.COMPLETED, TrialStatus.STOPPED, TrialStatus.FAILED)
    return sum(len(history.ids(status)) for status in over)


@final
class _BestLoss:
    """The best loss of a history, updated by the results since the last call."""

    def __init__(self, metric: Metric, tolerance: float = 0.0) -> None:
        self._metric = metric
        self._tolerance = tolerance
        self._begin(None)

    def _begin(self, history: History | None) -> None:
        self._history = None if history is None else weakref.ref(history)
        self._n_read = 0
        self._best = math.inf
        self.n_stale = 0
        """Results since the last improvement."""
        self.n_stale_trials = 0
        """Trials whose first result came since the last improvement."""
        self._reported: set[int] = set()

    def of(self, history: History) -> float:
        if self._history is None or self._history() is not history:
            self._begin(history)
        for trial_id, result in history.results_since(self._n_read):
            self._n_read += 1
            is_new = trial_id not in self._reported and not known_resource(history, trial_id)
            self._reported.add(trial_id)
            loss = self._metric.loss_of(result.metrics)
            improved = math.isfinite(loss) and not loss >= self._best - self._tolerance
            self.n_stale = 0 if improved else self.n_stale + 1
            self.n_stale_trials = 0 if improved else self.n_stale_trials + is_new
            if improved:
                self._best = loss
        return self._best


class _Work:
    """The resource that a history's runs have used, updated by the results since the last call."""

    def __init__(self) -> None:
        self._begin(None)

    def _begin(self, history: History | None) -> None:
        self._history = None if history is None else weakref.ref(history)
        self._last: dict[int, int] = {}
        self._longest = 0
        self.n_results = 0
        self.done = 0
        """Of all trials together, in units of resource."""

    def read(self, history: History) -> None:
        """Read the new results."""
        if self._history is None or self._history() is not history:
            self._begin(history)
        for trial_id, result in history.results_since(self.n_results):
            self.n_results += 1
            before = self._last.get(trial_id, history.run(trial_id).resume_from)
            if result.resource > known_resource(history, trial_id):
                self.done += max(1, result.resource - before)
            self._last[trial_id] = result.resource
            self._longest = max(self._longest, result.resource)

    def left(self, history: History, trial_id: int) -> int:
        """Remaining resource of a run: to its ``until``, else to the highest resource of any trial."""
        goal = history.until(trial_id) or self._longest
        return max(0, goal - self._last.get(trial_id, history.run(trial_id).resume_from))
