"""CQR: propose the candidates with the lowest draws from conformal quantiles.

References
----------
.. [Salinas2023] Salinas, Golebiowski, Klein, Seeger, Archambeau: Optimizing Hyperparameters with Conformal Quantile
   Regression. ICML 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import check_at_least, choice
from tunewright.metric import Metric
from tunewright.models.trees import ConformalQuantiles
from tunewright.searchers.encoding import Failures, Observations, Snapshot
from tunewright.searchers.model_based import ModelBasedSearcher, Proposal, Proposer
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import UnitCube

_KEPT: Final = 32
"""Proposals, of which the first that is new is taken."""
_LEAST: Final = 2
"""Results that a regression needs."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CQRSettings:
    """Settings of CQR: the quantiles, and the number of candidates.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    n_quantiles: int = 5
    """Evenly spaced ones, >= 1."""
    n_trees: int = 100
    """Rounds of boosting for each quantile, >= 1."""
    n_candidates: int = 2000
    """Random points that are compared, >= 1."""
    n_initial: int = 5
    """Trials before the model is asked, given points included, >= 1."""
    failures: Failures = Failures.IMPUTE
    """``impute``: failed trials and losses that are not finite count with the worst finite loss at their level so far;
    ``drop``: they are left out."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "failures", choice("failures", Failures, self.failures))
        check_at_least(self, 1, "n_quantiles", "n_trees", "n_candidates", "n_initial")


@final
class CQRProposer(Proposer):
    """Thompson sampling from quantiles: each candidate draws one of its own, the lowest wins ([Salinas2023]_, Algorithm 1).

    A trial counts with its newest loss, wherever it was paused or stopped, as the paper has it for successive halving.

    Parameters
    ----------
    cube
        The unit cube to search.
    settings
        How.
    """

    def __init__(self, cube: UnitCube, settings: CQRSettings) -> None:
        self._cube = cube
        self._settings = settings

    @override
    def propose(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        until: int | None = None,
    ) -> Proposal | None:
        rows, n_levels = snapshot.rows, self._settings.n_quantiles
        if len(rows) < _LEAST:
            return None
        levels = [(i + 1) / (n_levels + 1) for i in range(n_levels)]
        quantiles = ConformalQuantiles(levels, self._settings.n_trees)
        quantiles.fit(snapshot.points[rows.trials], rows.losses, rng)
        candidates = self._cube.spread(self._settings.n_candidates, rng)
        drawn = rng.integers(n_levels, size=len(candidates))
        losses = quantiles.predict(candidates)[drawn, np.arange(len(candidates))]
        return Proposal(candidates[np.argsort(losses, kind="stable")[:_KEPT]])


def cqr_searcher(
    context: SearcherContext,
    settings: CQRSettings,
    *,
    metric: Metric,
) -> ModelBasedSearcher:
    """A searcher by conformal quantile regression, for any scheduler.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """
    return ModelBasedSearcher(
        context,
        CQRProposer(context.cube(), settings),
        Observations(context.space, metric, failures=settings.failures),
        n_initial=settings.n_initial,
    )
