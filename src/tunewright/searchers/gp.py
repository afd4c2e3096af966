"""Bayesian optimisation with Gaussian processes: the proposer, and the model of final losses."""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SettingsError, check_at_least, choice
from tunewright.metric import Metric
from tunewright.models.acquisition import (
    Acquisition,
    LogExpectedImprovement,
    LogProbabilityBelow,
    LogWeight,
    LowerConfidenceBound,
    Weighted,
)
from tunewright.models.arrays import Array
from tunewright.models.gp.factor import Factor
from tunewright.models.gp.kernels import Groups, Kernel, Matern52, Warped
from tunewright.models.gp.posterior import Posterior, factorise
from tunewright.models.gp.process import GaussianProcess, fit
from tunewright.models.surrogate import Surrogate
from tunewright.models.targets import TargetTransform, have_one_sign, standardised, transformed
from tunewright.searchers.acquisition_optimizer import N_INCUMBENTS, AcquisitionOptimizer, SearchWidth, Spread
from tunewright.searchers.encoding import Failures, Fit, Observations, Snapshot, Stopped, limited
from tunewright.searchers.model_based import ModelBasedSearcher, Proposal, Proposer
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import Categorical, SearchSpace

_log = logging.getLogger(__name__)

_GROWTH: Final = 1.15
"""Growth of the number of rows after which hyperparameters are fitted again; keeps the cost per row constant."""

_MOST_FITTED: Final = 200
"""Maximum rows of a fit, each step of which costs their cube."""
_MOST_LABELLED: Final = 300
"""Maximum trials of a model of success."""


@final
class FittedProcess:
    """A Gaussian process from one suggestion to the next: hyperparameters from the notes, refitted after enough new rows.

    Whether a fit is due depends on the number of rows alone; it starts from the newest one in the notes. It
    uses at most 200 rows, spread evenly over their order; predictions use all of them. The
    factor of the covariance is built at once for the rows of the fit and extended by the later ones. So everything is
    a function of History; the factor and the last fit are kept to save time.

    Parameters
    ----------
    process
        The prior.
    name
        For messages.
    """

    def __init__(self, process: GaussianProcess, name: str) -> None:
        self._process = process
        self._name = name
        self._factor: Factor | None = None
        self._factor_of: tuple[bytes, int] = (b"", 0)
        self._last: tuple[tuple[bytes, ...], Fit] | None = None
        self._has_warned = False

    def posterior(self, x: Array, y: Array, known: Fit | None, n_rows: int) -> tuple[Posterior, Fit]:
        """Learn from observations.

        Parameters
        ----------
        x, y
            Points (n, d) and standardised targets (n,), n >= 1.
        known
            The newest fit in the notes.
        n_rows
            Number of all rows, including those beyond the maximum of the model.

        Returns
        -------
        posterior, fit
            The fit is ``known`` itself if none was due.
        """
        at = self.hyperparameters(x, y, known, n_rows)
        base = min(at.n_rows, len(x))
        factor_of = (at.theta.tobytes(), base)
        if self._factor is None or self._factor_of != factor_of:
            self._factor = factorise(self._process, at.theta, x, base)
            self._factor_of = factor_of
        else:
            self._factor = self._factor.extended(x)
        return Posterior(self._process, at.theta, x, self._factor.lower, y[:, np.newaxis]), at

    def hyperparameters(self, x: Array, y: Array, known: Fit | None, n_rows: int) -> Fit:
        """The fit alone, as in :meth:`posterior`."""
        is_due = known is None or n_rows >= max(known.n_rows + 1, math.ceil(_GROWTH * known.n_rows))
        return self._refit(x, y, known, n_rows) if known is None or is_due else known

    def _refit(self, x: Array, y: Array, known: Fit | None, n_rows: int) -> Fit:
        start = () if known is None else (known.theta,)
        asked = (x.tobytes(), y.tobytes(), *(theta.tobytes() for theta in start))
        if self._last is not None and self._last[0] == asked:
            return self._last[1]
        if len(x) > _MOST_FITTED:
            chosen = np.linspace(0, len(x) - 1, _MOST_FITTED).round().astype(np.intp)
            x, y = x[chosen], y[chosen]
        theta = fit(self._process, x, y, start)
        if theta is None:
            theta = self._process.prior.mean if known is None else known.theta
            self._warn()
        found = Fit(n_rows, theta)
        self._last = (asked, found)
        return found

    def _warn(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            _log.warning("The fit of the %s model failed: its last good hyperparameters are used", self._name)


@final
class Targets:
    """Losses transformed for a model; warns once if the requested transformation is impossible.

    Parameters
    ----------
    how
        The requested transformation.
    """

    def __init__(self, how: TargetTransform) -> None:
        self._how = how
        self._has_warned = False

    def of(self, losses: Array) -> Array:
        """Targets (n,) of mean 0 and deviation 1 from finite losses (n,)."""
        if self._how is TargetTransform.BOX_COX and not self._has_warned and not have_one_sign(losses):
            self._has_warned = True
            _log.warning(
                "targets=box_cox needs a metric whose values are all above zero, or all below: "
                "targets=power is used instead"
            )
        return transformed(losses, self._how)


class AcquisitionKind(StrEnum):
    """How predictions are turned into a choice."""

    LOG_EI = "log_ei"
    """The logarithm of the expected improvement."""
    LCB = "lcb"
    """The lower confidence bound."""
    THOMPSON = "thompson"
    """The best candidate of one draw of the function."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class GPSettings:
    """Settings of a searcher with Gaussian processes.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    n_initial: int = 4
    """Trials before the model is asked, given points included, >= 1."""
    acquisition: AcquisitionKind = AcquisitionKind.LCB
    """Value of a candidate: ``lcb`` (lower confidence bound), ``log_ei`` (logarithm of the expected improvement) or ``thompson`` (a draw
    of the process)."""
    kappa: float = 2.0
    """Deviations below the mean for ``lcb``, >= 0."""
    n_fantasies: int = 8
    """Draws of the results of pending trials, >= 0; 0: pending trials are ignored."""
    targets: TargetTransform = TargetTransform.WINSORIZE
    """Transformation of losses before the model learns: ``winsorize`` cuts off extreme ones, ``log`` and ``rank`` are for losses that
    diverge, ``power`` and ``box_cox`` make them close to normal, ``standardize`` changes their scale only."""
    input_warping: bool = False
    """Whether numeric columns are warped by learned exponents."""
    spread: Spread = Spread.LATIN_HYPERCUBE
    """Distribution of the candidates, the best of which are improved."""
    search: SearchWidth = SearchWidth.NARROW
    """Number of candidates, and of those that are improved: ``wide`` (1,024 and 6, up to 100 observations) or ``narrow`` (384 and 3)."""
    max_observations: int = 500
    """Rows that a model learns from at most, >= 2."""
    stopped: Stopped = Stopped.FANTASISE
    """Of a model of final losses: final losses of stopped trials are drawn like those of running ones (``fantasise``), or their last
    losses ``count`` as final."""
    failures: Failures = Failures.IMPUTE
    """``impute``: failed trials and losses that are not finite count with the worst finite loss at their level so far, and
    the acquisition function is weighted by the probability of success; ``drop``: they are left out."""
    hamming_above: int | None = 5
    """A category of more values has one length scale (a Hamming kernel), one of fewer a length scale for each value, >= 1;
    None: all categories have a length scale for each value."""

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "stopped", choice("stopped", Stopped, self.stopped))
        put(self, "failures", choice("failures", Failures, self.failures))
        put(self, "acquisition", choice("acquisition", AcquisitionKind, self.acquisition))
        put(self, "targets", choice("targets", TargetTransform, self.targets))
        put(self, "spread", choice("spread", Spread, self.spread))
        put(self, "search", choice("search", SearchWidth, self.search))
        check_at_least(self, 0, "kappa", "n_fantasies")
        check_at_least(self, 1, "n_initial")
        check_at_least(self, 2, "max_observations")
        check_hamming(self.hamming_above)


@final
@dataclass(frozen=True, slots=True)
class Learned:
    """A surrogate of losses at one instant, and the data to choose by it."""

    surrogate: Surrogate
    observed: Array
    """Points (k, d), k >= 1, at which something was observed: the best mean among them is to be improved on."""
    fits: Mapping[str, Fit]
    """Hyperparameters by model, also those that the notes already hold."""
    acquisition: Acquisition | None = None
    """Acquisition function in place of the one that the settings name; None: that one."""


@final
class SuccessModel:
    """A process of trials' success over configurations: -1 for those that succeeded, 1 for those that failed.

    The probability of success is that of a label of at most 0, as for a constraint ([Gelbart2014]_, section 3). It learns
    once a trial has failed; at most 300 trials count, spread evenly over their order.

    Parameters
    ----------
    n_columns
        d, of the cube.

    References
    ----------
    .. [Gelbart2014] Gelbart, Snoek, Adams: Bayesian Optimization with Unknown Constraints. UAI 2014.
    """

    def __init__(self, n_columns: int) -> None:
        self._process = GaussianProcess(Matern52(n_columns))
        self._fitted = FittedProcess(self._process, "success")

    def learn(self, snapshot: Snapshot) -> tuple[LogWeight | None, Mapping[str, Fit]]:
        """The logarithm of the probability of success, and hyperparameters by model; None while no trial has failed."""
        if not len(snapshot.failed):
            return None, {}
        trials = np.union1d(snapshot.failed, snapshot.succeeded)
        n_trials = len(trials)
        if n_trials > _MOST_LABELLED:
            trials = trials[np.linspace(0, n_trials - 1, _MOST_LABELLED).round().astype(np.intp)]
        labels = np.where(np.isin(trials, snapshot.failed), 1.0, -1.0)
        values = standardised(np.append(labels, 0.0))
        known = snapshot.fits.get("success")
        posterior, fit = self._fitted.posterior(snapshot.points[trials], values[:-1], known, n_trials)
        noise = self._process.read(fit.theta).noise
        return LogProbabilityBelow(posterior, float(values[-1]), noise), {"success": fit}


class Learner(ABC):
    """Builds a surrogate of losses over configurations from observations."""

    @abstractmethod
    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned | None:
        """A function of the arguments; None if there are too few results. ``rng`` draws fantasies."""


@final
class GPProposer(Proposer):
    """Maximise an acquisition function of a learner's surrogate.

    Parameters
    ----------
    learner
        Makes the surrogate.
    cube
        The unit cube to search.
    settings
        Names the acquisition function.
    """

    def __init__(self, learner: Learner, cube: UnitCube, settings: GPSettings) -> None:
        self._learner = learner
        self._optimizer = AcquisitionOptimizer(cube, settings.spread, settings.search)
        self._success = SuccessModel(cube.n_columns)
        self._settings = settings

    @override
    def propose(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        until: int | None = None,
    ) -> Proposal | None:
        learned = self._learner.learn(snapshot, rng)
        if learned is None:
            return None
        means = learned.surrogate.means(learned.observed)
        order = np.argsort(means.mean(axis=1), kind="stable")
        incumbents = learned.observed[order[:N_INCUMBENTS]]
        log_success, fits = self._success.learn(snapshot)
        if learned.acquisition is None and self._settings.acquisition is AcquisitionKind.THOMPSON:
            points = self._drawn(learned.surrogate, log_success, incumbents, rng)
        else:
            acquisition = learned.acquisition or self._acquisition(learned.surrogate, means.min(axis=0))
            weighted = acquisition if log_success is None else Weighted(acquisition, log_success, 1.0)
            points = self._optimizer.best_points(weighted, incumbents, rng, len(snapshot.rows))
        return Proposal(points, snapshot.note_of({**learned.fits, **fits}))

    def _acquisition(self, surrogate: Surrogate, best: Array) -> Acquisition:
        if self._settings.acquisition is AcquisitionKind.LCB:
            return LowerConfidenceBound(surrogate, self._settings.kappa)
        return LogExpectedImprovement(surrogate, best)

    def _drawn(
        self, surrogate: Surrogate, log_success: LogWeight | None, incumbents: Array, rng: np.random.Generator
    ) -> Array:
        """Candidates in the order of one draw of the function."""
        pool = self._optimizer.pool(incumbents, rng)
        drawn = surrogate.samples(pool, rng.standard_normal((len(pool), surrogate.n_parts)))[:, 0]
        if log_success is not None:
            drawn = drawn - log_success(pool)[0]
        return pool[np.argsort(drawn, kind="stable")]


def check_hamming(hamming_above: int | None) -> None:
    """Check the number of values above which a category has one length scale.

    Raises
    ------
    SettingsError
        It is below 1.
    """
    if hamming_above is not None and hamming_above < 1:
        raise SettingsError(f"hamming_above={hamming_above} must be >= 1, or none")


def column_groups(space: SearchSpace, hamming_above: int | None) -> Sequence[int]:
    """Return the columns of a space that share a length scale: those of a category of many values.

    Parameters
    ----------
    space
        The space.
    hamming_above
        As in `GPSettings`.
    """
    groups: list[int] = []
    for domain in space.domains.values():
        is_shared = (
            hamming_above is not None and isinstance(domain, Categorical) and domain.width > hamming_above
        )
        groups += [domain.width] if is_shared else [1] * domain.width
    return groups


def n_columns_of(groups: Groups) -> int:
    """Number of columns of all groups."""
    return groups if isinstance(groups, int) else sum(groups)


def config_kernel(groups: Groups, *, input_warping: bool) -> Kernel:
    """The kernel over configurations whose columns are grouped."""
    kernel = Matern52(groups)
    return Warped(kernel, n_columns_of(groups)) if input_warping else kernel


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
    groups
        Columns of the cube that share a length scale.
    settings
        Of the model.
    """

    def __init__(self, groups: Groups, settings: GPSettings) -> None:
        self._settings = settings
        self._targets = Targets(settings.targets)
        self._fitted = FittedProcess(
            GaussianProcess(config_kernel(groups, input_warping=settings.input_warping)), "final loss"
        )

    @override
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
    context: SearcherContext,
    settings: GPSettings,
    *,
    metric: Metric,
) -> ModelBasedSearcher:
    """Bayesian optimisation of each trial's newest loss, for any scheduler.

    Parameters
    ----------
    context
        Space, seed and initial points.
    settings
        Of the model and the acquisition function.
    metric
        What is tuned.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """
    groups = column_groups(context.space, settings.hamming_above)
    proposer = GPProposer(FinalLossLearner(groups, settings), context.cube(), settings)
    return ModelBasedSearcher(
        context,
        proposer,
        Observations(context.space, metric, failures=settings.failures, stopped=settings.stopped),
        n_initial=settings.n_initial,
    )
