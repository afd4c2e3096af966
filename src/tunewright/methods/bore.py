"""BORE: proposes what a classifier takes for one of the best; every trial runs to its end."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import only_metric
from tunewright.methods.scoping import context_of
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.bore import BORESettings, bore_searcher


def _build(benchmark: Benchmark, seed: int, settings: BORESettings) -> FIFO:
    metric = only_metric(benchmark, "BORE")
    return FIFO(bore_searcher(context_of(benchmark, seed), settings, metric=metric))


METHOD = Method(
    name="BORE",
    summary="Proposes what a classifier takes for one of the best; every trial runs to its end",
    settings=BORESettings,
    build=_build,
)
