"""Bayesian optimisation of what earlier tasks do not predict: a process of the residuals of normal scores.

References
----------
.. [Salinas2020] Salinas, Shen, Perrone: A Quantile-based Approach for Hyperparameter Transfer Learning. ICML 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import numpy as np
from typing_extensions import override

from tunewright.metric import Metric
from tunewright.models.arrays import Array
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.surrogate import Pullback, Surrogate
from tunewright.searchers.encoding import Needed, Observations, Rows, Snapshot, limited
from tunewright.searchers.gp import (
    FittedProcess,
    GPProposer,
    GPSettings,
    Learned,
    Learner,
    column_groups,
    config_kernel,
    with_fantasies,
)
from tunewright.searchers.model_based import InitialProposer, ModelBasedSearcher
from tunewright.searchers.model_free import SearcherContext
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.transfer.sampling import QuantileProposer, QuantileSettings, model_of_tasks
from tunewright.transfer.task_models import ScoreModel, normal_scores


@final
class Rescaled(Surrogate):
    """Normal scores from their residuals: ``mu(x) + sigma(x) r(x)`` ([Salinas2020]_, section 4.3).

    Parameters
    ----------
    prior
        Of the scores of earlier tasks: mu and sigma.
    residual
        r.
    """

    def __init__(self, prior: ScoreModel, residual: Surrogate) -> None:
        self._prior = prior
        self._residual = residual

    @property
    @override
    def n_parts(self) -> int:
        """Those of the residual."""
        return self._residual.n_parts

    @override
    def means(self, a: Array) -> Array:
        mu, sigma = self._prior.scores(a)
        return mu[:, np.newaxis] + sigma[:, np.newaxis] * self._residual.means(a)

    @override
    def predict(self, a: Array) -> tuple[Array, Array]:
        mu, sigma = self._prior.scores(a)
        means, deviations = self._residual.predict(a)
        return mu[:, np.newaxis] + sigma[:, np.newaxis] * means, sigma * deviations

    @override
    def predict_with_pullback(self, a: Array) -> tuple[Array, Array, Pullback]:
        mu, sigma, back_to_prior = self._prior.scores_with_pullback(a)
        means, deviations, back_to_residual = self._residual.predict_with_pullback(a)

        def back(by_means: Array, by_deviations: Array) -> Array:
            by_sigma = (by_means * means).sum(axis=1) + by_deviations * deviations
            by_residual = back_to_residual(sigma[:, np.newaxis] * by_means, sigma * by_deviations)
            return back_to_prior(by_means.sum(axis=1), by_sigma) + by_residual

        return mu[:, np.newaxis] + sigma[:, np.newaxis] * means, sigma * deviations, back

    @override
    def samples(self, a: Array, normal: Array) -> Array:
        mu, sigma = self._prior.scores(a)
        return mu[:, np.newaxis] + sigma[:, np.newaxis] * self._residual.samples(a, normal)


@final
class ResidualLearner(Learner):
    """A process of the residuals ``(z - mu(x)) / sigma(x)`` of the present normal scores z ([Salinas2020]_, section 4.3).

    Residuals are near the standard normal distribution where earlier tasks predict the present one, so they are not
    standardised. Scores are those among all present results, of the highest level with enough of them; pending trials are
    fantasised at that level, wherever they are on their way to it.

    Parameters
    ----------
    context
        The space to tune.
    prior
        Of the scores of earlier tasks.
    settings
        Of the process.
    n_needed
        Results that it needs, >= 2.
    """

    def __init__(
        self, context: SearcherContext, prior: ScoreModel, settings: GPSettings, n_needed: int
    ) -> None:
        self._prior = prior
        self._settings = settings
        self._n_needed = n_needed
        groups = column_groups(context.space, settings.hamming_above)
        process = GaussianProcess(config_kernel(groups, input_warping=settings.input_warping))
        self._fitted = FittedProcess(process, "residual")

    @override
    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned | None:
        """None without enough results at any level."""
        level = snapshot.target_level(self._n_needed)
        if level is None:
            return None
        every = snapshot.rows.at_level(level)
        scored = Rows(every.trials, every.levels, normal_scores(every.losses))
        rows = limited(scored, self._settings.max_observations)
        x = snapshot.points[rows.trials]
        mu, sigma = self._prior.scores(x)
        name = f"residual {level}"
        posterior, fit = self._fitted.posterior(
            x, (rows.losses - mu) / sigma, snapshot.fits.get(name), len(every)
        )
        pending = snapshot.points[snapshot.pending]
        residual = with_fantasies(posterior, pending, self._settings.n_fantasies, rng)
        return Learned(Rescaled(self._prior, residual), x, {name: fit})


def copula_searcher(
    context: SearcherContext,
    evaluations: TransferEvaluations,
    settings: GPSettings,
    sampling: QuantileSettings,
    *,
    metric: Metric,
    levels: Sequence[int] = (),
) -> ModelBasedSearcher:
    """Bayesian optimisation of normal scores with the prior of earlier tasks, for any scheduler.

    The first trials are draws of that prior ([Salinas2020]_, section 4.2).

    Parameters
    ----------
    context
        Space, seed and initial points.
    evaluations
        Of earlier experiments, mapped to the space.
    settings
        Of the process of the residuals.
    sampling
        Of the prior and its draws.
    metric
        What is tuned.
    levels
        Resources at which results are compared, strictly increasing; empty: each trial's newest loss.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """
    cube = context.cube()
    prior = model_of_tasks(context.space, evaluations, sampling.max_evaluations)
    n_needed = Needed.HYPERPARAMETERS.results(context.space) if levels else 2
    learner = ResidualLearner(context, prior, settings, max(n_needed, 2))
    proposer = InitialProposer(
        QuantileProposer(cube, prior, sampling), settings.n_initial, GPProposer(learner, cube, settings)
    )
    observations = Observations(
        context.space, metric, levels, failures=settings.failures, stopped=settings.stopped
    )
    return ModelBasedSearcher(context, proposer, observations, n_initial=0)
