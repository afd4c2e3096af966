"""Several objectives: the ranking of trials at a rung, and the Pareto set of a History.

References
----------
.. [Schmucker2021] Schmucker, Donini, Zafar, Salinas, Archambeau: Multi-objective Asynchronous Successive Halving. 2021,
   arXiv 2106.12639.
.. [Salinas2021] Salinas, Perrone, Cruchant, Archambeau: A Multi-Objective Perspective on Jointly Tuning Hardware and
   Hyperparameters. 2021, arXiv 2106.05680.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import final

import numpy as np

from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.metric import Constraint, Metric
from tunewright.models.arrays import Array
from tunewright.models.pareto import epsilon_net_order, non_dominated_ranks, pareto_mask, scaled_to_range
from tunewright.trial import Result


class RankingKind(StrEnum):
    """Order of trials with several losses."""

    NON_DOMINATED = "non_dominated"
    """By fronts; within a front so that the first ones, however many, are spread over it."""
    LINEAR = "linear"
    """By the weighted sum of losses."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """Several metrics, and how trials are ranked by them ([Schmucker2021]_, section 3).

    All rankings look at losses in parts of the range that a rung's finite ones have, so that no unit counts more than
    another. A trial with a loss that is not finite is dominated by all: it is worst, and never promoted.

    Raises
    ------
    SettingsError
        There is no metric, or another number of weights, or a weight below 0.
    """

    metrics: tuple[Metric, ...]
    ranking: RankingKind = RankingKind.NON_DOMINATED
    weights: tuple[float, ...] | None = None
    """For ``linear``, >= 0, one for each metric; None: all equal."""

    def __post_init__(self) -> None:
        if not self.metrics:
            raise SettingsError("Objectives need a metric")
        try:
            object.__setattr__(self, "ranking", RankingKind(self.ranking))
        except ValueError:
            raise SettingsError(f"ranking={self.ranking!r} must be one of {', '.join(RankingKind)}") from None
        if self.weights is not None:
            if len(self.weights) != len(self.metrics):
                names = ", ".join(metric.name for metric in self.metrics)
                raise SettingsError(
                    f"weights has {len(self.weights)} values, but there are {len(self.metrics)} metrics: {names}"
                )
            check_weights(self.weights)

    def scores(self, losses: Sequence[tuple[float, ...]]) -> list[float]:
        """A number for each of n trials, lower is better; inf if a loss is not finite."""
        table = np.array(losses, dtype=np.float64).reshape(len(losses), len(self.metrics))
        finite = np.flatnonzero(np.isfinite(table).all(axis=1))
        scaled = scaled_to_range(table[finite])
        scores = np.full(len(table), np.inf)
        if self.ranking is RankingKind.LINEAR:
            scores[finite] = scaled @ np.array(self.weights or np.ones(len(self.metrics)))
        else:
            scores[finite] = _places(scaled)
        return scores.tolist()


def check_weights(weights: Sequence[float]) -> None:
    """Make sure that weights can be used.

    Raises
    ------
    SettingsError
        One is below 0 or not finite, or none is above 0.
    """
    if not all(0 <= weight < np.inf for weight in weights) or not any(weights):
        raise SettingsError(f"weights={tuple(weights)} must be >= 0, and one of them above 0")


def _places(losses: Array) -> Array:
    """0, 1, ... in the order of fronts and, within each, of its epsilon-net ([Salinas2021]_, section 3.2)."""
    ranks = non_dominated_ranks(losses)
    places = np.empty(len(losses))
    begin = 0
    for rank in range(int(ranks.max(initial=-1)) + 1):
        front = np.flatnonzero(ranks == rank)
        places[front[epsilon_net_order(losses[front])]] = np.arange(begin, begin + len(front))
        begin += len(front)
    return places


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
        The metrics to compare; one metric gives the best result alone.
    constraints
        Constraints on results; a result that breaks one is left out and dominates none.
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
