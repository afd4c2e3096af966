"""PriorBand: Hyperband whose configurations come at random, from the user's priors, or from near the incumbent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.interfaces import Scheduler
from tunewright.methods.bracket_options import BracketOptions
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric, warn_without_prior
from tunewright.methods.scoping import context_of
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.sync_hyperband import SyncHyperband
from tunewright.searchers.encoding import Observations
from tunewright.searchers.model_based import ModelBasedSearcher
from tunewright.searchers.prior_densities import users_density
from tunewright.searchers.user_priors import PriorBandProposer


@final
@dataclass(frozen=True, kw_only=True)
class PriorBandSettings(BracketOptions):
    """Brackets, and whether they wait.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    asynchronous: bool = False
    """Whether trials are promoted as in ``ASHA`` instead of in brackets that wait for their rungs."""


def _build(benchmark: Benchmark, seed: int, settings: PriorBandSettings) -> Scheduler:
    space, metric = benchmark.space, only_metric(benchmark, "PriorBand")
    warn_without_prior(space, "PriorBand")
    plan = settings.plan(full_resource(benchmark, "PriorBand"))
    context = context_of(benchmark, seed)
    proposer = PriorBandProposer(
        space, users_density(space), context.cube(), levels=plan.levels, eta=plan.eta
    )
    searcher = ModelBasedSearcher(context, proposer, Observations(space, metric, plan.levels), n_initial=0)
    if not settings.asynchronous:
        return SyncHyperband(searcher, plan, metric=metric)
    rungs = ASHASettings(
        max_resource=plan.max_resource,
        grace_period=plan.grace_period,
        eta=plan.eta,
        brackets=settings.brackets or len(plan.levels),
    )
    return ASHA(searcher, rungs, metric=metric, seed=seed)


METHOD = Method(
    name="PriorBand",
    summary="Hyperband over random configurations, draws from the user's priors and changes of the best",
    settings=PriorBandSettings,
    build=_build,
)
