"""Searchers that weigh improvement by constraints, costs and priors keep the contracts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.interfaces import Scheduler, Searcher
from tunewright.methods import build_scheduler, method
from tunewright.metric import Constraint, Metric
from tunewright.searchers.constrained import ConstrainedLearner
from tunewright.searchers.cost_aware import CostAwareLearner
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import FinalLossLearner, GPProposer, GPSettings, Learner
from tunewright.searchers.model_based import InitialProposer, ModelBasedSearcher, Proposer
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.prior_densities import users_density
from tunewright.searchers.unit_cube import UnitCube
from tunewright.searchers.user_priors import PiBOLearner, PriorBandProposer, PriorProposer
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.searcher_contract import SearcherContract
from tunewright.types import Config

LOSS = Metric("loss")
COST = Metric("epoch")
SETTINGS = GPSettings(n_initial=4, n_fantasies=2)


def searcher(
    space: SearchSpace,
    proposer: Proposer,
    observations: Observations,
    seed: int,
    points: Sequence[Config] | None,
    n_initial: int = 4,
) -> Searcher:
    return ModelBasedSearcher(
        SearcherContext(space=space, seed=seed, points_to_evaluate=points),
        proposer,
        observations,
        n_initial=n_initial,
    )


def by(space: SearchSpace, learner: Learner) -> Proposer:
    return GPProposer(learner, UnitCube(space), SETTINGS)


class TestConstrained(SearcherContract):
    n_trials = 7

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        constraint = Constraint("epoch", 4.0)
        learner = ConstrainedLearner(space.n_columns, SETTINGS, [constraint])
        observations = Observations(space, LOSS, others=[constraint.metric])
        return searcher(space, by(space, learner), observations, seed, points_to_evaluate)


class TestCostAware(SearcherContract):
    n_trials = 7

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        learner = CostAwareLearner(space.n_columns, SETTINGS, budget=100.0)
        observations = Observations(space, LOSS, others=[COST])
        return searcher(space, by(space, learner), observations, seed, points_to_evaluate)


class TestLinearCost(SearcherContract):
    n_trials = 7

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        learner = CostAwareLearner(space.n_columns, SETTINGS, resource=27)
        observations = Observations(space, LOSS, range(1, 28), others=[COST])
        return searcher(space, by(space, learner), observations, seed, points_to_evaluate)


class TestPiBO(SearcherContract):
    n_trials = 7

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        density = users_density(space)
        then = by(space, PiBOLearner(FinalLossLearner(space.n_columns, SETTINGS), density, 10.0))
        proposer = InitialProposer(PriorProposer(density, UnitCube(space)), 4, then)
        return searcher(space, proposer, Observations(space, LOSS), seed, points_to_evaluate, 0)


class TestPriorBand(SearcherContract):
    n_trials = 15

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        levels = (1, 3, 9)
        proposer = PriorBandProposer(space, users_density(space), UnitCube(space), levels=levels, eta=3)
        return searcher(space, proposer, Observations(space, LOSS, levels), seed, points_to_evaluate, 0)


class TestPriorBandBrackets(SchedulerContract):
    settings: ClassVar[Mapping[str, Any]] = {}

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        benchmark = RealBenchmarkDefinition(
            name="contract", script="none", space=space, metrics=(metric,), max_resource=27
        )
        return build_scheduler(method("PriorBand", **self.settings), benchmark, seed, {})


class TestPriorBandOfASHA(TestPriorBandBrackets):
    settings: ClassVar[Mapping[str, Any]] = {"asynchronous": True}
