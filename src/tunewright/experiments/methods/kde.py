"""KDE: draws where good final results are dense; every trial runs to its end."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.experiments.methods.method import Method
from tunewright.experiments.methods.needs import only_metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.kde import KDESettings, kde_searcher


def _build(benchmark: Benchmark, seed: int, settings: KDESettings) -> FIFO:
    searcher = kde_searcher(
        benchmark.space,
        settings,
        metric=only_metric(benchmark, "KDE"),
        seed=seed,
        points_to_evaluate=benchmark.points_to_evaluate,
        candidates=benchmark.candidates(),
    )
    return FIFO(searcher)


METHOD = Method(
    name="KDE",
    summary="Draws configurations where good final results are dense and bad ones are not",
    settings=KDESettings,
    build=_build,
)
