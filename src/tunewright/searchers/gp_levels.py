"""Models of losses at resource levels: one Gaussian process over all of them, or one for each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import choice
from tunewright.metric import Metric
from tunewright.models.arrays import Array, Indices
from tunewright.models.gp.cross_validation import CrossValidation
from tunewright.models.gp.kernels import Groups, Kernel
from tunewright.models.gp.posterior import Posterior
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.gp.resource_kernels import ExponentialDecay, ResourceProduct
from tunewright.models.surrogate import AtResource
from tunewright.searchers.encoding import Fit, Needed, Observations, Rows, Snapshot, limited
from tunewright.searchers.gp import (
    FittedProcess,
    GPProposer,
    GPSettings,
    Learned,
    Learner,
    Targets,
    column_groups,
    config_kernel,
    n_columns_of,
    with_fantasies,
)
from tunewright.searchers.model_based import ModelBasedSearcher
from tunewright.searchers.model_free import SearcherContext


class ResourceKernel(StrEnum):
    """Covariance of one configuration's results at different resources."""

    PRODUCT = "product"
    """Near resources are alike: Matern-5/2 of the logarithm."""
    DECAY = "decay"
    """All curves fall by the same exponential to a limit of their own."""
    DAMPED_DECAY = "damped_decay"
    """As ``decay``, and early results depend less on the configuration than late ones."""
    CROSS_VALIDATION = "cross_validation"
    """Resources are folds of a cross-validation, and results averages over those that are done."""


def resource_kernel(kind: ResourceKernel, inner: Kernel, n_columns: int) -> Kernel:
    """A kernel over configurations of ``n_columns`` columns, extended by the resource as last one."""
    match kind:
        case ResourceKernel.PRODUCT:
            return ResourceProduct(inner)
        case ResourceKernel.DECAY:
            return ExponentialDecay(inner)
        case ResourceKernel.DAMPED_DECAY:
            return ExponentialDecay(inner, delta=0.5)
        case ResourceKernel.CROSS_VALIDATION:
            return CrossValidation(inner, n_columns)


class LevelMean(StrEnum):
    """Mean of a process of losses at levels, along the resource."""

    CURVE = "curve"
    """The common learning curve: differences of neighbouring levels are medians over the trials that reached both."""
    CONSTANT = "constant"
    """The same at all levels."""

    def of(self, snapshot: Snapshot, n_levels: int) -> Array:
        """Losses (n_levels,) that a trial has at each level more than at the last one; zeros for a constant mean."""
        above = np.zeros(n_levels)
        if self is LevelMean.CONSTANT:
            return above
        rows = [snapshot.succeeded_at(level) for level in range(n_levels)]
        for level in range(n_levels - 2, -1, -1):
            lower, upper = rows[level], rows[level + 1]
            _, at_lower, at_upper = np.intersect1d(
                lower.trials, upper.trials, assume_unique=True, return_indices=True
            )
            above[level] = above[level + 1]
            if len(at_lower):
                above[level] += np.median(lower.losses[at_lower] - upper.losses[at_upper])
        return above


@final
@dataclass(frozen=True, slots=True)
class Known:
    """A fitted process and its observations."""

    posterior: Posterior
    fit: Fit
    rows: Rows
    """Rows that it learned from."""
    y: Array
    """Their losses as it sees them, (n,)."""


@final
class JointModel:
    """One Gaussian process over (configuration, resource), which learns from losses at levels only.

    So there are few rows, however many reports a trial makes.

    Parameters
    ----------
    groups
        Columns of the cube that share a length scale.
    levels
        Resources, strictly increasing; the last one is that of a full run.
    settings
        Of the model.
    kind
        Covariance along the resource.
    mean
        Mean along the resource. It is taken off the losses, so that predictions at one level can be compared with one another,
        and not with predictions at another one.
    """

    def __init__(
        self,
        groups: Groups,
        levels: Sequence[int],
        settings: GPSettings,
        kind: ResourceKernel,
        mean: LevelMean = LevelMean.CURVE,
    ) -> None:
        self._settings = settings
        self._mean = mean
        self._targets = Targets(settings.targets)
        self._resources = np.array(levels, dtype=np.float64) / levels[-1]
        inner = config_kernel(groups, input_warping=settings.input_warping)
        process = GaussianProcess(resource_kernel(kind, inner, n_columns_of(groups)))
        self._fitted = FittedProcess(process, "joint")

    def learn(self, snapshot: Snapshot) -> Known:
        """From the rows of all levels, at least one."""
        rows = limited(snapshot.rows, self._settings.max_observations)
        x = self._points(snapshot, rows.trials, rows.levels)
        above = self._mean.of(snapshot, len(self._resources))
        y = self._targets.of(rows.losses - above[rows.levels])
        posterior, fit = self._fitted.posterior(x, y, snapshot.fits.get("joint"), len(snapshot.rows))
        return Known(posterior, fit, rows, y)

    def at_level(self, posterior: Posterior, level: int) -> AtResource:
        """The function of configurations at one level."""
        return AtResource(posterior, float(self._resources[level]))

    def up_to(self, known: Known, levels: Sequence[int]) -> Mapping[int, Posterior]:
        """The posterior of the observations at each of the given levels and below, by level, with the same hyperparameters."""
        order = np.argsort(known.rows.levels, kind="stable")
        every = known.posterior.reordered(order)
        counts = np.searchsorted(known.rows.levels[order], levels, side="right")
        return {level: every.leading(int(n)) for level, n in zip(levels, counts, strict=True)}

    def pending(self, snapshot: Snapshot) -> Array:
        """Running trials at the level that they reach next, (q, d + 1)."""
        return self._points(snapshot, snapshot.pending, snapshot.pending_levels)

    def _points(self, snapshot: Snapshot, trials: Indices, levels: Indices) -> Array:
        return np.concatenate([snapshot.points[trials], self._resources[levels][:, np.newaxis]], axis=1)


@final
class JointLearner(Learner):
    """A joint model, seen at the highest level with enough losses.

    Pending trials are fantasised at the level that they will reach next.

    Parameters
    ----------
    joint
        The model.
    n_needed
        Losses that a level needs.
    settings
        Of the model.
    """

    def __init__(self, joint: JointModel, n_needed: int, settings: GPSettings) -> None:
        self._joint = joint
        self._enough = n_needed
        self._n_fantasies = settings.n_fantasies

    @override
    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned | None:
        """None without enough losses at any level."""
        level = snapshot.target_level(self._enough)
        if level is None:
            return None
        known = self._joint.learn(snapshot)
        versions = with_fantasies(known.posterior, self._joint.pending(snapshot), self._n_fantasies, rng)
        observed = snapshot.points[np.unique(known.rows.trials)]
        return Learned(self._joint.at_level(versions, level), observed, {"joint": known.fit})


@final
class LevelModels:
    """A Gaussian process for each level.

    Parameters
    ----------
    groups
        Columns of the cube that share a length scale.
    n_levels
        How many levels there are.
    settings
        Of the models.
    """

    def __init__(self, groups: Groups, n_levels: int, settings: GPSettings) -> None:
        self._settings = settings
        self._targets = Targets(settings.targets)
        process = GaussianProcess(config_kernel(groups, input_warping=settings.input_warping))
        self._fitted = [FittedProcess(process, f"level {level}") for level in range(n_levels)]

    def at_level(self, snapshot: Snapshot, level: int) -> Known:
        """The model of a level at which there is at least one loss."""
        every = snapshot.rows.at_level(level)
        rows = limited(every, self._settings.max_observations)
        x, y = snapshot.points[rows.trials], self._targets.of(rows.losses)
        posterior, fit = self._fitted[level].posterior(x, y, snapshot.fits.get(str(level)), len(every))
        return Known(posterior, fit, rows, y)


@final
class IndependentLearner(Learner):
    """A Gaussian process of the losses at the highest level with enough of them, without those at other levels.

    Pending trials are fantasised at that level, wherever they are on their way to it.

    Parameters
    ----------
    groups
        Columns of the cube that share a length scale.
    n_levels
        How many levels there are.
    n_needed
        Losses that a level needs.
    settings
        Of the models.
    """

    def __init__(self, groups: Groups, n_levels: int, n_needed: int, settings: GPSettings) -> None:
        self._models = LevelModels(groups, n_levels, settings)
        self._enough = n_needed
        self._n_fantasies = settings.n_fantasies

    @override
    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned | None:
        """None without enough losses at any level."""
        level = snapshot.target_level(self._enough)
        if level is None:
            return None
        known = self._models.at_level(snapshot, level)
        pending = snapshot.points[snapshot.pending]
        versions = with_fantasies(known.posterior, pending, self._n_fantasies, rng)
        return Learned(versions, snapshot.points[known.rows.trials], {str(level): known.fit})


class LevelModel(StrEnum):
    """Kind of model of losses at levels."""

    JOINT = "joint"
    """Losses at all levels by one process."""
    INDEPENDENT = "independent"
    """Losses of each level by a process of its own."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LevelModelSettings:
    """Settings of a model of losses at levels of resource.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    model: LevelModel = LevelModel.INDEPENDENT
    """``joint`` or ``independent``."""
    resource_kernel: ResourceKernel = ResourceKernel.PRODUCT
    """Covariance along the resource in the joint model."""
    level_mean: LevelMean = LevelMean.CURVE
    """Mean along the resource in the joint model: the common learning ``curve``, or a ``constant``."""
    needed: Needed = Needed.HYPERPARAMETERS
    """Results that a level needs: one more than there are ``hyperparameters`` (at most 10), or encoded ``columns``."""
    gp: GPSettings = GPSettings(n_initial=6)

    def __post_init__(self) -> None:
        object.__setattr__(self, "needed", choice("needed", Needed, self.needed))
        object.__setattr__(self, "model", choice("model", LevelModel, self.model))
        kernel = choice("resource_kernel", ResourceKernel, self.resource_kernel)
        object.__setattr__(self, "resource_kernel", kernel)
        object.__setattr__(self, "level_mean", choice("level_mean", LevelMean, self.level_mean))


def level_searcher(
    context: SearcherContext, settings: LevelModelSettings, *, metric: Metric, levels: Sequence[int]
) -> ModelBasedSearcher:
    """Propose by one process for all levels, or by one for each.

    Parameters
    ----------
    context
        Space, seed and initial points.
    settings
        Of the model.
    metric
        What is tuned.
    levels
        Resources at which trials are compared, strictly increasing; the last one is that of a full run.

    Raises
    ------
    SpaceError
        A point to begin with does not fit.
    """
    gp, n_needed = settings.gp, settings.needed.results(context.space)
    groups = column_groups(context.space, gp.hamming_above)
    learner: Learner
    if settings.model is LevelModel.JOINT:
        learner = JointLearner(
            JointModel(groups, levels, gp, settings.resource_kernel, settings.level_mean), n_needed, gp
        )
    else:
        learner = IndependentLearner(groups, len(levels), n_needed, gp)
    return ModelBasedSearcher(
        context,
        GPProposer(learner, context.cube(), gp),
        Observations(context.space, metric, levels, failures=gp.failures),
        n_initial=gp.n_initial,
    )
