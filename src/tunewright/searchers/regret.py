"""Stopping criterion: a model's bound on the remaining regret.

References
----------
.. [Makarova2022] Makarova, Shen, Perrone, Klein, Faddoul, Krause, Seeger, Archambeau: Automatic Termination for
   Hyperparameter Optimization. AutoML 2022.
"""

from __future__ import annotations

import math
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import StopDecision, StoppingCriterion
from tunewright.metric import Metric
from tunewright.models.acquisition import LowerConfidenceBound
from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.posterior import Posterior, factorise
from tunewright.models.gp.process import GaussianProcess, fit
from tunewright.models.targets import standardised
from tunewright.searchers.acquisition_optimizer import N_INCUMBENTS, AcquisitionOptimizer
from tunewright.searchers.encoding import Observations
from tunewright.searchers.unit_cube import UnitCube
from tunewright.seeding import Stream, generator
from tunewright.space import SearchSpace
from tunewright.trial import TrialStatus

_WARM_UP: Final = 10
_LEAST_ROWS: Final = 20
_MOST_ROWS: Final = 200
_TOP: Final = 0.5
_DELTA: Final = 0.1
_SCALE: Final = 5.0


@final
class RegretBelow(StoppingCriterion):
    """STOP once the regret is at most ``threshold``, as far as a Gaussian process can tell ([Makarova2022]_, section 3).

    The bound is the smallest upper confidence bound among the configurations that were tried, less the smallest lower one
    anywhere: ``min ucb - min lcb`` with ``mu -+ sqrt(beta) sigma`` and ``beta = 2 log(d n^2 pi^2 / (6 delta)) / 5``,
    delta = 0.1, for d hyperparameters and n results. The model learns from the best half of the results, at least
    20, at most 200, since bad ones contribute little to the minimum. The bound is computed after each result of a whole trial, from
    the tenth on.

    Parameters
    ----------
    space, metric
        The space and the metric to tune.
    threshold
        On the metric's scale, > 0.
    max_resource
        Of a full run: trials that were cut short do not count; None: every trial that ended does.
    seed
        The experiment's seed: draws the candidates for the lowest lower bound.

    Raises
    ------
    SettingsError
        The threshold is not positive.
    """

    def __init__(
        self,
        space: SearchSpace,
        metric: Metric,
        threshold: float,
        *,
        max_resource: int | None = None,
        seed: int = 0,
    ) -> None:
        if not 0 < threshold < math.inf:
            raise SettingsError(f"stop_when_regret_below must be positive, not {threshold!r}")
        self._threshold = threshold
        self._seed = seed
        self._n_hyperparameters = len(space.domains)
        self._observations = Observations(space, metric, () if max_resource is None else (max_resource,))
        self._process = GaussianProcess(Matern52(space.n_columns))
        self._optimizer = AcquisitionOptimizer(UnitCube(space))
        self._known: tuple[bytes, float] = (b"", math.inf)
        self._seen = (-1, -1, -1)

    @override
    def check(self, history: History, now: float) -> StopDecision:
        """STOP if the bound is at most the threshold; the bound is computed only after something happened."""
        seen = (history.n_results, history.n_runs, len(history.ids(TrialStatus.RUNNING)))
        if seen == self._seen:
            return StopDecision.STOP if self._known[1] <= self._threshold else StopDecision.CONTINUE
        self._seen = seen
        return StopDecision.STOP if self.bound(history) <= self._threshold else StopDecision.CONTINUE

    def bound(self, history: History) -> float:
        """The bound on the regret, on the metric's scale, >= 0; ``inf`` below ten results. A function of History."""
        snapshot = self._observations.read(history)
        rows = snapshot.rows
        n, asked = len(rows), rows.trials.tobytes() + rows.losses.tobytes()
        if asked == self._known[0]:
            return self._known[1]
        self._known = (asked, math.inf)
        if n < _WARM_UP:
            return math.inf
        kept = np.argsort(rows.losses, kind="stable")[: min(max(_LEAST_ROWS, round(n * _TOP)), _MOST_ROWS)]
        x, losses = snapshot.points[rows.trials[kept]], rows.losses[kept]
        y, scale = standardised(losses), float(losses.std())
        theta = fit(self._process, x, y, ())
        theta = self._process.prior.mean if theta is None else theta
        lower = factorise(self._process, theta, x, len(x)).lower
        posterior = Posterior(self._process, theta, x, lower, y[:, np.newaxis])
        beta = 2.0 * math.log(self._n_hyperparameters * n**2 * math.pi**2 / (6.0 * _DELTA)) / _SCALE
        acquisition = LowerConfidenceBound(posterior, math.sqrt(beta))
        rng = generator(self._seed, Stream.MODEL, n)
        found = self._optimizer.best_points(acquisition, x[:N_INCUMBENTS], rng)[:1]
        means, deviations = posterior.predict(np.concatenate([found, x]))
        spread = math.sqrt(beta) * deviations
        least = float(np.min(means[:, 0] - spread))
        self._known = (asked, max(0.0, float(np.min((means[:, 0] + spread)[1:])) - least) * scale)
        return self._known[1]
