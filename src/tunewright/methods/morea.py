"""MOREA: regularized evolution of several objectives, every trial runs to its end."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.scoping import context_of
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.evolution import EvolutionSettings, evolution_searcher


def _build(benchmark: Benchmark, seed: int, settings: EvolutionSettings) -> FIFO:
    first, *others = benchmark.metrics
    return FIFO(evolution_searcher(context_of(benchmark, seed), settings, metric=first, others=others))


METHOD = Method(
    name="MOREA",
    summary="Regularized evolution of several metrics: mutants of recent trials that few others dominate",
    settings=EvolutionSettings,
    build=_build,
)
