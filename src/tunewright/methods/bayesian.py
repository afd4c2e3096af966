"""Methods that model final results, whose trials all run to their end.

Gaussian processes (BayesianOptimization, TuRBO, ConstrainedBO, CostAwareBO), densities (KDE, TPE), a random forest
(RandomForestBO), a classifier (BORE) and conformal quantiles (CQR).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.methods.building import context_of, fifo_method, full_resource, only_improvement
from tunewright.methods.method import Method
from tunewright.metric import Constraint, Metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.bore import BORESettings, bore_searcher
from tunewright.searchers.constrained import ConstrainedLearner
from tunewright.searchers.cost_aware import CostAwareLearner, CostModel
from tunewright.searchers.cqr import CQRSettings, cqr_searcher
from tunewright.searchers.encoding import Observations
from tunewright.searchers.forest import ForestSettings, forest_searcher
from tunewright.searchers.gp import AcquisitionKind, GPProposer, GPSettings, column_groups, gp_searcher
from tunewright.searchers.kde import KDESettings, kde_searcher
from tunewright.searchers.model_based import ModelBasedSearcher
from tunewright.searchers.tpe import TPESettings, tpe_searcher
from tunewright.searchers.turbo import TuRBOSettings, turbo_searcher


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ConstrainedBOSettings:
    """Settings of ConstrainedBO.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    constraint: tuple[str, ...] = ("constraint<=0",)
    """Reported values with their bounds, such as ``memory<=8`` or ``recall>=0.9``; a name alone stands for <= 0."""
    gp: GPSettings = GPSettings(acquisition=AcquisitionKind.LOG_EI)
    """The models; the acquisition function, ``log_ei``, is weighted by the probability that all constraints hold."""

    def __post_init__(self) -> None:
        only_improvement(self.gp.acquisition, "ConstrainedBO")
        if not self.constraints:
            raise SettingsError("ConstrainedBO needs a constraint, such as memory<=8")

    @property
    def constraints(self) -> tuple[Constraint, ...]:
        """The constraints that :attr:`constraint` names."""
        return tuple(map(Constraint.parse, self.constraint))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CostAwareBOSettings:
    """Settings of CostAwareBO.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    cost: str | None = None
    """Name of the reported cost of a trial so far; by default the seconds that ``Reporter`` adds
    (``st_worker_time``), or the elapsed time of a recorded table."""
    cost_model: CostModel = CostModel.COARSE
    """``coarse`` (of whole trials) or ``linear`` (in the resource, from every report; needs ``max_resource``)."""
    exponent: float = 1.0
    """Of the cost, by which the expected improvement is divided; >= 0."""
    budget: float | None = None
    """What all trials may cost: the exponent then falls to 0 as it is spent. > 0."""
    gp: GPSettings = GPSettings(acquisition=AcquisitionKind.LOG_EI)
    """The models; the acquisition function, ``log_ei``, is divided by the predicted cost."""

    def __post_init__(self) -> None:
        only_improvement(self.gp.acquisition, "CostAwareBO")
        if self.cost is not None and not self.cost:
            raise SettingsError("cost must name the reported value that says what a trial has cost so far")
        if not self.exponent >= 0:
            raise SettingsError(f"exponent={self.exponent} must be >= 0")
        if self.budget is not None and not self.budget > 0:
            raise SettingsError(f"budget={self.budget} must be > 0")


def _constrained_bo(benchmark: Benchmark, seed: int, settings: ConstrainedBOSettings) -> FIFO:
    space, gp, constraints = benchmark.space, settings.gp, settings.constraints
    context = context_of(benchmark, seed)
    proposer = GPProposer(
        ConstrainedLearner(column_groups(space, gp.hamming_above), gp, constraints), context.cube(), gp
    )
    others = [constraint.metric for constraint in constraints]
    observations = Observations(
        space, benchmark.metrics[0], others=others, failures=gp.failures, stopped=gp.stopped
    )
    return FIFO(ModelBasedSearcher(context, proposer, observations, n_initial=gp.n_initial))


def _cost_aware_bo(benchmark: Benchmark, seed: int, settings: CostAwareBOSettings) -> FIFO:
    space, gp = benchmark.space, settings.gp
    is_linear = settings.cost_model is CostModel.LINEAR
    resource = full_resource(benchmark, "CostAwareBO with cost_model=linear") if is_linear else None
    learner = CostAwareLearner(
        column_groups(space, gp.hamming_above),
        gp,
        resource=resource,
        exponent=settings.exponent,
        budget=settings.budget,
    )
    context = context_of(benchmark, seed)
    levels = () if resource is None else range(1, resource + 1)
    cost = Metric(settings.cost or benchmark.time_attr)
    observations = Observations(
        space, benchmark.metrics[0], levels, others=[cost], failures=gp.failures, stopped=gp.stopped
    )
    proposer = GPProposer(learner, context.cube(), gp)
    return FIFO(ModelBasedSearcher(context, proposer, observations, n_initial=gp.n_initial))


METHODS: Final[tuple[Method[Any], ...]] = (
    fifo_method(
        "BayesianOptimization",
        "Models final results with a Gaussian process and tries where the most improvement is expected",
        GPSettings,
        gp_searcher,
    ),
    fifo_method(
        "TuRBO",
        "Models trust regions around the best results with Gaussian processes; for many hyperparameters or trials",
        TuRBOSettings,
        turbo_searcher,
    ),
    fifo_method(
        "KDE",
        "Draws configurations where good final results are dense and bad ones are not",
        KDESettings,
        kde_searcher,
    ),
    fifo_method(
        "TPE",
        "Draws where good final results are dense, and bad, failed and running trials are not; for many workers",
        TPESettings,
        tpe_searcher,
    ),
    fifo_method(
        "RandomForestBO",
        "Models final results with a random forest: for categories of many values and conditional spaces",
        ForestSettings,
        forest_searcher,
    ),
    fifo_method(
        "BORE",
        "Proposes what a classifier takes for one of the best; every trial runs to its end",
        BORESettings,
        bore_searcher,
    ),
    fifo_method(
        "CQR",
        "Proposes where a draw from conformal quantiles is lowest; every trial runs to its end",
        CQRSettings,
        cqr_searcher,
    ),
    Method(
        name="ConstrainedBO",
        summary="Bayesian optimisation of a metric while other reported values stay within bounds",
        settings=ConstrainedBOSettings,
        build=_constrained_bo,
        constraints=lambda settings: settings.constraints,
        reads=lambda _, settings: [constraint.name for constraint in settings.constraints],
    ),
    Method(
        name="CostAwareBO",
        summary="Bayesian optimisation by expected improvement per predicted cost",
        settings=CostAwareBOSettings,
        build=_cost_aware_bo,
        reads=lambda benchmark, settings: [settings.cost or benchmark.time_attr],
    ),
)
