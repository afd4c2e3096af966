"""BORE: propose configurations that a classifier predicts to be among the best.

References
----------
.. [Tiao2021] Tiao, Klein, Seeger, Bonilla, Archambeau, Ramos: BORE: Bayesian Optimization by Density-Ratio Estimation.
   ICML 2021.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SettingsError, check_at_least, choice
from tunewright.metric import Metric
from tunewright.models.trees import BoostedClassifier
from tunewright.searchers.encoding import Failures, Needed, Observations, Snapshot
from tunewright.searchers.model_based import ModelBasedSearcher, Proposal, Proposer
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import UnitCube

_KEPT: Final = 32
"""Proposals, of which the first that is new is taken."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BORESettings:
    """Settings of BORE: the share of good results, the classifier, and the candidates.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    gamma: float = 0.25
    """The part of the results that is good, above 0 and below 1."""
    n_trees: int = 30
    """Rounds of boosting, >= 1."""
    n_candidates: int = 500
    """Points, evenly spread, whose probabilities are compared, >= 2."""
    n_initial: int = 6
    """Trials before the classifier is asked, given points included, >= 1."""
    needed: Needed = Needed.HYPERPARAMETERS
    """Results that a level needs: one more than there are ``hyperparameters`` (at most 10), or encoded ``columns``; at least 4."""
    failures: Failures = Failures.IMPUTE
    """``impute``: failed trials and losses that are not finite count with the worst finite loss at their level so far;
    ``drop``: they are left out."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "failures", choice("failures", Failures, self.failures))
        object.__setattr__(self, "needed", choice("needed", Needed, self.needed))
        if not 0.0 < self.gamma < 1.0:
            raise SettingsError(f"gamma={self.gamma} must be above 0 and below 1")
        if self.n_candidates < 2:
            raise SettingsError(f"n_candidates={self.n_candidates} must be >= 2")
        check_at_least(self, 1, "n_trees", "n_initial")


@final
class BOREProposer(Proposer):
    """Orders candidates by the probability of being among the best ``gamma`` of all results ([Tiao2021]_, section 4).

    That probability is in proportion to the expected improvement over the ``gamma``-quantile of the losses. Results are
    those of the highest level with at least ``n_needed`` of them; with fewer everywhere, or if
    all are equal, trials are random. Failed trials are not good at any level.

    Parameters
    ----------
    cube
        The unit cube to search.
    settings
        How.
    n_needed
        Results that a level needs; at least 4 in any case.
    """

    def __init__(self, cube: UnitCube, settings: BORESettings, n_needed: int) -> None:
        self._cube = cube
        self._n_needed = max(n_needed, 4)
        self._settings = settings

    @override
    def propose(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        until: int | None = None,
    ) -> Proposal | None:
        """Most probable one first; equal ones in random order."""
        level = snapshot.target_level(self._n_needed)
        if level is None:
            return None
        rows = snapshot.succeeded_at(level)
        is_good = rows.losses <= np.quantile(rows.losses, self._settings.gamma, method="higher")
        is_good = np.append(is_good, np.zeros(len(snapshot.failed), dtype=bool))
        if is_good.all():
            return None
        x = snapshot.points[np.append(rows.trials, snapshot.failed)]
        classifier = BoostedClassifier(self._settings.n_trees)
        classifier.fit(x, is_good.astype(np.float64), rng)
        candidates = self._cube.spread(self._settings.n_candidates, rng)
        best = np.argsort(-classifier.probability(candidates), kind="stable")[:_KEPT]
        return Proposal(candidates[best])


def bore_searcher(
    context: SearcherContext,
    settings: BORESettings,
    *,
    metric: Metric,
    levels: Sequence[int] = (),
) -> ModelBasedSearcher:
    """A searcher by density-ratio estimation, for any scheduler.

    Parameters
    ----------
    context
        Space, seed and initial points.
    settings
        Of the classifier.
    metric
        What is tuned.
    levels
        Resources at which results are compared, strictly increasing; empty: each trial's newest loss.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """
    return ModelBasedSearcher(
        context,
        BOREProposer(context.cube(), settings, settings.needed.results(context.space)),
        Observations(context.space, metric, levels, failures=settings.failures),
        n_initial=settings.n_initial,
    )
