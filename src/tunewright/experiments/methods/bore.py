"""BORE: proposes what a classifier takes for one of the best; every trial runs to its end."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.experiments.methods.method import Method
from tunewright.experiments.methods.needs import only_metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.bore import BORESettings, bore_searcher


def _build(benchmark: Benchmark, seed: int, settings: BORESettings) -> FIFO:
    searcher = bore_searcher(
        benchmark.space,
        settings,
        metric=only_metric(benchmark, "BORE"),
        seed=seed,
        points_to_evaluate=benchmark.points_to_evaluate,
        candidates=benchmark.candidates(),
    )
    return FIFO(searcher)


METHOD = Method(
    name="BORE",
    summary="Proposes what a classifier takes for one of the best; every trial runs to its end",
    settings=BORESettings,
    build=_build,
)
