"""All searchers keep their contract."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.interfaces import Searcher
from tunewright.metric import Metric
from tunewright.searchers.cma import CMAESSearcher, CMAESSettings
from tunewright.searchers.model_free import GridSearcher, RandomSearcher
from tunewright.space import SearchSpace
from tunewright.testing.searcher_contract import SearcherContract
from tunewright.types import Config


class TestRandomSearcher(SearcherContract):
    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        return RandomSearcher(space, seed=seed, points_to_evaluate=points_to_evaluate)


class TestShuffledGridSearcher(SearcherContract):
    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        return GridSearcher(space, seed=seed, points_to_evaluate=points_to_evaluate)


class TestGridSearcher(SearcherContract):
    is_random = False

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        return GridSearcher(space, seed=seed, shuffle=False, points_to_evaluate=points_to_evaluate)


class TestCMAES(SearcherContract):
    n_trials = 30

    def make_searcher(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> Searcher:
        return CMAESSearcher(
            space,
            CMAESSettings(),
            metric=Metric("loss"),
            seed=seed,
            points_to_evaluate=points_to_evaluate,
        )
