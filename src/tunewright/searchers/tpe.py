"""Multivariate tree-structured Parzen estimation for many workers: running trials count as bad ones.

References
----------
.. [Bergstra2011] Bergstra, Bardenet, Bengio, Kegl: Algorithms for Hyper-Parameter Optimization. NeurIPS 2011.
.. [Falkner2018] Falkner, Klein, Hutter: BOHB: Robust and Efficient Hyperparameter Optimization at Scale. ICML 2018.
.. [Ginsbourger2010] Ginsbourger, Le Riche, Carraro: Kriging Is Well-Suited to Parallelize Optimization. In Computational
   Intelligence in Expensive Optimization Problems, Springer 2010.
.. [Watanabe2023] Watanabe: Tree-Structured Parzen Estimator: Understanding Its Algorithm Components and Their Roles for
   Better Empirical Performance. arXiv 2304.11127.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SettingsError, check_at_least, choice
from tunewright.metric import Metric
from tunewright.models.arrays import Array, Indices
from tunewright.models.kde import ParzenEstimator
from tunewright.searchers.encoding import Failures, Observations, Snapshot
from tunewright.searchers.model_based import ModelBasedSearcher, Proposal, Proposer
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import UnitCube


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TPESettings:
    """How results are split, and how densities are estimated and drawn from.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    gamma: float = 0.15
    """The part of the results that is good, above 0 and below 1."""
    n_candidates: int = 24
    """Draws, of which the most promising is taken, >= 1."""
    n_initial: int = 10
    """Results before the densities are estimated, >= 2; trials until then are random."""
    min_bandwidth: float = 0.01
    """Of the unit interval, > 0; while a density has few observations, bandwidths are larger."""
    failures: Failures = Failures.IMPUTE
    """``impute``: failed trials and losses that are not finite are bad results; ``drop``: they are left out."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "failures", choice("failures", Failures, self.failures))
        if not 0.0 < self.gamma < 1.0:
            raise SettingsError(f"gamma={self.gamma} must be above 0 and below 1")
        if not self.min_bandwidth > 0:
            raise SettingsError(f"min_bandwidth={self.min_bandwidth} must be > 0")
        check_at_least(self, 1, "n_candidates")
        check_at_least(self, 2, "n_initial")


@final
class TPEProposer(Proposer):
    """Draws from the density of good results, ordered by the ratio of that density to the one of the others.

    Results are those of the highest level with ``n_initial`` of them; with fewer everywhere, trials are random. The good
    ones are the best ``gamma``, weighted by their distance to the best of the others ([Watanabe2023]_, section 3.2: "EI"). All others are bad, and so
    are failed trials and, until they report, running ones: they count with the worst value, the constant liar of
    [Ginsbourger2010]_, so that each of many workers draws where no other does.

    Parameters
    ----------
    cube
        The unit cube to search.
    settings
        How.
    """

    def __init__(self, cube: UnitCube, settings: TPESettings) -> None:
        self._cube = cube
        self._settings = settings
        self._counts = cube.n_categories
        self._least = np.maximum(settings.min_bandwidth, cube.spacings / 2)

    @override
    def propose(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        until: int | None = None,
    ) -> Proposal | None:
        """Most promising draw first."""
        level = snapshot.target_level(self._settings.n_initial)
        if level is None:
            return None
        rows = snapshot.succeeded_at(level)
        order = np.argsort(rows.losses, kind="stable")
        n_good = math.ceil(self._settings.gamma * len(rows))
        losses = rows.losses[order]
        weights = losses[min(n_good, len(rows) - 1)] - losses[:n_good]
        good = self._density(snapshot, rows.trials[order[:n_good]], weights)
        waiting = np.setdiff1d(snapshot.pending, rows.trials)
        bad = self._density(snapshot, np.concatenate([rows.trials[order[n_good:]], snapshot.failed, waiting]))
        points = self._cube.settled(self._cube.uncoded(good.draw(self._settings.n_candidates, rng)))
        codes = self._cube.coded(points)
        value = good.log_density(codes) - bad.log_density(codes)
        if len(snapshot.failed):
            value += self._log_success(snapshot, codes)
        return Proposal(points[np.argsort(-value, kind="stable")])

    def _log_success(self, snapshot: Snapshot, codes: Array) -> Array:
        """The logarithm of the probability of success at codes (m, p), (m,): by the densities of trials that succeeded and failed."""
        failed = np.log(len(snapshot.failed)) + self._density(snapshot, snapshot.failed).log_density(codes)
        others = np.log(len(snapshot.succeeded)) + self._density(snapshot, snapshot.succeeded).log_density(
            codes
        )
        return others - np.logaddexp(others, failed)

    def _density(self, snapshot: Snapshot, trials: Indices, weights: Array | None = None) -> ParzenEstimator:
        if weights is not None:
            weights = weights / weights.max() + 1e-12 if weights.max() > 0 else None
        codes = self._cube.coded(snapshot.points[trials])
        return ParzenEstimator(codes, self._counts, self._least, weights)


def tpe_searcher(
    context: SearcherContext,
    settings: TPESettings,
    *,
    metric: Metric,
    levels: Sequence[int] = (),
) -> ModelBasedSearcher:
    """A searcher by multivariate Parzen estimates, for any scheduler and any number of workers.

    Parameters
    ----------
    context
        Space, seed and initial points.
    settings
        How densities are estimated.
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
        TPEProposer(context.cube(), settings),
        Observations(context.space, metric, levels, failures=settings.failures),
        n_initial=1,
    )
