"""Methods that use the priors of a space's domains: PiBO and PriorBand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import check_at_least, choice
from tunewright.interfaces import Scheduler
from tunewright.methods.building import context_of, full_resource, only_improvement, warn_without_prior
from tunewright.methods.method import Method
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.brackets import BracketSettings
from tunewright.schedulers.fifo import FIFO
from tunewright.schedulers.sync_hyperband import SyncHyperband
from tunewright.searchers.encoding import Failures, Observations
from tunewright.searchers.gp import AcquisitionKind, FinalLossLearner, GPProposer, GPSettings, column_groups
from tunewright.searchers.model_based import InitialProposer, ModelBasedSearcher
from tunewright.searchers.prior_densities import users_density
from tunewright.searchers.user_priors import PiBOLearner, PriorBandProposer, PriorProposer


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PiBOSettings:
    """Settings of PiBO.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    beta: float = 10.0
    """How many trials the prior is worth, >= 0; the paper takes a tenth of all trials, or 10."""
    gp: GPSettings = GPSettings(acquisition=AcquisitionKind.LOG_EI)
    """The model; the acquisition function is ``log_ei``, times the prior's density to the power ``beta / n``."""

    def __post_init__(self) -> None:
        only_improvement(self.gp.acquisition, "PiBO")
        check_at_least(self, 0, "beta")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PriorBandSettings:
    """Settings of PriorBand.

    Raises
    ------
    SettingsError
        There is no such ``failures``.
    """

    plan: BracketSettings = BracketSettings()
    asynchronous: bool = False
    """Whether trials are promoted as in ``ASHA`` instead of in brackets that wait for their rungs."""
    failures: Failures = Failures.IMPUTE
    """``impute``: draws of the prior and near the incumbent are weighted by the probability of success, once trials have failed;
    ``drop``: they are not."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "failures", choice("failures", Failures, self.failures))


def _pibo(benchmark: Benchmark, seed: int, settings: PiBOSettings) -> FIFO:
    space, gp = benchmark.space, settings.gp
    warn_without_prior(space, "PiBO")
    context = context_of(benchmark, seed)
    density, cube = users_density(space), context.cube()
    learner = PiBOLearner(
        FinalLossLearner(column_groups(space, gp.hamming_above), gp), density, settings.beta
    )
    proposer = InitialProposer(PriorProposer(density, cube), gp.n_initial, GPProposer(learner, cube, gp))
    observations = Observations(space, benchmark.metrics[0], failures=gp.failures, stopped=gp.stopped)
    return FIFO(ModelBasedSearcher(context, proposer, observations, n_initial=0))


def _prior_band(benchmark: Benchmark, seed: int, settings: PriorBandSettings) -> Scheduler:
    space, metric = benchmark.space, benchmark.metrics[0]
    warn_without_prior(space, "PriorBand")
    plan = settings.plan.within(full_resource(benchmark, "PriorBand"))
    context = context_of(benchmark, seed)
    proposer = PriorBandProposer(
        space, users_density(space), context.cube(), levels=plan.levels, eta=plan.eta
    )
    observations = Observations(space, metric, plan.levels, failures=settings.failures)
    searcher = ModelBasedSearcher(context, proposer, observations, n_initial=0)
    if not settings.asynchronous:
        return SyncHyperband(searcher, plan, metric=metric)
    rungs = ASHASettings(
        max_resource=plan.max_resource,
        grace_period=plan.levels[0],
        eta=plan.eta,
        brackets=plan.brackets or len(plan.levels),
    )
    return ASHA(searcher, rungs, metric=metric, seed=seed)


METHODS: Final[tuple[Method[Any], ...]] = (
    Method(
        name="PiBO",
        summary="Bayesian optimisation that begins with the user's priors, and fades them out",
        settings=PiBOSettings,
        build=_pibo,
    ),
    Method(
        name="PriorBand",
        summary="Hyperband over random configurations, draws from the user's priors and changes of the best",
        settings=PriorBandSettings,
        build=_prior_band,
    ),
)
