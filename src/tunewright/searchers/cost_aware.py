"""Bayesian optimisation that asks what an evaluation costs.

References
----------
.. [Snoek2012] Snoek, Larochelle, Adams: Practical Bayesian Optimization of Machine Learning Algorithms. NeurIPS 2012.
.. [Lee2020] Lee, Perrone, Archambeau, Seeger: Cost-aware Bayesian Optimization. arXiv 2003.10870.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import final

import numpy as np
from typing_extensions import override

from tunewright.models.acquisition import LogExpectedImprovement, LogWeight, Weighted
from tunewright.models.arrays import Array, Indices
from tunewright.models.gp.kernels import Groups
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.linear_cost import LogCost, LogLinearCost, lines, log_targets
from tunewright.searchers.encoding import Fit, Rows, Snapshot, limited
from tunewright.searchers.gp import (
    FinalLossLearner,
    FittedProcess,
    GPSettings,
    Learned,
    Learner,
    config_kernel,
)


class CostModel(StrEnum):
    """Models of costs."""

    COARSE = "coarse"
    """Costs of whole trials."""
    LINEAR = "linear"
    """``a(x) + b(x) r`` after r units of resource, learned from every report."""


@final
class CostAwareLearner(Learner):
    """The expected improvement over a power of the predicted cost ([Snoek2012]_, section 3.2; [Lee2020]_, equation 2).

    The power is ``exponent``; with a ``budget`` it falls in proportion to the rest of it, from ``exponent`` after
    the initial trials to 0 at the end ([Lee2020]_, section 3: cost cooling), so that good expensive configurations have their
    turn.

    Parameters
    ----------
    groups
        Columns of the cube that share a length scale.
    settings
        Of the models.
    resource
        Of a full run, for the linear model of all reports: the snapshot's levels are 1, ..., ``resource``. None: the
        snapshot has no levels, and the newest cost of a trial is that of the whole.
    exponent
        >= 0.
    budget
        Sum of all costs, > 0; None: not known.
    """

    def __init__(
        self,
        groups: Groups,
        settings: GPSettings,
        *,
        resource: int | None = None,
        exponent: float = 1.0,
        budget: float | None = None,
    ) -> None:
        self._settings = settings
        self._resource = resource
        self._exponent = exponent
        self._budget = budget
        self._loss = FinalLossLearner(groups, settings)
        self._fitted = {
            name: FittedProcess(
                GaussianProcess(config_kernel(groups, input_warping=settings.input_warping)), name
            )
            for name in ("cost", "offset", "slope")
        }

    @override
    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned | None:
        """None below two final losses."""
        whole = snapshot if self._resource is None else _final(snapshot)
        learned = self._loss.learn(whole, rng)
        if learned is None:
            return None
        fits: dict[str, Fit] = dict(learned.fits)
        log_cost = self._coarse(whole, fits) if self._resource is None else self._linear(snapshot, fits)
        improvement = LogExpectedImprovement(
            learned.surrogate, learned.surrogate.means(learned.observed).min(axis=0)
        )
        acquisition = Weighted(improvement, log_cost, -self._power(whole))
        return Learned(learned.surrogate, learned.observed, fits, acquisition)

    def _power(self, whole: Snapshot) -> float:
        if self._budget is None:
            return self._exponent
        costs = np.maximum(whole.objectives[:, 1], 0.0)
        at_first = float(costs[whole.rows.trials < self._settings.n_initial].sum())
        left = self._budget - float(costs.sum())
        return self._exponent * min(max(left, 0.0) / max(self._budget - at_first, 1e-12), 1.0)

    def _coarse(self, whole: Snapshot, fits: dict[str, Fit]) -> LogWeight:
        return self._log_cost("cost", whole, whole.rows.trials, whole.objectives[:, 1], fits)

    def _linear(self, snapshot: Snapshot, fits: dict[str, Fit]) -> LogWeight:
        resource = float(self._resource or 1)
        reached = snapshot.rows.levels.astype(np.float64) + 1.0
        trials, offsets, slopes = lines(snapshot.rows.trials, reached, snapshot.objectives[:, 1])
        slope = self._log_cost("slope", snapshot, trials, slopes, fits)
        known = np.isfinite(offsets)
        if not (offsets[known] > 0).any():
            return LogLinearCost(None, slope, resource)
        offset = self._log_cost("offset", snapshot, trials[known], offsets[known], fits)
        return LogLinearCost(offset, slope, resource)

    def _log_cost(
        self, name: str, snapshot: Snapshot, trials: Indices, costs: Array, fits: dict[str, Fit]
    ) -> LogCost:
        rows = limited(Rows(trials, np.zeros_like(trials), costs), self._settings.max_observations)
        y, mean, deviation = log_targets(rows.losses)
        x = snapshot.points[rows.trials]
        posterior, fits[name] = self._fitted[name].posterior(x, y, snapshot.fits.get(name), len(trials))
        return LogCost(posterior, mean, deviation)


def _final(snapshot: Snapshot) -> Snapshot:
    """Of a snapshot at all levels, the newest row of each trial that does not run any more."""
    trials = snapshot.rows.trials
    newest = {int(trial): place for place, trial in enumerate(trials)}
    running = set(snapshot.pending.tolist())
    places = np.array(sorted(p for trial, p in newest.items() if trial not in running), dtype=np.intp)
    rows = Rows(trials[places], np.zeros(len(places), dtype=np.intp), snapshot.rows.losses[places])
    return replace(snapshot, rows=rows, objectives=snapshot.objectives[places])
