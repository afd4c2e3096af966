"""The searchers with models, alone and below schedulers, keep the contracts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.interfaces import Scheduler, Searcher
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, RungSettings
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import AcquisitionKind, GPProposer, GPSettings, Learner, gp_searcher
from tunewright.searchers.gp_levels import IndependentLearner, JointLearner, JointModel, ResourceKernel
from tunewright.searchers.hypertune import EnsembleLearner, IndependentRungs, JointRungs
from tunewright.searchers.kde import KDESettings, kde_searcher
from tunewright.searchers.mixture import Arm, MixtureSearcher, Outcomes
from tunewright.searchers.model_based import ModelBasedSearcher
from tunewright.searchers.model_free import RandomSearcher, SearcherContext
from tunewright.searchers.tpe import TPESettings, tpe_searcher
from tunewright.searchers.turbo import TuRBOSettings, turbo_searcher
from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.searcher_contract import SearcherContract
from tunewright.types import Config

LOSS = Metric("loss")
LEVELS = (1, 2)
MAX_RESOURCE = 9
"""A short one keeps the numbers of observations, and the time for their models, small."""


class TestGPSearcher(SearcherContract):
    n_trials = 10

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        return gp_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            GPSettings(),
            metric=LOSS,
        )


class TestGPSearcherOfAnotherKind(SearcherContract):
    n_trials = 8

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        settings = GPSettings(acquisition=AcquisitionKind.LOG_EI, input_warping=True, n_initial=2)
        return gp_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            settings,
            metric=LOSS,
        )


class TestThompsonSampling(SearcherContract):
    n_trials = 8

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        settings = GPSettings(acquisition=AcquisitionKind.THOMPSON, n_fantasies=0, max_observations=5)
        return gp_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            settings,
            metric=LOSS,
        )


class TestTuRBO(SearcherContract):
    n_trials = 14

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        return turbo_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            TuRBOSettings(n_initial=4, n_candidates=64),
            metric=LOSS,
        )


class TestTuRBOOfSeveralRegions(SearcherContract):
    n_trials = 14

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        settings = TuRBOSettings(
            n_regions=2, n_initial=3, n_candidates=64, failure_tolerance=1, shortest_length=0.4
        )
        return turbo_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            settings,
            metric=LOSS,
        )


class TestKDESearcher(SearcherContract):
    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        return kde_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            KDESettings(),
            metric=LOSS,
        )


class TestTPESearcher(SearcherContract):
    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        return tpe_searcher(
            SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
            TPESettings(n_initial=4),
            metric=LOSS,
        )


def at_levels(
    space: SearchSpace, learner: Learner, seed: int, points_to_evaluate: Sequence[Config] | None
) -> Searcher:
    return ModelBasedSearcher(
        SearcherContext(space=space, seed=seed, points_to_evaluate=points_to_evaluate),
        GPProposer(learner, UnitCube(space), GPSettings()),
        Observations(space, LOSS, LEVELS),
    )


class TestJointModel(SearcherContract):
    n_trials = 8

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        joint = JointModel(space.n_columns, LEVELS, GPSettings(max_observations=12), ResourceKernel.PRODUCT)
        learner = JointLearner(joint, space.n_columns + 1, GPSettings())
        return at_levels(space, learner, seed, points_to_evaluate)


class TestIndependentModels(SearcherContract):
    n_trials = 8

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        learner = IndependentLearner(space.n_columns, len(LEVELS), space.n_columns + 1, GPSettings())
        return at_levels(space, learner, seed, points_to_evaluate)


class TestEnsemble(SearcherContract):
    n_trials = 8

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        rungs = IndependentRungs(space.n_columns, len(LEVELS), GPSettings())
        return at_levels(space, EnsembleLearner(rungs, space.n_columns + 1), seed, points_to_evaluate)


class TestJointEnsemble(SearcherContract):
    n_trials = 8

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        joint = JointModel(space.n_columns, LEVELS, GPSettings(), ResourceKernel.DAMPED_DECAY)
        learner = EnsembleLearner(JointRungs(joint, GPSettings()), space.n_columns + 1)
        return at_levels(space, learner, seed, points_to_evaluate)


def build(
    name: str, space: SearchSpace, metric: Metric, seed: int, settings: Mapping[str, Any] | None = None
) -> Scheduler:
    benchmark = RealBenchmarkDefinition(
        name="contract", script="none", space=space, metrics=(metric,), max_resource=MAX_RESOURCE
    )
    return build_scheduler(method(name, **(settings or {})), benchmark, seed, {})


class TestMOBSTER(SchedulerContract):
    max_resource = MAX_RESOURCE
    n_trials = 10
    restart_every = 20

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return build("MOBSTER", space, metric, seed)


class TestMOBSTERStopping(SchedulerContract):
    max_resource = MAX_RESOURCE
    n_trials = 12
    restart_every = 20

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return build("MOBSTER", space, metric, seed, {"kind": "stopping", "model": "independent"})


class TestHyperTune(SchedulerContract):
    max_resource = MAX_RESOURCE
    n_trials = 10
    restart_every = 20

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return build("HyperTune", space, metric, seed)


class TestAdaptive(SchedulerContract):
    max_resource = MAX_RESOURCE
    n_trials = 10
    restart_every = 20

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return build("Adaptive", space, metric, seed, {"max_observations": 30})


class TestAdaptiveWithoutItsModel(SchedulerContract):
    """With many trials, so that shares, repeats and the first rung are judged."""

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        rungs = RungSettings(brackets=3).within(27, elapsed="epoch", drop_first_rung=True)
        arms = [
            Arm(name, RandomSearcher(space, seed=seed + number, points_to_evaluate=[]), name)
            for number, name in enumerate(("model", "random"))
        ]
        searcher = MixtureSearcher(*arms, Outcomes(metric, (*rungs.levels, 27), 3, "epoch"), seed=seed)
        return ASHA(searcher, rungs, metric=metric, seed=seed)


class TestMixture(SearcherContract):
    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        arms = [
            Arm(name, RandomSearcher(space, seed=number + seed, points_to_evaluate=points_to_evaluate), name)
            for number, name in enumerate(("model", "random"))
        ]
        return MixtureSearcher(*arms, Outcomes(LOSS, LEVELS, 3), seed=seed)


class TestBOHB(SchedulerContract):
    max_resource = MAX_RESOURCE

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return build("BOHB", space, metric, seed)
