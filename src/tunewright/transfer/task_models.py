"""A Gaussian process for each earlier task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from tunewright.models.arrays import Array
from tunewright.models.gp.fit import fit
from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.posterior import Posterior, factorise
from tunewright.models.gp.process import GaussianProcess
from tunewright.searchers.encoding import Rows, limited
from tunewright.space import SearchSpace
from tunewright.transfer.copula import normal_scores
from tunewright.transfer.evaluations import Task
from tunewright.types import Config

_MOST_ROWS: Final = 200
_LEAST_ROWS: Final = 2


@final
@dataclass(frozen=True, slots=True)
class ScoreModel:
    """Normal scores over the unit cube."""

    posterior: Posterior
    """Of the function."""
    noise: float
    """Deviation of observations around it, > 0."""


def task_model(space: SearchSpace, task: Task) -> ScoreModel:
    """What a task tells. Of more than 200 trials the best 50 count, and an even choice of the others."""
    return score_model(space, task.configs, normal_scores(np.array(task.losses)), _MOST_ROWS)


def score_model(space: SearchSpace, configs: Sequence[Config], scores: Array, most: int) -> ScoreModel:
    """A process given scores (n,) of configurations, n >= 1, of which at most ``most`` count.

    A function of its arguments; where the fit fails, the prior's hyperparameters are taken.
    """
    zeros = np.zeros(len(scores), dtype=np.intp)
    chosen = limited(Rows(np.arange(len(scores)), zeros, scores), most).trials
    x, y = space.encode([configs[index] for index in chosen]), scores[chosen]
    process = GaussianProcess(Matern52(space.n_columns))
    theta = fit(process, x, y, ()) if len(x) >= _LEAST_ROWS else None
    theta = process.prior.mean if theta is None else theta
    lower = factorise(process, theta, x, len(x)).lower
    return ScoreModel(
        Posterior(process, theta, x, lower, y[:, np.newaxis]), math.sqrt(process.read(theta).noise)
    )
