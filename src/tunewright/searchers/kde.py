"""Tree-structured Parzen estimation: draw where good results are dense and bad ones are not.

References
----------
.. [Bergstra2011] Bergstra, Bardenet, Bengio, Kegl: Algorithms for Hyper-Parameter Optimization. NeurIPS 2011.
.. [Falkner2018] Falkner, Klein, Hutter: BOHB: Robust and Efficient Hyperparameter Optimization at Scale. ICML 2018.
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
from tunewright.models.arrays import Array
from tunewright.models.kde import KernelDensity
from tunewright.searchers.encoding import Failures, Observations, Rows, Snapshot
from tunewright.searchers.model_based import ModelBasedSearcher, Proposal, Proposer
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import UnitCube


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KDESettings:
    """How densities are estimated and drawn from.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    top_n_percent: float = 15.0
    """Percentage of the results that are good, > 0 and < 100."""
    min_bandwidth: float = 1e-3
    """Of the unit interval, > 0."""
    n_candidates: int = 64
    """Draws, of which the most promising is taken, >= 1."""
    bandwidth_factor: float = 3.0
    """How much wider draws are spread than the density, > 0."""
    random_fraction: float = 0.33
    """Share of the trials that are drawn at random, in [0, 1]."""
    extra_points: int = 1
    """N_min, the least number of results of each density, is the number of hyperparameters plus this, >= 0. The paper
    has 1."""
    failures: Failures = Failures.IMPUTE
    """``impute``: failed trials and losses that are not finite count with the worst finite loss at their level so far;
    ``drop``: they are left out."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "failures", choice("failures", Failures, self.failures))
        if not 0 < self.top_n_percent < 100:
            raise SettingsError(f"top_n_percent={self.top_n_percent} must be above 0 and below 100")
        if not 0 <= self.random_fraction <= 1:
            raise SettingsError(f"random_fraction={self.random_fraction} must be from 0 to 1")
        check_at_least(self, 0, "extra_points")
        for name in ("min_bandwidth", "n_candidates", "bandwidth_factor"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"{name}={getattr(self, name)} must be > 0")


@final
class KDEProposer(Proposer):
    """Draws from the density of good results, ordered by the ratio of that density to the one of the others.

    Results are those of the highest level with N_min + 2 of them, where N_min is p + 1 for p hyperparameters; with fewer
    everywhere, trials are random. The good ones are ``top_n_percent``, at least N_min; the bad ones are the others, at
    least N_min, so that at first some are both ([Falkner2018]_, equation 3 and section 4.1).
    Failed trials are bad at every level.

    Parameters
    ----------
    cube
        The unit cube to search.
    settings
        How.
    """

    def __init__(self, cube: UnitCube, settings: KDESettings) -> None:
        self._cube = cube
        self._settings = settings
        self._counts = cube.n_categories
        self._least = len(self._counts) + settings.extra_points

    @override
    def propose(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        until: int | None = None,
    ) -> Proposal | None:
        """Most promising draw first."""
        level = snapshot.target_level(self._least + 2)
        if level is None or rng.random() < self._settings.random_fraction:
            return None
        good, bad = self._densities(snapshot, snapshot.succeeded_at(level))
        drawn = good.draw(self._settings.n_candidates, self._settings.bandwidth_factor, rng)
        points = self._cube.uncoded(drawn)
        ratio = good.log_density(drawn) - bad.log_density(drawn)
        return Proposal(points[np.argsort(-ratio, kind="stable")])

    def _densities(self, snapshot: Snapshot, rows: Rows) -> tuple[KernelDensity, KernelDensity]:
        n = len(rows)
        n_good = max(self._least, math.ceil(n * self._settings.top_n_percent / 100))
        n_bad = max(self._least, n - n_good)
        ordered = rows.trials[np.argsort(rows.losses, kind="stable")]
        good, bad = ordered[:n_good], np.concatenate([ordered[-n_bad:], snapshot.failed])
        return self._density(snapshot.points[good]), self._density(snapshot.points[bad])

    def _density(self, points: Array) -> KernelDensity:
        return KernelDensity(self._cube.coded(points), self._counts, self._settings.min_bandwidth)


def kde_searcher(
    context: SearcherContext,
    settings: KDESettings,
    *,
    metric: Metric,
    levels: Sequence[int] = (),
) -> ModelBasedSearcher:
    """A searcher by density estimates, for any scheduler.

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
        KDEProposer(context.cube(), settings),
        Observations(context.space, metric, levels, failures=settings.failures),
        n_initial=1,
    )
