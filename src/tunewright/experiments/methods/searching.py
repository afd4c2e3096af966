"""The searcher around a proposer, as a benchmark wants it."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.searchers.encoding import Observations
from tunewright.searchers.model_based import ModelBasedSearcher, Proposer


def searcher_of(
    benchmark: Benchmark, seed: int, proposer: Proposer, observations: Observations, n_initial: int
) -> ModelBasedSearcher:
    """A searcher that begins with the benchmark's points and keeps to the configurations that it lists.

    Raises
    ------
    SpaceError
        A point to begin with does not fit.
    """
    return ModelBasedSearcher(
        benchmark.space,
        proposer,
        observations,
        seed=seed,
        points_to_evaluate=benchmark.points_to_evaluate,
        candidates=benchmark.candidates(),
        n_initial=n_initial,
    )
