"""Bayesian optimisation of several objectives: a Gaussian process for each, and two ways to choose."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SettingsError, check_at_least, choice
from tunewright.metric import Metric
from tunewright.models.acquisition import Acquisition, Weighted
from tunewright.models.arrays import Array, Indices
from tunewright.models.gp.kernels import Groups
from tunewright.models.gp.posterior import Posterior
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.objective_acquisition import (
    ExpectedHypervolumeImprovement,
    Scalarization,
    ScalarizedLowerBound,
    stacked_boxes,
)
from tunewright.models.pareto import (
    crowded_order,
    epsilon_net_order,
    non_dominated_boxes,
    pareto_mask,
    scaled_to_range,
)
from tunewright.models.targets import TargetTransform, winsorised
from tunewright.searchers.acquisition_optimizer import N_INCUMBENTS, AcquisitionOptimizer
from tunewright.searchers.encoding import Failures, Fit, Observations, Snapshot
from tunewright.searchers.gp import (
    FittedProcess,
    SuccessModel,
    check_hamming,
    column_groups,
    config_kernel,
    with_fantasies,
)
from tunewright.searchers.model_based import ModelBasedSearcher, Proposal, Proposer
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import UnitCube

_TOP_FRACTION: Final = 0.25
_REFERENCE_QUANTILE: Final = 0.9
_MOST_IN_FRONT: Final = {1: 1, 2: 64, 3: 20, 4: 9}
"""Number of objectives -> maximum Pareto points used for the box decomposition; larger fronts are subsampled."""
_MOST_IN_FRONT_BEYOND: Final = 6
_LINEAR: Final = (TargetTransform.WINSORIZE, TargetTransform.STANDARDIZE)
_LINEAR_NAMES: Final = " or ".join(_LINEAR)
_HUGE: Final = 1e150
"""Losses above this are divided by the largest one, since their squares would overflow."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectiveModelSettings:
    """Settings of the Gaussian processes of several objectives.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    n_initial: int = 6
    """Trials before the models are asked, given points included, >= 2."""
    n_fantasies: int = 8
    """Draws of what pending trials might give, >= 0; 0: pending trials are ignored."""
    input_warping: bool = False
    """Whether numeric columns are warped by learned exponents."""
    max_observations: int = 500
    """Trials that the models learn from at most, >= 2."""
    targets: TargetTransform = TargetTransform.WINSORIZE
    """``winsorize``: losses far worse than most are cut off, and then have mean 0 and deviation 1; ``standardize``: nothing is cut
    off."""
    failures: Failures = Failures.IMPUTE
    """``impute``: failed trials and losses that are not finite count with the worst finite loss at their level so far,
    and the acquisition function is weighted by the probability of success; ``drop``: they are left out."""
    hamming_above: int | None = 5
    """A category of more values has one length scale (a Hamming kernel), one of fewer a length scale for each value, >= 1;
    None: all categories have a length scale for each value."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "failures", choice("failures", Failures, self.failures))
        object.__setattr__(self, "targets", choice("targets", TargetTransform, self.targets))
        if self.targets not in _LINEAR:
            raise SettingsError(
                f"targets={self.targets} is not possible with several objectives: only {_LINEAR_NAMES}"
            )
        check_at_least(self, 0, "n_fantasies")
        check_at_least(self, 2, "n_initial", "max_observations")
        check_hamming(self.hamming_above)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarizationSettings:
    """Settings of a searcher that draws the weight of each objective anew for each trial.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    models: ObjectiveModelSettings = ObjectiveModelSettings()
    scalarization: Scalarization = Scalarization.CHEBYSHEV
    """``chebyshev`` or ``linear``."""
    weights: tuple[float, ...] | None = None
    """Fixed weights >= 0, one for each objective; None: drawn evenly from those that add up to 1."""
    kappa: float = 2.0
    """Deviations below the mean, >= 0."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "scalarization", choice("scalarization", Scalarization, self.scalarization))
        check_at_least(self, 0, "kappa")
        if self.weights is not None and not (
            min(self.weights, default=-1.0) >= 0 < sum(self.weights) < math.inf
        ):
            raise SettingsError(f"weights={self.weights} must be >= 0 and finite, and one of them above 0")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HypervolumeSettings:
    """Settings of a searcher that maximises the expected improvement of the hypervolume.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    models: ObjectiveModelSettings = ObjectiveModelSettings()
    reference: tuple[float, ...] | None = None
    """The metrics' values that bound the hypervolume; None: what nine in ten trials are better than, and at least a tenth of
    the front's extent behind its worst values."""
    improvement_floor: float = 0.0
    """Added to the expected improvement, >= 0: above 0, points whose improvement is far smaller tie."""

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.reference or ())):
            raise SettingsError(f"reference={self.reference} must be finite")
        check_at_least(self, 0.0, "improvement_floor")


@final
@dataclass(frozen=True, slots=True)
class LearnedObjectives:
    """Posteriors of the objectives at one instant, with losses shifted and scaled to mean 0 and deviation 1."""

    surrogates: Sequence[Posterior]
    means: Array
    """(n, s, k): their means at the points observed or pending, in s versions."""
    n_observed: int
    """Rows of ``means`` that were observed; they come first."""
    shift: Array
    """(k,)"""
    scale: Array
    """(k,), > 0"""


class Chooser(ABC):
    """Builds an acquisition function from learned objectives."""

    @abstractmethod
    def acquisition(self, learned: LearnedObjectives, rng: np.random.Generator) -> Acquisition:
        """A function of the arguments."""


@final
class ScalarizedChooser(Chooser):
    """Draws weights.

    Parameters
    ----------
    settings
        Scalarisation and weights.
    """

    def __init__(self, settings: ScalarizationSettings) -> None:
        self._settings = settings

    @override
    def acquisition(self, learned: LearnedObjectives, rng: np.random.Generator) -> Acquisition:
        """Objectives count from the best seen, in deviations of all that was observed."""
        k = learned.means.shape[2]
        given = self._settings.weights
        weights = rng.dirichlet(np.ones(k)) if given is None else np.array(given) / sum(given)
        seen = learned.means[: learned.n_observed].mean(axis=1)
        return ScalarizedLowerBound(
            learned.surrogates,
            weights,
            ideal=seen.min(axis=0),
            kappa=self._settings.kappa,
            how=self._settings.scalarization,
        )


@final
class HypervolumeChooser(Chooser):
    """Expects an improvement of the hypervolume.

    Parameters
    ----------
    reference
        Losses (k,) that bound it; None: derived from the front.
    """

    def __init__(self, reference: Array | None, floor: float = 0.0) -> None:
        self._reference = reference
        self._floor = floor

    @override
    def acquisition(self, learned: LearnedObjectives, rng: np.random.Generator) -> Acquisition:
        """Each version has its own front: what pending trials may give is in it."""
        reference = self._bound(learned)
        boxes = [
            non_dominated_boxes(_front(version), reference) for version in np.moveaxis(learned.means, 1, 0)
        ]
        return ExpectedHypervolumeImprovement(learned.surrogates, stacked_boxes(boxes), floor=self._floor)

    def _bound(self, learned: LearnedObjectives) -> Array:
        if self._reference is not None:
            return (self._reference - learned.shift) / learned.scale
        seen = learned.means[: learned.n_observed].mean(axis=1)
        front = seen[pareto_mask(seen)]
        behind = front.max(axis=0) + 0.1 * np.ptp(front, axis=0)
        return np.maximum(behind, np.quantile(seen, _REFERENCE_QUANTILE, axis=0))


def _front(losses: Array) -> Array:
    """The rows that none dominates, thinned if they are too many."""
    front = np.unique(losses[pareto_mask(losses)], axis=0)
    most = _MOST_IN_FRONT.get(losses.shape[1], _MOST_IN_FRONT_BEYOND)
    return front if len(front) <= most else front[epsilon_net_order(scaled_to_range(front))[:most]]


@final
class ObjectivesProposer(Proposer):
    """Maximise an acquisition function of one Gaussian process for each objective's newest losses.

    Parameters
    ----------
    cube
        The unit cube to search.
    names
        Of the objectives, for messages.
    groups
        Columns of the cube that share a length scale.
    settings
        Of the models.
    chooser
        Builds the acquisition function.
    """

    def __init__(
        self,
        cube: UnitCube,
        names: Sequence[str],
        groups: Groups,
        settings: ObjectiveModelSettings,
        chooser: Chooser,
    ) -> None:
        self._optimizer = AcquisitionOptimizer(cube)
        self._settings = settings
        self._chooser = chooser
        kernel = config_kernel(groups, input_warping=settings.input_warping)
        self._fitted = [FittedProcess(GaussianProcess(kernel), name) for name in names]
        self._success = SuccessModel(cube.n_columns)

    @override
    def propose(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        until: int | None = None,
    ) -> Proposal | None:
        if len(snapshot.rows) < 2:
            return None
        kept = _kept(snapshot.objectives, self._settings.max_observations)
        points = snapshot.points[snapshot.rows.trials[kept]]
        learned, fits = self._learn(snapshot, points, snapshot.objectives[kept], rng)
        seen = learned.means[: len(points)].mean(axis=1)
        front = np.flatnonzero(pareto_mask(seen))
        spread = epsilon_net_order(scaled_to_range(seen[front]))
        incumbents = points[front[spread[:N_INCUMBENTS]]]
        acquisition = self._chooser.acquisition(learned, rng)
        log_success, fit = self._success.learn(snapshot)
        weighted = acquisition if log_success is None else Weighted(acquisition, log_success, 1.0)
        found = self._optimizer.best_points(weighted, incumbents, rng)
        return Proposal(found, snapshot.note_of({**fits, **fit}))

    def _learn(
        self, snapshot: Snapshot, points: Array, objectives: Array, rng: np.random.Generator
    ) -> tuple[LearnedObjectives, Mapping[str, Fit]]:
        if self._settings.targets is TargetTransform.WINSORIZE:
            objectives = np.stack([winsorised(column) for column in objectives.T], axis=1)
        targets, shift, scale = _standardised(objectives)
        pending = snapshot.points[snapshot.pending] if self._settings.n_fantasies else snapshot.points[:0]
        surrogates: list[Posterior] = []
        fits: dict[str, Fit] = {}
        for place, fitted in enumerate(self._fitted):
            name = f"gp{place}"
            y = np.ascontiguousarray(targets[:, place])
            posterior, fits[name] = fitted.posterior(points, y, snapshot.fits.get(name), len(snapshot.rows))
            surrogates.append(with_fantasies(posterior, pending, self._settings.n_fantasies, rng))
        at = np.concatenate([points, pending])
        means = np.stack([surrogate.means(at) for surrogate in surrogates], axis=2)
        return LearnedObjectives(surrogates, means, len(points), shift, scale), fits


def _standardised(objectives: Array) -> tuple[Array, Array, Array]:
    """Each column with mean 0 and deviation 1, or 0 if all are equal; then the shift and the scale."""
    most = np.abs(objectives).max(axis=0, initial=1e-300)
    unit = np.where(most > _HUGE, most, 1.0)
    parts = objectives / unit
    shift, scale = parts.mean(axis=0), parts.std(axis=0)
    scale = np.where(scale > 1e-12 * (most / unit), scale, 1.0)
    return (parts - shift) / scale, shift * unit, scale * unit


def _kept(objectives: Array, most: int) -> Indices:
    """Indices of at most ``most`` rows in their order: a quarter of them the best, the others spread evenly."""
    n = len(objectives)
    if n <= most:
        return np.arange(n)
    best = crowded_order(objectives)[: round(most * _TOP_FRACTION)]
    others = np.setdiff1d(np.arange(n), best)
    places = np.linspace(0, len(others) - 1, most - len(best)).round().astype(np.intp)
    return np.sort(np.concatenate([best, others[places]]))


def objectives_searcher(
    context: SearcherContext,
    settings: ScalarizationSettings | HypervolumeSettings,
    *,
    metrics: Sequence[Metric],
) -> ModelBasedSearcher:
    """Bayesian optimisation of each trial's newest losses; the type of the settings says how.

    Parameters
    ----------
    context
        Space, seed and initial points.
    settings
        Settings of the models and of the acquisition function.
    metrics
        The metrics to tune.

    Raises
    ------
    SettingsError
        There are not as many weights, or values of a reference, as metrics.
    SpaceError
        One of the points to evaluate does not fit the space.
    """
    chooser: Chooser
    if isinstance(settings, ScalarizationSettings):
        _check_length("weights", settings.weights, metrics)
        chooser = ScalarizedChooser(settings)
    else:
        _check_length("reference", settings.reference, metrics)
        values = settings.reference
        reference = None if values is None else [m.loss(v) for m, v in zip(metrics, values, strict=True)]
        chooser = HypervolumeChooser(
            None if reference is None else np.array(reference), settings.improvement_floor
        )
    cube, groups = context.cube(), column_groups(context.space, settings.models.hamming_above)
    return ModelBasedSearcher(
        context,
        ObjectivesProposer(cube, [metric.name for metric in metrics], groups, settings.models, chooser),
        Observations(context.space, metrics[0], others=metrics[1:], failures=settings.models.failures),
        n_initial=settings.models.n_initial,
    )


def _check_length(name: str, values: Sequence[float] | None, metrics: Sequence[Metric]) -> None:
    if values is not None and len(values) != len(metrics):
        names = ", ".join(metric.name for metric in metrics)
        raise SettingsError(f"{name} has {len(values)} values, but there are {len(metrics)} metrics: {names}")
