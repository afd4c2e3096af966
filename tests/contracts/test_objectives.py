"""Methods for several metrics keep the contracts, with one metric and with more."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.interfaces import Scheduler, Searcher
from tunewright.methods import build_scheduler, method
from tunewright.metric import Goal, Metric
from tunewright.searchers.gp_objectives import (
    HypervolumeSettings,
    ObjectiveModelSettings,
    ScalarizationSettings,
    objectives_searcher,
)
from tunewright.searchers.model_free import SearcherContext
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.searcher_contract import SearcherContract
from tunewright.types import Config

LOSSES = (Metric("loss"), Metric("epoch", Goal.MAXIMIZE))


def searcher(
    space: SearchSpace,
    settings: ScalarizationSettings | HypervolumeSettings,
    seed: int,
    points: Sequence[Config] | None,
) -> Searcher:
    return objectives_searcher(
        SearcherContext(space=space, seed=seed, points_to_evaluate=points), settings, metrics=LOSSES
    )


class TestRandomScalarization(SearcherContract):
    n_trials = 8

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        return searcher(
            space, ScalarizationSettings(models=ObjectiveModelSettings(n_initial=4)), seed, points_to_evaluate
        )


class TestHypervolume(SearcherContract):
    n_trials = 8

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        settings = HypervolumeSettings(
            models=ObjectiveModelSettings(n_initial=4, max_observations=5, n_fantasies=3)
        )
        return searcher(space, settings, seed, points_to_evaluate)


def build(space: SearchSpace, metric: Metric, seed: int, **settings: str) -> Scheduler:
    benchmark = RealBenchmarkDefinition(
        name="contract", script="none", space=space, metrics=(metric, Metric("epoch")), max_resource=27
    )
    return build_scheduler(method("MOASHA", **settings), benchmark, seed, {})


class TestMOASHA(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return build(space, metric, seed)


class TestMOASHAStopping(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return build(space, metric, seed, kind="stopping", ranking="linear")
