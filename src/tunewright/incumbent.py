"""The best result so far, and the trials in the order of their best results."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

from tunewright.history import History
from tunewright.metric import Constraint, Metric
from tunewright.trial import Result


@final
class Incumbent:
    """Follows the best result of a growing History; each result is looked at once.

    Parameters
    ----------
    metric
        What is compared. Non-finite values are never best; of equal ones the first is.
    constraints
        What must hold of the best result.
    """

    def __init__(self, metric: Metric, constraints: Sequence[Constraint] = ()) -> None:
        self.metric = metric
        self._constraints = tuple(constraints)
        self.trial_id: int | None = None
        """None until there is a finite value."""
        self.result: Result | None = None
        self._loss = math.inf
        self._n_seen = 0

    @property
    def value(self) -> float:
        """The best value; NaN until there is one."""
        return math.nan if self.result is None else self.result.metrics[self.metric.name]

    def update(self, history: History) -> bool:
        """Look at what is new; tell whether there is a new best one."""
        is_new = False
        for trial_id, result in history.results_since(self._n_seen):
            loss = self.metric.loss_of(result.metrics)
            if loss < self._loss and all(bound.is_met(result.metrics) for bound in self._constraints):
                self._loss, self.trial_id, self.result, is_new = loss, trial_id, result, True
        self._n_seen = history.n_results
        return is_new


def ranked_trials(
    history: History, metric: Metric, constraints: Sequence[Constraint] = ()
) -> list[tuple[int, Result]]:
    """List the trials with a finite result that meets the constraints, each with its best one.

    Returns
    -------
    list of pairs of trial id and result
        The best trial first; of equal ones the trial of the lower number.
    """
    best: dict[int, tuple[float, int, Result]] = {}
    for trial_id, result in history.results_since(0):
        loss = metric.loss_of(result.metrics)
        is_met = math.isfinite(loss) and all(bound.is_met(result.metrics) for bound in constraints)
        if is_met and (trial_id not in best or loss < best[trial_id][0]):
            best[trial_id] = (loss, trial_id, result)
    return [(trial_id, result) for _, trial_id, result in sorted(best.values(), key=lambda one: one[:2])]
