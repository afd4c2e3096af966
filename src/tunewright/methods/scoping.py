"""Where the searchers of a benchmark look."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.searchers.context import SearcherContext


def context_of(benchmark: Benchmark, seed: int) -> SearcherContext:
    """The benchmark's space and points, and the configurations that it lists."""
    return SearcherContext(
        space=benchmark.space,
        seed=seed,
        points_to_evaluate=benchmark.points_to_evaluate,
        candidates=benchmark.candidates(),
    )
