"""CQR: proposes where a draw from conformal quantiles is lowest; every trial runs to its end."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import only_metric
from tunewright.methods.scoping import context_of
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.cqr import CQRSettings, cqr_searcher


def _build(benchmark: Benchmark, seed: int, settings: CQRSettings) -> FIFO:
    metric = only_metric(benchmark, "CQR")
    return FIFO(cqr_searcher(context_of(benchmark, seed), settings, metric=metric))


METHOD = Method(
    name="CQR",
    summary="Proposes where a draw from conformal quantiles is lowest; every trial runs to its end",
    settings=CQRSettings,
    build=_build,
)
