"""Sampling from the distribution of good configurations of earlier tasks.

References
----------
.. [Salinas2020] Salinas, Shen, Perrone: A Quantile-based Approach for Hyperparameter Transfer Learning. ICML 2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import check_at_least
from tunewright.metric import Metric
from tunewright.searchers.encoding import Failures, Observations, Snapshot
from tunewright.searchers.gp import SuccessModel
from tunewright.searchers.model_based import ModelBasedSearcher, Proposal, Proposer
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import SearchSpace
from tunewright.transfer.evaluations import TransferEvaluations
from tunewright.transfer.task_models import ScoreModel, normal_scores, score_model

_KEPT: Final = 32
_MOST_LISTED: Final = 2048


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class QuantileSettings:
    """Settings of sampling from earlier tasks.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    n_candidates: int = 2000
    """Random points, each of which draws a score, >= 1."""
    max_evaluations: int = 500
    """Earlier trials that the regression learns from at most, >= 1."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "n_candidates", "max_evaluations")


@final
class QuantileProposer(Proposer):
    """Copula Thompson sampling ([Salinas2020]_, section 4.2): each candidate draws a score, the lowest wins.

    Losses of each task become normal scores; one Gaussian process of the scores of all tasks gives mean and deviation
    (that of the function, and how far tasks differ) at each candidate. Losses of the present experiment do
    not enter: this is a distribution to sample from, as random search does from the space. Once its trials have failed, the
    logarithm of the probability of success is taken off the draws.

    Parameters
    ----------
    cube
        The unit cube to search.
    model
        Of the scores.
    settings
        How many candidates.
    """

    def __init__(self, cube: UnitCube, model: ScoreModel, settings: QuantileSettings) -> None:
        self._cube = cube
        self._model = model
        self._success = SuccessModel(cube.n_columns)
        self._settings = settings

    @override
    def propose(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        until: int | None = None,
    ) -> Proposal:
        """The candidates with the lowest draws first."""
        candidates = self._cube.everything
        if candidates is None:
            candidates = self._cube.spread(self._settings.n_candidates, rng)
        elif len(candidates) > _MOST_LISTED:
            candidates = rng.choice(candidates, _MOST_LISTED, replace=False)
        means, deviations = self._model.scores(candidates)
        drawn = means + deviations * rng.standard_normal(len(candidates))
        log_success, fits = self._success.learn(snapshot)
        if log_success is not None:
            drawn -= log_success(candidates)[0]
        return Proposal(candidates[np.argsort(drawn, kind="stable")[:_KEPT]], snapshot.note_of(fits))


def model_of_tasks(space: SearchSpace, evaluations: TransferEvaluations, most: int) -> ScoreModel:
    """Return a process of the normal scores of all tasks, of which at most ``most`` trials count."""
    tasks = [task for task in evaluations.tasks if task.configs]
    configs = [config for task in tasks for config in task.configs]
    scores = np.concatenate([normal_scores(np.array(task.losses)) for task in tasks])
    return score_model(space, configs, scores, most)


def quantile_searcher(
    context: SearcherContext,
    evaluations: TransferEvaluations,
    settings: QuantileSettings,
    *,
    metric: Metric,
    failures: Failures = Failures.IMPUTE,
) -> ModelBasedSearcher:
    """A searcher that samples from the distribution of good configurations, for any scheduler.

    Parameters
    ----------
    context
        Space, seed and initial points.
    evaluations
        Of earlier experiments, mapped to the space.
    settings
        How many count.
    metric
        What is tuned.
    failures
        Whether failed trials of the present experiment count.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """
    model = model_of_tasks(context.space, evaluations, settings.max_evaluations)
    return ModelBasedSearcher(
        context,
        QuantileProposer(context.cube(), model, settings),
        Observations(context.space, metric, failures=failures),
        n_initial=0,
    )
