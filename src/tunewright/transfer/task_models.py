"""Normal scores of a task's losses, and a Gaussian process for each earlier task.

References
----------
.. [Salinas2020] Salinas, Shen, Perrone: A Quantile-based Approach for Hyperparameter Transfer Learning. ICML 2020.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, cast, final

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from tunewright.models.arrays import Array
from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.posterior import Posterior, factorise
from tunewright.models.gp.process import GaussianProcess, fit
from tunewright.models.surrogate import Pullback
from tunewright.searchers.encoding import Rows, limited
from tunewright.space import SearchSpace
from tunewright.transfer.evaluations import Task
from tunewright.types import Config


def normal_scores(losses: Array) -> Array:
    """Losses (n,) of one task as quantiles of the standard normal distribution, n >= 1; equal ones stay equal.

    ``z = Phi^-1(F(y))`` with the empirical distribution F, winsorised by ``1 / (4 n^(1/4) sqrt(pi log n))`` at both
    ends ([Salinas2020]_, section 4).
    """
    shares = rank_shares(losses)
    n = max(len(losses), 2)
    cut = 1.0 / (4.0 * n**0.25 * math.sqrt(math.pi * math.log(n)))
    return np.asarray(ndtri(np.clip(shares, cut, 1.0 - cut)), dtype=np.float64)


def rank_shares(values: Array) -> Array:
    """The share of values below each one, half of the equal ones and itself included: (n,), in (0, 1)."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - counts / 2.0
    return middle[places] / max(len(values), 1)


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

    def scores(self, a: Array) -> tuple[Array, Array]:
        """Means and deviations, both (m,), of scores at points (m, d): of the function and of observations around it."""
        means, deviations = self.posterior.predict(a)
        return means[:, 0], np.hypot(deviations, self.noise)

    def scores_with_pullback(self, a: Array) -> tuple[Array, Array, Pullback]:
        """As :meth:`scores`, and dF/dmeans (m,) and dF/ddeviations (m,) -> dF/dpoints (m, d)."""
        means, deviations, back_to_posterior = self.posterior.predict_with_pullback(a)
        spread = np.hypot(deviations, self.noise)

        def back(by_means: Array, by_spread: Array) -> Array:
            return back_to_posterior(by_means[:, np.newaxis], by_spread * deviations / spread)

        return means[:, 0], spread, back


def task_model(space: SearchSpace, task: Task) -> ScoreModel:
    """Return the model of a task. Of more than 200 trials the best 50 count, and an even choice of the others."""
    return score_model(space, task.configs, normal_scores(np.array(task.losses)), _MOST_ROWS)


def score_model(space: SearchSpace, configs: Sequence[Config], scores: Array, most: int) -> ScoreModel:
    """A process given scores (n,) of configurations, n >= 1, of which at most ``most`` count.

    A function of its arguments; if the fit fails, the prior's hyperparameters are taken.
    """
    zeros = np.zeros(len(scores), dtype=np.intp)
    every = cast("NDArray[np.intp]", np.arange(len(scores)))
    chosen = limited(Rows(every, zeros, scores), most).trials
    x, y = space.encode([configs[int(index)] for index in chosen]), scores[chosen]
    process = GaussianProcess(Matern52(space.n_columns))
    theta = fit(process, x, y, ()) if len(x) >= _LEAST_ROWS else None
    theta = process.prior.mean if theta is None else theta
    lower = factorise(process, theta, x, len(x)).lower
    return ScoreModel(
        Posterior(process, theta, x, lower, y[:, np.newaxis]), math.sqrt(process.read(theta).noise)
    )
