"""Racing: trials of any scheduler stop as soon as their replicates are worse than those of the best trial."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import final

import numpy as np
from typing_extensions import override

from tunewright.metric import Constraint, Metric
from tunewright.models.ranks import signed_rank_p
from tunewright.replicates import NUMBER, Replicates, own_key
from tunewright.schedulers.stopping_rules import StoppingRule
from tunewright.trial import Result


@final
class Racing(StoppingRule):
    """A race of configurations over replicates, as a rule for :class:`~tunewright.schedulers.stopping_rules.RuleStopping`.

    After each replicate but the last, a trial is compared with the best trial that has all replicates: by the losses of the
    replicates that both have, paired by their number. It stops if its mean loss is higher and the one-sided signed-rank
    test of Wilcoxon (Individual comparisons by ranking methods, 1945) has a p-value up to ``replicates.significance``; so
    a trial that is better in the mean is never stopped. A trial with a non-finite loss stops at once, since its mean is
    not finite. Racing over
    instances by tests is the idea of F-Race (Birattari et al.: A racing algorithm for configuring metaheuristics, GECCO 2002).

    Parameters
    ----------
    replicates
        Their number, and the significance.
    metric
        The compared metric.
    constraints
        Constraints on the best trial.
    """

    def __init__(
        self,
        replicates: Replicates,
        *,
        metric: Metric,
        constraints: Sequence[Constraint] = (),
    ) -> None:
        self._replicates = replicates
        self._metric = metric
        self._constraints = tuple(constraints)
        self._losses: dict[int, dict[float, float]] = {}
        self._best: int | None = None
        self._best_loss = math.inf

    @override
    def reason(self, trial_id: int, result: Result) -> str | None:
        losses = self._losses.setdefault(trial_id, {})
        losses[result.metrics[NUMBER]] = self._metric.loss(result.metrics[own_key(self._metric.name)])
        if len(losses) < self._replicates.n:
            return self._reason_to_stop(losses)
        self._compare(trial_id, result)
        return None

    def _compare(self, trial_id: int, result: Result) -> None:
        """Compare a trial that has all replicates with the best one."""
        loss = self._metric.loss_of(result.metrics)
        if loss < self._best_loss and all(bound.is_met(result.metrics) for bound in self._constraints):
            self._best, self._best_loss = trial_id, loss

    def _reason_to_stop(self, losses: Mapping[float, float]) -> str | None:
        """Return why a trial cannot become the best, or is unlikely to; None if it may."""
        if self._replicates.significance == 0.0:
            return None
        if not all(map(math.isfinite, losses.values())):
            return "a replicate is not finite, so the mean is not"
        if self._best is None:
            return None
        best = self._losses[self._best]
        differences = [loss - best[number] for number, loss in losses.items() if number in best]
        if not math.fsum(differences) > 0.0:
            return None
        p = signed_rank_p(np.array(differences))
        if p > self._replicates.significance:
            return None
        return f"worse than trial {self._best} in {len(differences)} replicates, p={p:.3g}"
