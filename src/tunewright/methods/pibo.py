"""PiBO: Bayesian optimisation that heeds the priors of a space's domains; every trial runs to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.methods.method import Method
from tunewright.methods.needs import only_improvement, only_metric, warn_without_prior
from tunewright.methods.scoping import context_of
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import AcquisitionKind, FinalLossLearner, GPOptions, GPProposer
from tunewright.searchers.model_based import ModelBasedSearcher
from tunewright.searchers.prior_densities import users_density
from tunewright.searchers.user_priors import PiBOLearner, PriorProposer


@final
@dataclass(frozen=True, kw_only=True)
class PiBOSettings(GPOptions):
    """How much the prior counts, and the model.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    beta: float = 10.0
    """How many trials the prior is worth, >= 0; the paper takes a tenth of all trials, or 10."""
    acquisition: AcquisitionKind = AcquisitionKind.LOG_EI
    """``log_ei``, times the prior's density to the power ``beta / n``."""

    def __post_init__(self) -> None:
        GPOptions.__post_init__(self)
        only_improvement(self.acquisition, "PiBO")
        if not self.beta >= 0:
            raise SettingsError(f"beta={self.beta} must be >= 0")


def _build(benchmark: Benchmark, seed: int, settings: PiBOSettings) -> FIFO:
    space, metric = benchmark.space, only_metric(benchmark, "PiBO")
    warn_without_prior(space, "PiBO")
    context = context_of(benchmark, seed)
    density, cube = users_density(space), context.cube()
    learner = PiBOLearner(FinalLossLearner(space.n_columns, settings), density, settings.beta)
    proposer = PriorProposer(density, cube, settings.n_initial, GPProposer(learner, cube, settings))
    return FIFO(ModelBasedSearcher(context, proposer, Observations(space, metric), n_initial=0))


METHOD = Method(
    name="PiBO",
    summary="Bayesian optimisation that begins with the user's priors, and fades them out",
    settings=PiBOSettings,
    build=_build,
)
