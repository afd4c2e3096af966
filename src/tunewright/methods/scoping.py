"""Where the searchers of a benchmark look."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.searchers.scope import Scope


def scope_of(benchmark: Benchmark, seed: int) -> Scope:
    """The benchmark's space and points, and the configurations that it lists."""
    return Scope(
        space=benchmark.space,
        seed=seed,
        points_to_evaluate=benchmark.points_to_evaluate,
        candidates=benchmark.candidates(),
    )
