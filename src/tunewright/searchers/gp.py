"""Bayesian optimisation with Gaussian processes: the proposer, and the model of final losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import final

import numpy as np

from tunewright.exceptions import SettingsError, check_at_least
from tunewright.metric import Metric
from tunewright.models.acquisition import (
    Acquisition,
    LogExpectedImprovement,
    LowerConfidenceBound,
)
from tunewright.models.arrays import Array
from tunewright.models.gp.kernels import Kernel, Matern52
from tunewright.models.gp.posterior import Posterior
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.gp.warping import Warped
from tunewright.models.surrogate import Surrogate
from tunewright.models.targets import TargetTransform
from tunewright.searchers.climbing import N_INCUMBENTS, Climber, Spread
from tunewright.searchers.cube import Cube
from tunewright.searchers.encoding import Fit, Observations, Snapshot, limited
from tunewright.searchers.fitting import FittedProcess, Targets
from tunewright.searchers.model_based import ModelBasedSearcher, Proposal, Proposer
from tunewright.searchers.scope import Scope


class AcquisitionKind(StrEnum):
    """How predictions are turned into a choice."""

    LOG_EI = "log_ei"
    """The logarithm of the expected improvement."""
    LCB = "lcb"
    """The lower confidence bound."""
    THOMPSON = "thompson"
    """The best candidate of one draw of the function."""


@dataclass(frozen=True, kw_only=True)
class GPOptions(ABC):  # noqa: B024 - a part of settings, of no use alone
    """What all searchers with Gaussian processes have in common.

    Raises
    ------
    SettingsError
        Where a value cannot work.
    """

    n_initial: int = 4
    """Trials before the model is asked, given points included, >= 1."""
    acquisition: AcquisitionKind = AcquisitionKind.LCB
    kappa: float = 2.0
    """Deviations below the mean for ``lcb``, >= 0."""
    n_fantasies: int = 8
    """Draws of what pending trials might give, >= 0; 0: pending trials are ignored."""
    targets: TargetTransform = TargetTransform.STANDARDIZE
    input_warping: bool = False
    """Whether numeric columns are warped by learned exponents."""
    spread: Spread = Spread.LATIN_HYPERCUBE
    """How points are spread of which the best are improved."""
    max_observations: int = 500
    """Rows that a model learns from at most, >= 2."""

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "acquisition", choice("acquisition", AcquisitionKind, self.acquisition))
        put(self, "targets", choice("targets", TargetTransform, self.targets))
        put(self, "spread", choice("spread", Spread, self.spread))
        check_at_least(self, 0, "kappa", "n_fantasies")
        check_at_least(self, 1, "n_initial")
        check_at_least(self, 2, "max_observations")


@final
@dataclass(frozen=True, kw_only=True)
class GPSettings(GPOptions):
    """Settings of a searcher that models final losses."""


def choice(name: str, kind: type[StrEnum], value: str) -> StrEnum:
    """The member of an enumeration that a text names.

    Raises
    ------
    SettingsError
        There is none.
    """
    try:
        return kind(value)
    except ValueError:
        raise SettingsError(f"{name}={value!r} must be one of {', '.join(kind)}") from None


@final
@dataclass(frozen=True, slots=True)
class Learned:
    """What a model knows at one instant."""

    surrogate: Surrogate
    observed: Array
    """Points (k, d), k >= 1, at which something was observed: the best mean among them is to be improved on."""
    fits: Mapping[str, Fit]
    """Hyperparameters, by model; those that the notes hold already included."""
    acquisition: Acquisition | None = None
    """What is maximised in place of the function that the settings name; None: that one."""


class Learner(ABC):
    """Makes a surrogate of losses over configurations from what was observed."""

    @abstractmethod
    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned | None:
        """A function of the arguments; None where too little is known. ``rng`` draws fantasies."""


@final
class GPProposer(Proposer):
    """Maximise an acquisition function of what a learner has learned.

    Parameters
    ----------
    learner
        Makes the surrogate.
    cube
        Where to look.
    settings
        Which acquisition function.
    """

    def __init__(self, learner: Learner, cube: Cube, settings: GPOptions) -> None:
        self._learner = learner
        self._climber = Climber(cube, settings.spread)
        self._settings = settings

    def propose(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        until: int | None = None,  # noqa: ARG002
    ) -> Proposal | None:
        """Points of highest acquisition first."""
        learned = self._learner.learn(snapshot, rng)
        if learned is None:
            return None
        means = learned.surrogate.means(learned.observed)
        order = np.argsort(means.mean(axis=1), kind="stable")
        incumbents = learned.observed[order[:N_INCUMBENTS]]
        if learned.acquisition is not None:
            points = self._climber.best_points(learned.acquisition, incumbents, rng)
        else:
            points = self._points(learned.surrogate, means.min(axis=0), incumbents, rng)
        return Proposal(points, snapshot.note_of(learned.fits))

    def _points(
        self, surrogate: Surrogate, best: Array, incumbents: Array, rng: np.random.Generator
    ) -> Array:
        acquisition: Acquisition
        match self._settings.acquisition:
            case AcquisitionKind.THOMPSON:
                pool = self._climber.pool(incumbents, rng)
                drawn = surrogate.samples(pool, rng.standard_normal((len(pool), surrogate.n_parts)))
                return pool[np.argsort(drawn[:, 0], kind="stable")]
            case AcquisitionKind.LCB:
                acquisition = LowerConfidenceBound(surrogate, self._settings.kappa)
            case AcquisitionKind.LOG_EI:
                acquisition = LogExpectedImprovement(surrogate, best)
        return self._climber.best_points(acquisition, incumbents, rng)


def config_kernel(n_columns: int, *, input_warping: bool) -> Kernel:
    """The kernel over configurations."""
    kernel = Matern52(n_columns)
    return Warped(kernel, n_columns) if input_warping else kernel


def with_fantasies(posterior: Posterior, pending: Array, n: int, rng: np.random.Generator) -> Posterior:
    """The posterior in ``n`` versions, one per draw of the pending evaluations (q, d)."""
    if n == 0 or not len(pending):
        return posterior
    return posterior.fantasised(pending, rng.standard_normal((len(pending), n)))


@final
class FinalLossLearner(Learner):
    """One Gaussian process of each trial's newest loss.

    Parameters
    ----------
    n_columns
        d, of the cube.
    settings
        Of the model.
    """

    def __init__(self, n_columns: int, settings: GPOptions) -> None:
        self._settings = settings
        self._targets = Targets(settings.targets)
        self._fitted = FittedProcess(
            GaussianProcess(config_kernel(n_columns, input_warping=settings.input_warping)), "final loss"
        )

    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned | None:
        """None below two losses."""
        if len(snapshot.rows) < 2:
            return None
        rows = limited(snapshot.rows, self._settings.max_observations)
        x, y = snapshot.points[rows.trials], self._targets.of(rows.losses)
        posterior, fit = self._fitted.posterior(x, y, snapshot.fits.get("gp"), len(snapshot.rows))
        pending = snapshot.points[snapshot.pending]
        return Learned(with_fantasies(posterior, pending, self._settings.n_fantasies, rng), x, {"gp": fit})


def gp_searcher(
    scope: Scope,
    settings: GPOptions,
    *,
    metric: Metric,
) -> ModelBasedSearcher:
    """Bayesian optimisation of each trial's newest loss, for any scheduler.

    Parameters
    ----------
    scope
        Where to look.
    settings
        Of the model and the acquisition function.
    metric
        What is tuned.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """
    proposer = GPProposer(FinalLossLearner(scope.space.n_columns, settings), scope.cube(), settings)
    return ModelBasedSearcher(
        scope,
        proposer,
        Observations(scope.space, metric),
        n_initial=settings.n_initial,
    )
