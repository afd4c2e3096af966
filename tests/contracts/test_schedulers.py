"""All schedulers keep their contract."""

from __future__ import annotations

from tunewright.interfaces import Scheduler
from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, ASHAKind, ASHASettings
from tunewright.schedulers.fifo import FIFO
from tunewright.schedulers.top_k import TopK, TopKSettings
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract


class TestFIFO(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return FIFO(RandomSearcher(space, seed=seed))


class TestPromotion(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        settings = ASHASettings(max_resource=27)
        return ASHA(RandomSearcher(space, seed=seed), settings, metric=metric, seed=seed)


class TestStopping(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        settings = ASHASettings(max_resource=27, kind=ASHAKind.STOPPING)
        return ASHA(RandomSearcher(space, seed=seed), settings, metric=metric, seed=seed)


class TestPromotionInBrackets(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        settings = ASHASettings(max_resource=27, brackets=4)
        return ASHA(RandomSearcher(space, seed=seed), settings, metric=metric, seed=seed)


class TestPromotionInSeparateBrackets(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        settings = ASHASettings(max_resource=27, brackets=3, shared_rungs=False, eta=2)
        return ASHA(RandomSearcher(space, seed=seed), settings, metric=metric, seed=seed)


class TestStoppingWithOwnLevelsInBrackets(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        settings = ASHASettings(
            max_resource=27, rung_levels=(2, 5, 11), brackets=3, kind=ASHAKind.STOPPING, shared_rungs=False
        )
        return ASHA(RandomSearcher(space, seed=seed), settings, metric=metric, seed=seed)


class TestTopK(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        settings = TopKSettings(max_resource=27, n_configs=10)
        return TopK(RandomSearcher(space, seed=seed), settings, metric=metric)
