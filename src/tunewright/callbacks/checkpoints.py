"""Checkpoint policies: removal of checkpoints of paused trials that are unlikely to be resumed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias, cast, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import CheckpointPolicy
from tunewright.metric import Metric
from tunewright.models.arrays import from_scipy
from tunewright.trial import Checkpoint, TrialStatus


@final
class RemoveUnneededCheckpoints(CheckpointPolicy):
    """Removes each checkpoint as soon as no trial can need it (``--delete_checkpoints``)."""

    @override
    def select_unneeded(self, history: History, unneeded: Sequence[Checkpoint]) -> Iterable[Checkpoint]:
        return unneeded


Ahead: TypeAlias = Callable[[History], float]
"""Remaining part of the experiment as a multiple of the part until now, >= 0."""

_PRIOR_MEAN: Final = 1 / 3
_PRIOR_SIZE: Final = 2.0
_STEPS: Final = 25
_MOST_AHEAD: Final = 500


@final
class RemoveEarly(CheckpointPolicy):
    """Keeps at most ``most`` checkpoints of paused trials: those with the highest expected cost of removal.

    For methods that promote the best ``1 / eta`` of each rung. The expected cost is ``level * P(resumed)``: the resource
    that the trial would have to repeat, times the probability of its promotion before the end of the experiment
    (`promotion_probability`). A trial that is promoted nevertheless starts from scratch; its repeated reports do not
    count. Checkpoints that no trial needs are removed as well.

    Parameters
    ----------
    most
        Maximum number of checkpoints of paused trials, >= 1.
    metric
        Metric of the rungs.
    eta
        Reduction factor of the rungs, >= 2.
    ahead
        Estimates the remaining part of the experiment.

    Raises
    ------
    SettingsError
        ``most`` is below 1.
    """

    def __init__(self, most: int, *, metric: Metric, eta: float, ahead: Ahead) -> None:
        if most < 1:
            raise SettingsError(f"max_num_checkpoints must be >= 1, not {most}")
        self._most = most
        self._metric = metric
        self._eta = eta
        self._ahead = ahead
        self._n_seen = 0
        self._n_runs = 0
        self._rungs: dict[int, dict[int, float]] = {}

    @override
    def select_unneeded(self, history: History, unneeded: Sequence[Checkpoint]) -> Iterable[Checkpoint]:
        return unneeded

    @override
    def select_paused(self, history: History, paused: Sequence[Checkpoint]) -> Iterable[Checkpoint]:
        """Select the excess over ``most``, least valuable first; among equal ones those of later trials."""
        if len(paused) <= self._most:
            return ()
        self._read(history)
        ahead = self._ahead(history)
        coming: dict[int, int] = {}
        for trial_id in history.ids(TrialStatus.RUNNING):
            until = history.until(trial_id)
            if until is not None:
                coming[until] = coming.get(until, 0) + 1
        ordered = {level: sorted(losses.values()) for level, losses in self._rungs.items()}

        def value(checkpoint: Checkpoint) -> float:
            level = max((r for r, losses in self._rungs.items() if checkpoint.trial_id in losses), default=0)
            losses = ordered.get(level, [])
            if not losses:
                return 0.0
            rank = losses.index(self._rungs[level][checkpoint.trial_id]) + 1
            n_ahead = min(math.ceil(len(losses) * ahead) + coming.get(level, 0), _MOST_AHEAD)
            return level * promotion_probability(rank, len(losses), n_ahead, self._eta)

        worst = sorted(paused, key=lambda one: (value(one), -one.trial_id))
        return worst[: len(paused) - self._most]

    def _read(self, history: History) -> None:
        """Add new results to the rungs, whose levels are the ``until`` of the runs."""
        for run in history.runs[self._n_runs :]:
            if run.until is not None:
                self._rungs.setdefault(run.until, {})
        self._n_runs = history.n_runs
        for trial_id, result in history.results_since(self._n_seen):
            if result.resource in self._rungs:
                self._rungs[result.resource][trial_id] = self._metric.loss_of(result.metrics)
        self._n_seen = history.n_results


def promotion_probability(rank: int, n: int, n_ahead: int, eta: float) -> float:
    """Probability that a trial ranks among the best ``floor(n / eta)`` of its rung while further results arrive.

    Whether a further result is better than the trial's is drawn with an unknown probability whose prior is
    Beta(2/3, 4/3); the rung's other results make it Beta(2/3 + better, 4/3 + worse). So the number of better ones
    among t further ones is Beta-binomial, and the trial is in time if its rank then is at most ``floor((n + t) / eta)``.
    Returned is the largest of these probabilities for 25 values of t up to ``n_ahead``: at most that of ever being promoted.

    Parameters
    ----------
    rank
        Rank of the trial among the n results of its rung, from 1.
    n
        Number of results of the rung, the trial's included.
    n_ahead
        Number of further results, >= 0.
    eta
        Reduction factor, >= 2.
    """
    if rank <= n // eta:
        return 1.0
    a = _PRIOR_MEAN * _PRIOR_SIZE + rank - 1
    b = (1.0 - _PRIOR_MEAN) * _PRIOR_SIZE + n - rank
    gammaln, betaln = from_scipy("special", "gammaln"), from_scipy("special", "betaln")
    best = 0.0
    for t in np.unique(np.linspace(0, n_ahead, _STEPS).round().astype(int)).tolist():
        most_better = min(math.floor((n + t) / eta) - rank, t)
        if most_better < 0:
            continue
        better = cast("NDArray[np.intp]", np.arange(most_better + 1))
        log_choose = gammaln(t + 1) - gammaln(better + 1) - gammaln(t - better + 1)
        log_mass = log_choose + betaln(better + a, t - better + b) - betaln(a, b)
        best = max(best, min(1.0, float(np.exp(log_mass).sum())))
    return best


def ahead_by_limits(max_wallclock_time: float | None, max_num_trials: int | None) -> Ahead:
    """Remaining part by two limits, of which the smaller counts; without limits, as much as until now."""

    def ahead(history: History) -> float:
        shares: list[float] = []
        newest = history.results_since(max(history.n_results - 1, 0))
        if max_wallclock_time is not None and newest and newest[-1][1].time > 0:
            shares.append(max(0.0, max_wallclock_time / newest[-1][1].time - 1.0))
        if max_num_trials is not None and history.n_trials:
            shares.append(max(0.0, max_num_trials / history.n_trials - 1.0))
        return min(shares, default=1.0)

    return ahead
