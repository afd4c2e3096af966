"""Racing: any scheduler, whose trials stop as soon as their replicates are worse than those of the best trial."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import final

import numpy as np
from typing_extensions import override

from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.metric import Constraint, Metric
from tunewright.replicates import NUMBER, Replicates, own_key
from tunewright.trial import Decision, Result, Resume, Run, Start, TrialStatus, Verdict


@final
class Racing(Scheduler):
    """A race of configurations over replicates, around any scheduler.

    After each replicate but the last, a trial is compared with the best trial that has all replicates: by the losses of the
    replicates that both have, paired by their number. It stops if its mean loss is higher and the one-sided signed-rank
    test of Wilcoxon (Individual comparisons by ranking methods, 1945) has a p-value up to ``replicates.significance``; so
    a trial that is better in the mean is never stopped. A trial with a non-finite loss stops at once, since its mean is
    not finite. A decision of the inner scheduler comes first: only trials that would run on are stopped. Racing over
    instances by tests is the idea of F-Race (Birattari et al.: A racing algorithm for configuring metaheuristics, GECCO 2002).

    Parameters
    ----------
    scheduler
        Decides everything else.
    replicates
        Their number, and the significance.
    metric
        The compared metric.
    constraints
        Constraints on the best trial.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        replicates: Replicates,
        *,
        metric: Metric,
        constraints: Sequence[Constraint] = (),
    ) -> None:
        self._scheduler = scheduler
        self._replicates = replicates
        self._metric = metric
        self._constraints = tuple(constraints)
        self._losses: dict[int, dict[float, float]] = {}
        self._best: int | None = None
        self._best_loss = math.inf

    @override
    def suggest(self, history: History) -> Start | Resume | None:
        return self._scheduler.suggest(history)

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        self._scheduler.on_trial_start(history, run)

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        verdict = self._scheduler.on_trial_result(history, trial_id, result)
        losses = self._losses.setdefault(trial_id, {})
        losses[result.metrics[NUMBER]] = self._metric.loss(result.metrics[own_key(self._metric.name)])
        if len(losses) == self._replicates.n:
            self._compare(trial_id, result)
            return verdict
        reason = self._reason_to_stop(losses)
        if verdict.decision is not Decision.CONTINUE or not reason:
            return verdict
        return Verdict(decision=Decision.STOP, reason=reason)

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        self._scheduler.on_trial_end(history, trial_id, status)

    @override
    def resumable(self, history: History) -> Collection[int]:
        return self._scheduler.resumable(history)

    def _compare(self, trial_id: int, result: Result) -> None:
        """Compare a trial that has all replicates with the best one."""
        loss = self._metric.loss_of(result.metrics)
        if loss < self._best_loss and all(bound.is_met(result.metrics) for bound in self._constraints):
            self._best, self._best_loss = trial_id, loss

    def _reason_to_stop(self, losses: Mapping[float, float]) -> str:
        """Return why a trial cannot become the best, or is unlikely to; empty if it may."""
        if self._replicates.significance == 0.0:
            return ""
        if not all(map(math.isfinite, losses.values())):
            return "a replicate is not finite, so the mean is not"
        if self._best is None:
            return ""
        best = self._losses[self._best]
        differences = [loss - best[number] for number, loss in losses.items() if number in best]
        if not math.fsum(differences) > 0.0:
            return ""
        p = signed_rank_p(differences)
        if p > self._replicates.significance:
            return ""
        return f"worse than trial {self._best} in {len(differences)} replicates, p={p:.3g}"


def signed_rank_p(differences: Sequence[float]) -> float:
    """Return the exact one-sided p-value of Wilcoxon's signed-rank test.

    This is the share of the ``2**n`` assignments of signs to the ranks of ``|differences|`` whose sum of positive ranks is
    at least the observed one. Zeros are left out, and equal values share their mean rank. SciPy's exact test ignores equal
    values, which losses of small folds often have.

    Parameters
    ----------
    differences
        Finite, in any order; the alternative is that they tend to be positive.
    """
    some = np.array([difference for difference in differences if difference != 0.0])
    size = np.abs(some)
    # twice the mean ranks, so that they are whole numbers
    ranks = (size[:, None] > size).sum(axis=1) + (size[:, None] >= size).sum(axis=1) + 1
    ways = np.ones(1)  # ways[w]: share of the assignments whose sum is w
    for rank in ranks:
        ways = (np.pad(ways, (0, rank)) + np.pad(ways, (rank, 0))) / 2
    return float(ways[ranks[some > 0.0].sum() :].sum())
