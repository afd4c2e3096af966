"""PB2's explore step: the hyperparameters of a new member by a bandit on a time-varying Gaussian process.

References
----------
.. [ParkerHolder2020] Parker-Holder, Nguyen, Roberts: Provably Efficient Online Hyperparameter Optimization with
   Population-Based Bandits. NeurIPS 2020.
.. [Bogunovic2016] Bogunovic, Scarlett, Cevher: Time-Varying Gaussian Process Bandit Optimization. AISTATS 2016.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tunewright.history import History
from tunewright.metric import Metric
from tunewright.models.acquisition import Acquisition, LowerConfidenceBound
from tunewright.models.arrays import Array
from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.posterior import Posterior
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.gp.resource_kernels import ResourceProduct, forgetting
from tunewright.models.surrogate import AtResource
from tunewright.models.targets import standardised
from tunewright.schedulers.pbt import Explorer, Perturbation, with_kept
from tunewright.searchers.acquisition_optimizer import AcquisitionOptimizer
from tunewright.searchers.gp import FittedProcess, column_groups
from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import SearchSpace
from tunewright.trial import Checkpoint, TrialStatus
from tunewright.types import Config

_LEAST: Final = 4
"""Intervals with a known improvement from which the process is asked."""
_MOST: Final = 200
"""Newest intervals that the process learns from."""
_MOST_VALUES: Final = 5
"""Values of a category that have a length scale each."""


class Intervals(NamedTuple):
    """Improvements of the metric over the intervals of all members, oldest trial first."""

    points: Array
    """(n, d + 1): configurations in the unit cube, and the beginning of the interval in numbers of intervals."""
    changes: Array
    """(n,): change of the loss from the beginning to the end; the worst finite one if a loss is not finite."""


def intervals_of(history: History, space: SearchSpace, metric: Metric, interval: int) -> Intervals:
    """Return what each configuration changed while it was used.

    An interval counts if the loss at its beginning is known: the trial's own, or that of the trial whose checkpoint it
    began with.

    Parameters
    ----------
    history, space, metric
        The experiment.
    interval
        Units of resource after which members pause, >= 1.
    """
    trials: list[int] = []
    begins: list[int] = []
    changes: list[float] = []
    for run in history.runs:
        if run.attempt:
            continue
        losses = {result.resource: metric.loss_of(result.metrics) for result in history.results(run.trial_id)}
        source = run.from_checkpoint
        if source is not None:
            at_source = [r for r in history.results(source.trial_id) if r.resource == source.resource]
            losses |= {r.resource: metric.loss_of(r.metrics) for r in at_source}
        known = sorted(r for r in losses if r % interval == 0 or r == max(losses))
        for begin, end in pairwise(known):
            trials.append(run.trial_id)
            begins.append(begin)
            changes.append(losses[end] - losses[begin])
    values = np.array(changes, dtype=np.float64)
    finite = np.isfinite(values)
    values[~finite] = values[finite].max(initial=-np.inf)
    configs = [history.trial(trial_id).config for trial_id in trials]
    encoded = space.encode(configs) if configs else np.empty((0, space.n_columns))
    times = np.array(begins, dtype=np.float64)[:, np.newaxis] / interval
    return Intervals(np.hstack([encoded, times]), values)


@final
class BanditExplorer(Explorer):
    """The configuration with the best optimistic improvement over the next interval ([ParkerHolder2020]_, section 4).

    A Gaussian process of the loss's change over an interval, given the configuration and the time: a product of
    Matern-5/2 over configurations and ``(1 - omega)^(|t - t'| / 2)`` over intervals ([Bogunovic2016]_, equation 2), whose
    omega is fitted, so that old results are forgotten as fast as the data say. Changes are compared with those of
    the same time; the paper standardises them all together. The lowest confidence bound at the time of the checkpoint is taken; running members count as if their means had been observed, which narrows the bound there
    (Algorithm 2). Before four intervals are known, the checkpoint's configuration is perturbed as in PBT.

    Numbers, ordered lists and categories are all chosen by the process; ``kept`` hyperparameters are the source's.

    Parameters
    ----------
    space, metric
        The space, and the metric whose improvement counts.
    interval
        Units of resource after which members pause, >= 1.
    kappa
        Deviations below the mean, >= 0.
    perturbation
        Makes configurations before the process is asked.
    kept
        Hyperparameters that a checkpoint depends on.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        metric: Metric,
        interval: int,
        kappa: float,
        perturbation: Perturbation,
        kept: tuple[str, ...],
    ) -> None:
        self._space = space
        self._metric = metric
        self._interval = interval
        self._kappa = kappa
        self._perturbation = perturbation
        self._kept = kept
        self._optimizer = AcquisitionOptimizer(UnitCube(space))
        process = GaussianProcess(ResourceProduct(Matern52(column_groups(space, _MOST_VALUES)), forgetting()))
        self._fitted = FittedProcess(process, "improvement")
        names = [name for name, domain in space.domains.items() for _ in range(domain.width)]
        self._is_kept = np.array([name in kept for name in names], dtype=np.bool_)

    @override
    def explored(self, history: History, source: Checkpoint, rng: np.random.Generator) -> Config | None:
        known = intervals_of(history, self._space, self._metric, self._interval)
        if len(known.changes) < _LEAST or not np.isfinite(known.changes).all():
            return self._perturbation.explored(history, source, rng)
        config = history.trial(source.trial_id).config
        parent = self._space.encode([config])
        surrogate = AtResource(self._posterior(history, known), source.resource / self._interval)
        acquisition = _Kept(LowerConfidenceBound(surrogate, self._kappa), self._is_kept, parent[0])
        for point in self._optimizer.best_points(acquisition, parent, rng):
            found = self._space.decode(point[np.newaxis])[0]
            found = with_kept(self._space, found, config, self._kept)
            if not history.contains(found) and self._space.allows(found):
                return found
        return self._perturbation.explored(history, source, rng)

    def _posterior(self, history: History, known: Intervals) -> Posterior:
        x = known.points[-_MOST:]
        y = _standardised_by_time(x[:, -1], known.changes[-_MOST:])
        posterior, _ = self._fitted.posterior(x, y, None, len(x))
        running = list(history.ids(TrialStatus.RUNNING))
        if not running:
            return posterior
        configs = self._space.encode([history.trial(trial_id).config for trial_id in running])
        times = np.array([[history.run(trial_id).resume_from / self._interval] for trial_id in running])
        return posterior.fantasised(np.hstack([configs, times]), np.zeros((len(running), 1)))


def _standardised_by_time(times: Array, changes: Array) -> Array:
    """Changes (n,) of mean 0 and deviation 1 among those of the same time; losses fall far more at first than later."""
    y = np.zeros_like(changes)
    for time in np.unique(times):
        here = times == time
        y[here] = standardised(changes[here])
    return y


@final
class _Kept(Acquisition):
    """An acquisition function of points some of whose columns are replaced by those of one point."""

    def __init__(self, inner: Acquisition, is_kept: NDArray[np.bool_], point: Array) -> None:
        self._inner = inner
        self._is_kept = is_kept
        self._point = point

    @override
    def values(self, a: Array) -> Array:
        return self._inner.values(np.where(self._is_kept, self._point, a))

    @override
    def values_and_gradient(self, a: Array) -> tuple[Array, Array]:
        values, gradient = self._inner.values_and_gradient(np.where(self._is_kept, self._point, a))
        return values, np.where(self._is_kept, 0.0, gradient)
