"""MOREA: regularized evolution of several objectives, every trial runs to its end."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.experiments.methods.method import Method
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.evolution import EvolutionSettings, evolution_searcher


def _build(benchmark: Benchmark, seed: int, settings: EvolutionSettings) -> FIFO:
    first, *others = benchmark.metrics
    searcher = evolution_searcher(
        benchmark.space,
        settings,
        metric=first,
        seed=seed,
        points_to_evaluate=benchmark.points_to_evaluate,
        candidates=benchmark.candidates(),
        others=others,
    )
    return FIFO(searcher)


METHOD = Method(
    name="MOREA",
    summary="Regularized evolution of several metrics: mutants of recent trials that few others dominate",
    settings=EvolutionSettings,
    build=_build,
)
