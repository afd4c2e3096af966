"""NSGA2: crossover and mutation of the best fronts, every trial runs to its end."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.scoping import context_of
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.nsga2 import NSGA2Settings, nsga2_searcher


def _build(benchmark: Benchmark, seed: int, settings: NSGA2Settings) -> FIFO:
    return FIFO(nsga2_searcher(context_of(benchmark, seed), settings, metrics=benchmark.metrics))


METHOD = Method(
    name="NSGA2",
    summary="NSGA-II without waiting generations: children of trials that few others dominate, for several metrics",
    settings=NSGA2Settings,
    build=_build,
)
