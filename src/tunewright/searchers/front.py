"""The Pareto set of a History: the results that no other one dominates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tunewright.history import History
from tunewright.metric import Constraint, Metric
from tunewright.models.pareto import pareto_mask
from tunewright.trial import Result


def pareto_results(
    history: History, metrics: Sequence[Metric], constraints: Sequence[Constraint] = ()
) -> list[tuple[int, Result]]:
    """``(trial_id, result)`` of all results that no other dominates, best in the first metric first.

    Of equal ones the first counts. One that is not finite in every metric never does. A trial may be there several
    times, with different resources.

    Parameters
    ----------
    history
        Everything observed.
    metrics
        What is compared; one metric gives the best result alone.
    constraints
        What must hold of a result; one that breaks them is not among them, and dominates none.
    """
    pairs = [
        pair
        for pair in history.results_since(0)
        if all(constraint.is_met(pair[1].metrics) for constraint in constraints)
    ]
    losses = np.array(
        [[metric.loss_of(result.metrics) for metric in metrics] for _, result in pairs], dtype=np.float64
    ).reshape(len(pairs), len(metrics))
    unique: dict[tuple[float, ...], tuple[int, Result]] = {}
    for place in np.flatnonzero(pareto_mask(losses)).tolist():
        unique.setdefault(tuple(losses[place].tolist()), pairs[place])
    return [unique[key] for key in sorted(unique)]
