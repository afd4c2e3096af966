"""KDE: draws where good final results are dense; every trial runs to its end."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import only_metric
from tunewright.methods.scoping import context_of
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.kde import KDESettings, kde_searcher


def _build(benchmark: Benchmark, seed: int, settings: KDESettings) -> FIFO:
    metric = only_metric(benchmark, "KDE")
    return FIFO(kde_searcher(context_of(benchmark, seed), settings, metric=metric))


METHOD = Method(
    name="KDE",
    summary="Draws configurations where good final results are dense and bad ones are not",
    settings=KDESettings,
    build=_build,
)
