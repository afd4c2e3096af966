"""REA: regularized evolution, every trial runs to its end."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import only_metric
from tunewright.methods.scoping import context_of
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.evolution import EvolutionSettings, evolution_searcher


def _build(benchmark: Benchmark, seed: int, settings: EvolutionSettings) -> FIFO:
    metric = only_metric(benchmark, "REA")
    return FIFO(evolution_searcher(context_of(benchmark, seed), settings, metric=metric))


METHOD = Method(
    name="REA",
    summary="Regularized evolution: mutants of the best of a few recent trials; every trial runs to its end",
    settings=EvolutionSettings,
    build=_build,
)
