"""Bayesian optimisation with constraints that are measured as the objective is.

References
----------
.. [Gardner2014] Gardner, Kusner, Xu, Weinberger, Cunningham: Bayesian Optimization with Inequality Constraints.
   ICML 2014.
.. [Gelbart2014] Gelbart, Snoek, Adams: Bayesian Optimization with Unknown Constraints. UAI 2014.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from typing_extensions import override

from tunewright.metric import Constraint
from tunewright.models.acquisition import LogConstrainedImprovement
from tunewright.models.arrays import Array
from tunewright.models.gp.kernels import Groups
from tunewright.models.gp.posterior import Posterior
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.targets import standardised
from tunewright.searchers.encoding import Fit, Rows, Snapshot, limited
from tunewright.searchers.gp import (
    FittedProcess,
    GPSettings,
    Learned,
    Learner,
    Targets,
    config_kernel,
    with_fantasies,
)


@final
class ConstrainedLearner(Learner):
    """A process of the newest losses and one of each constraint's newest values, all independent.

    The acquisition function is the logarithm of the expected improvement over the best feasible trial, times the
    probability that all constraints hold ([Gardner2014]_, equation 5); until something feasible is known, that
    probability alone ([Gelbart2014]_, section 3.2). The bound is standardised with the values. Pending trials are
    fantasised in all processes.

    Parameters
    ----------
    groups
        Columns of the cube that share a length scale.
    settings
        Of the models.
    constraints
        Constraints, whose losses are the further columns of the snapshot's objectives, in this order; at least one.
    """

    def __init__(self, groups: Groups, settings: GPSettings, constraints: Sequence[Constraint]) -> None:
        self._settings = settings
        self._targets = Targets(settings.targets)
        self._limits = np.array([constraint.limit for constraint in constraints])
        self._names = ["gp", *(f"constraint {constraint}" for constraint in constraints)]
        self._fitted = [
            FittedProcess(GaussianProcess(config_kernel(groups, input_warping=settings.input_warping)), name)
            for name in self._names
        ]

    @override
    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned | None:
        rows = snapshot.rows
        if len(rows) < 2:
            return None
        excess = snapshot.objectives[:, 1:] - self._limits
        is_feasible = np.all(excess <= 0, axis=1)
        ranks = np.where(is_feasible, rows.losses, np.inf)
        kept = limited(Rows(np.arange(len(rows)), rows.levels, ranks), self._settings.max_observations).trials
        x = snapshot.points[rows.trials[kept]]
        feasible = np.flatnonzero(is_feasible[kept])
        targets = [self._targets.of(rows.losses[kept])]
        bounds: list[float] = []
        for column in excess[kept].T:
            values = standardised(np.append(column, 0.0))
            targets.append(values[:-1])
            bounds.append(float(values[-1]))
        fits: dict[str, Fit] = {}
        loss, *others = [self._posterior(k, x, y, snapshot, fits, rng) for k, y in enumerate(targets)]
        objective = (loss, loss.means(x[feasible]).min(axis=0)) if len(feasible) else None
        acquisition = LogConstrainedImprovement(objective, list(zip(others, bounds, strict=True)))
        if objective is None:
            return Learned(others[0], x, fits, acquisition)
        return Learned(loss, x[feasible], fits, acquisition)

    def _posterior(
        self, k: int, x: Array, y: Array, snapshot: Snapshot, fits: dict[str, Fit], rng: np.random.Generator
    ) -> Posterior:
        name = self._names[k]
        posterior, fits[name] = self._fitted[k].posterior(x, y, snapshot.fits.get(name), len(snapshot.rows))
        return with_fantasies(posterior, snapshot.points[snapshot.pending], self._settings.n_fantasies, rng)
