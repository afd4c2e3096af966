"""CostAwareBO: Bayesian optimisation by expected improvement per cost; every trial runs to its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_improvement, only_metric
from tunewright.methods.scoping import context_of
from tunewright.metric import Metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.cost_aware import CostAwareLearner, CostModel
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import AcquisitionKind, GPOptions, GPProposer, choice
from tunewright.searchers.model_based import ModelBasedSearcher


@final
@dataclass(frozen=True, kw_only=True)
class CostAwareBOSettings(GPOptions):
    """What is paid for, and the models.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    cost: str | None = None
    """The reported value that says what the trial has cost so far; by default the seconds that ``Reporter`` adds
    (``st_worker_time``), or the elapsed time of a recorded table."""
    cost_model: CostModel = CostModel.COARSE
    """``coarse`` (of whole trials) or ``linear`` (in the resource, from every report; needs ``max_resource``)."""
    exponent: float = 1.0
    """Of the cost, by which the expected improvement is divided; >= 0."""
    budget: float | None = None
    """What all trials may cost: the exponent then falls to 0 as it is spent. > 0."""
    acquisition: AcquisitionKind = AcquisitionKind.LOG_EI
    """``log_ei``, divided by the predicted cost."""

    def __post_init__(self) -> None:
        GPOptions.__post_init__(self)
        only_improvement(self.acquisition, "CostAwareBO")
        object.__setattr__(self, "cost_model", choice("cost_model", CostModel, self.cost_model))
        if self.cost is not None and not self.cost:
            raise SettingsError("cost must name the reported value that says what a trial has cost so far")
        if not self.exponent >= 0:
            raise SettingsError(f"exponent={self.exponent} must be >= 0")
        if self.budget is not None and not self.budget > 0:
            raise SettingsError(f"budget={self.budget} must be > 0")


def _build(benchmark: Benchmark, seed: int, settings: CostAwareBOSettings) -> FIFO:
    space, metric = benchmark.space, only_metric(benchmark, "CostAwareBO")
    is_linear = settings.cost_model is CostModel.LINEAR
    resource = full_resource(benchmark, "CostAwareBO with cost_model=linear") if is_linear else None
    learner = CostAwareLearner(
        space.n_columns, settings, resource=resource, exponent=settings.exponent, budget=settings.budget
    )
    context = context_of(benchmark, seed)
    proposer = GPProposer(learner, context.cube(), settings)
    levels = () if resource is None else range(1, resource + 1)
    observations = Observations(space, metric, levels, others=[Metric(settings.cost or benchmark.time_attr)])
    return FIFO(ModelBasedSearcher(context, proposer, observations, n_initial=settings.n_initial))


METHOD = Method(
    name="CostAwareBO",
    summary="Bayesian optimisation by expected improvement per predicted cost",
    settings=CostAwareBOSettings,
    build=_build,
    reads=lambda benchmark, settings: [settings.cost or benchmark.time_attr],
)
