"""The searcher that draws at random, as a benchmark wants it."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.interfaces import Searcher
from tunewright.searchers.random import RandomSearcher
from tunewright.searchers.restricted import RestrictedSearcher


def random_searcher(benchmark: Benchmark, seed: int) -> Searcher:
    """Independent draws from the benchmark's space, or from the configurations that it lists.

    Raises
    ------
    SpaceError
        A point to begin with does not fit.
    """
    candidates = benchmark.candidates()
    points = benchmark.points_to_evaluate
    if candidates is None:
        return RandomSearcher(benchmark.space, seed=seed, points_to_evaluate=points)
    return RestrictedSearcher(candidates, space=benchmark.space, seed=seed, points_to_evaluate=points)
