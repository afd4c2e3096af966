"""Model-based configuration with a random forest, for categories of many values and conditional spaces.

References
----------
.. [Ginsbourger2010] Ginsbourger, Le Riche, Carraro: Kriging Is Well-Suited to Parallelize Optimization. In Computational
   Intelligence in Expensive Optimization Problems, Springer 2010.
.. [Hutter2011] Hutter, Hoos, Leyton-Brown: Sequential Model-Based Optimization for General Algorithm Configuration. LION 5, 2011.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SettingsError, check_at_least, choice
from tunewright.metric import Metric
from tunewright.models.acquisition import log_h
from tunewright.models.arrays import Array
from tunewright.models.forest import RandomForest
from tunewright.models.targets import TargetTransform, transformed
from tunewright.searchers.encoding import Failures, Observations, Snapshot, limited
from tunewright.searchers.model_based import ModelBasedSearcher, Proposal, Proposer
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import UnitCube

_LEAST: Final = 2
"""Results that a forest needs."""
_LEAST_DEVIATION: Final = 1e-3
"""Of a prediction, in deviations of the targets: trees may agree by chance."""
_LEAST_SUCCESS: Final = 1e-3
_N_STARTS: Final = 5
"""Best known configurations and best candidates, each, from which the local search begins."""
_N_CHANGES: Final = 4
"""Changes of each hyperparameter in a neighbourhood ([Hutter2011]_, section 4.3)."""
_MOST_MOVES: Final = 10
_KEPT: Final = 64
"""Proposals, of which the first that is new is taken."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ForestSettings:
    """Settings of the forest and of the search by it.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    n_initial: int = 10
    """Trials before the model is asked, given points included, >= 1."""
    random_fraction: float = 0.2
    """Share of the later trials that are drawn at random, in [0, 1)."""
    n_trees: int = 20
    """Of the forest, >= 2."""
    n_candidates: int = 1000
    """Points, evenly spread, the best of which are improved, >= 1."""
    targets: TargetTransform = TargetTransform.LOG
    """Transformation of losses before the model learns: ``winsorize`` cuts off extreme ones, ``log`` and ``rank`` are for losses that
    diverge, ``power`` and ``box_cox`` make them close to normal, ``standardize`` changes their scale only."""
    max_observations: int = 500
    """Rows that a model learns from at most, >= 2."""
    failures: Failures = Failures.IMPUTE
    """``impute``: failed trials and losses that are not finite count with the worst finite loss, and the expected improvement
    is weighted by the probability of success; ``drop``: they are left out."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", choice("targets", TargetTransform, self.targets))
        object.__setattr__(self, "failures", choice("failures", Failures, self.failures))
        if not 0.0 <= self.random_fraction < 1.0:
            raise SettingsError(f"random_fraction={self.random_fraction} must be from 0 to below 1")
        check_at_least(self, 1, "n_initial", "n_candidates")
        check_at_least(self, 2, "n_trees", "max_observations")


@final
class ForestProposer(Proposer):
    """Maximises the logarithm of the expected improvement of a forest's prediction, by local search ([Hutter2011]_, section 4).

    A part of the trials is drawn at random. Running trials count with the mean of all results, so that many workers do not ask
    for the same (constant liar, [Ginsbourger2010]_). The probability of success is the mean of a second forest, once a trial has failed.

    Parameters
    ----------
    cube
        The unit cube to search.
    settings
        How.
    """

    def __init__(self, cube: UnitCube, settings: ForestSettings) -> None:
        self._cube = cube
        self._settings = settings
        self._counts = cube.n_categories

    @override
    def propose(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        until: int | None = None,
    ) -> Proposal | None:
        rows = limited(snapshot.rows, self._settings.max_observations)
        if len(rows) < _LEAST or rng.random() < self._settings.random_fraction:
            return None
        targets = transformed(rows.losses, self._settings.targets)
        values = np.append(targets, np.zeros(len(snapshot.pending)))
        forest = self._fitted(snapshot.points[np.append(rows.trials, snapshot.pending)], values, rng)
        success = self._success(snapshot, rng)
        best = float(targets.min())

        def log_improvement(points: Array) -> Array:
            codes = self._cube.coded(points)
            means, variances = forest.predict(codes)
            deviations = np.maximum(np.sqrt(variances), _LEAST_DEVIATION)
            logs = np.log(deviations) + log_h((best - means) / deviations)
            if success is not None:
                logs += np.log(np.maximum(success.predict(codes)[0], _LEAST_SUCCESS))
            return logs

        known = snapshot.points[rows.trials[np.argsort(rows.losses, kind="stable")[:_N_STARTS]]]
        return Proposal(self._best_points(log_improvement, known, rng))

    def _fitted(self, points: Array, values: Array, rng: np.random.Generator) -> RandomForest:
        forest = RandomForest(self._counts, self._settings.n_trees)
        forest.fit(self._cube.coded(points), values, rng)
        return forest

    def _success(self, snapshot: Snapshot, rng: np.random.Generator) -> RandomForest | None:
        """A forest of ones for trials that succeeded and zeros for those that failed; None while none has failed."""
        if not len(snapshot.failed):
            return None
        trials = np.append(snapshot.succeeded, snapshot.failed)
        return self._fitted(
            snapshot.points[trials], (~np.isin(trials, snapshot.failed)).astype(np.float64), rng
        )

    def _best_points(self, value: Callable[[Array], Array], known: Array, rng: np.random.Generator) -> Array:
        """Points (k, d), best first: candidates, and improved ones by moves to the best neighbour."""
        listed = self._cube.listed(rng)
        if listed is not None:
            return listed[np.argsort(-value(listed), kind="stable")[:_KEPT]]
        pool = self._cube.spread(self._settings.n_candidates, rng)
        values = value(pool)
        order = np.argsort(-values, kind="stable")
        points = np.concatenate([known, pool[order[:_N_STARTS]]])
        found = value(points)
        for _ in range(_MOST_MOVES):
            others = self._cube.exchanged(points, _N_CHANGES, rng)
            changed = value(others).reshape(len(points), -1)
            places = changed.argmax(axis=1)
            most = changed.max(axis=1)
            is_better = most > found
            if not is_better.any():
                break
            moved = others.reshape(len(points), -1, others.shape[1])[np.arange(len(points)), places]
            points, found = np.where(is_better[:, np.newaxis], moved, points), np.maximum(found, most)
        points, both = np.concatenate([points, pool]), np.concatenate([found, values])
        return points[np.argsort(-both, kind="stable")[:_KEPT]]


def forest_searcher(
    context: SearcherContext,
    settings: ForestSettings,
    *,
    metric: Metric,
) -> ModelBasedSearcher:
    """A searcher by a random forest, for any scheduler.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """
    return ModelBasedSearcher(
        context,
        ForestProposer(context.cube(), settings),
        Observations(context.space, metric, failures=settings.failures),
        n_initial=settings.n_initial,
    )
