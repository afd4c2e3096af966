"""Bayesian optimisation with an ensemble of the earlier tasks' Gaussian processes and the present one's.

References
----------
.. [Feurer2018] Feurer, Letham, Bakshy: Scalable Meta-Learning for Bayesian Optimization using Ranking-Weighted Gaussian
   Process Ensembles. AutoML workshop at ICML 2018 (extended: arXiv 1802.02219).
.. [Wistuba2018] Wistuba, Schilling, Schmidt-Thieme: Scalable Gaussian Process-Based Transfer Surrogates for
   Hyperparameter Optimization. Machine Learning 107 (2018).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.metric import Metric
from tunewright.models.arrays import Array
from tunewright.models.gp.posterior import Posterior
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.surrogate import Pullback, Surrogate, WeightedSum, misranked, shares_of_wins
from tunewright.searchers.encoding import Observations, Snapshot, limited
from tunewright.searchers.gp import (
    FittedProcess,
    GPProposer,
    GPSettings,
    Learned,
    Learner,
    Targets,
    column_groups,
    config_kernel,
    with_fantasies,
)
from tunewright.searchers.model_based import ModelBasedSearcher
from tunewright.searchers.model_free import SearcherContext
from tunewright.space import SearchSpace
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.transfer.task_models import task_model

_N_DRAWS: Final = 100
_MOST_REFERENCES: Final = 60
_LEAST_RANKED: Final = 3
"""Results with which the present task's own process takes part."""
_DILUTING: Final = 0.95


class EnsembleDeviation(StrEnum):
    """Uncertainty of the ensemble."""

    TARGET = "target"
    """That of the present process ([Wistuba2018]_, section 4.2): earlier tasks say where, and not how surely."""
    SUM = "sum"
    """``sqrt(sum w^2 sigma^2)``, as if the processes were independent ([Feurer2018]_, section 4): it falls with their number."""


@final
class WithDeviation(Surrogate):
    """The means of one surrogate with the uncertainty of another one.

    Parameters
    ----------
    means
        Gives the means.
    target
        Gives deviations, and the shape of draws around the means. Its versions are among those of ``means``.
    """

    def __init__(self, means: Surrogate, target: Surrogate) -> None:
        self._means = means
        self._target = target

    @property
    @override
    def n_parts(self) -> int:
        """Those of the uncertain one."""
        return self._target.n_parts

    @override
    def means(self, a: Array) -> Array:
        return self._means.means(a)

    @override
    def predict(self, a: Array) -> tuple[Array, Array]:
        return self._means.means(a), self._target.predict(a)[1]

    @override
    def predict_with_pullback(self, a: Array) -> tuple[Array, Array, Pullback]:
        means, _, back_to_means = self._means.predict_with_pullback(a)
        own, deviations, back_to_target = self._target.predict_with_pullback(a)

        def back(by_means: Array, by_deviations: Array) -> Array:
            nothing = np.zeros(len(a))
            return back_to_means(by_means, nothing) + back_to_target(np.zeros_like(own), by_deviations)

        return means, deviations, back

    @override
    def samples(self, a: Array, normal: Array) -> Array:
        """Draws (m, k) of the uncertain surrogate, moved to the means."""
        moved = self._means.means(a)[:, :1] - self._target.means(a)[:, :1]
        return moved + self._target.samples(a, normal)


@final
class RankingEnsemble(Learner):
    """The weighted sum of a process for each task and one of the present results ([Feurer2018]_).

    A process's weight is the share of draws in which it misranks the fewest pairs of present results; the present
    process is judged by predictions of each result from the others, and wins if it is as good as any other. An
    earlier task whose median error is above the 95th percentile of the present process's has no weight (against
    "weight dilution"). With fewer than three results all tasks weigh the same.

    Parameters
    ----------
    space
        The space to tune.
    evaluations
        Of earlier experiments, mapped to it.
    settings
        Of the present process.
    deviation
        The ensemble's uncertainty.
    """

    def __init__(
        self,
        space: SearchSpace,
        evaluations: TransferEvaluations,
        settings: GPSettings,
        deviation: EnsembleDeviation = EnsembleDeviation.TARGET,
    ) -> None:
        tasks = [task for task in evaluations.tasks if task.configs]
        self._deviation = deviation
        self._settings = settings
        self._targets = Targets(settings.targets)
        self._earlier = [task_model(space, task).posterior for task in tasks]
        self._best_before = space.encode([task.best(1)[0] for task in tasks])
        groups = column_groups(space, settings.hamming_above)
        process = GaussianProcess(config_kernel(groups, input_warping=settings.input_warping))
        self._fitted = FittedProcess(process, "final loss")

    @override
    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned:
        """Always a surrogate, since earlier tasks are known from the beginning."""
        rows = limited(snapshot.rows, self._settings.max_observations)
        if len(rows) < _LEAST_RANKED:
            even = 1.0 / len(self._earlier)
            return Learned(WeightedSum([(one, even) for one in self._earlier]), self._best_before, {})
        x, y = snapshot.points[rows.trials], self._targets.of(rows.losses)
        posterior, fit = self._fitted.posterior(x, y, snapshot.fits.get("gp"), len(snapshot.rows))
        weights = self.weights(posterior, x, y, rng)
        present = with_fantasies(
            posterior, snapshot.points[snapshot.pending], self._settings.n_fantasies, rng
        )
        models: list[Surrogate] = [*self._earlier, present]
        parts = [(model, float(w)) for model, w in zip(models, weights, strict=True) if w > 0]
        ensemble = WeightedSum(parts)
        if self._deviation is EnsembleDeviation.SUM:
            return Learned(ensemble, x, {"gp": fit})
        return Learned(WithDeviation(ensemble, present), x, {"gp": fit})

    def weights(self, posterior: Posterior, x: Array, y: Array, rng: np.random.Generator) -> Array:
        """Of each task and, last, of the present process: (tasks + 1,), >= 0, sum 1.

        Parameters
        ----------
        posterior
            Of the present results.
        x, y
            These results: points (n, d) and targets (n,).
        rng
            Draws functions.
        """
        n = min(len(y), _MOST_REFERENCES)
        places = np.unique(np.linspace(0, len(y) - 1, n).round().astype(np.intp))
        points, targets = x[places], y[places]
        errors: list[Array] = []
        for one in self._earlier:
            draws = one.samples(points, rng.standard_normal((len(places), _N_DRAWS)))
            errors.append(misranked(targets, draws))
        means, deviations = posterior.left_out()
        normal = rng.standard_normal((len(places), _N_DRAWS))
        own = misranked(targets, means[places, np.newaxis] + deviations[places, np.newaxis] * normal)
        limit = np.quantile(own, _DILUTING)
        kept = [np.where(np.median(one) > limit, np.inf, one) for one in errors]
        return shares_of_wins(np.array([*kept, own]))


def transfer_gp_searcher(
    context: SearcherContext,
    evaluations: TransferEvaluations,
    settings: GPSettings,
    *,
    metric: Metric,
    deviation: EnsembleDeviation = EnsembleDeviation.TARGET,
) -> ModelBasedSearcher:
    """Bayesian optimisation with the models of earlier tasks, for any scheduler.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """
    learner = RankingEnsemble(context.space, evaluations, settings, deviation)
    return ModelBasedSearcher(
        context,
        GPProposer(learner, context.cube(), settings),
        Observations(context.space, metric, failures=settings.failures, stopped=settings.stopped),
        n_initial=settings.n_initial,
    )
