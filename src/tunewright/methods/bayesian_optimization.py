"""BayesianOptimization: a Gaussian process of final results; every trial runs to its end."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import only_metric
from tunewright.methods.scoping import context_of
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.gp import GPSettings, gp_searcher


def _build(benchmark: Benchmark, seed: int, settings: GPSettings) -> FIFO:
    metric = only_metric(benchmark, "BayesianOptimization")
    return FIFO(gp_searcher(context_of(benchmark, seed), settings, metric=metric))


METHOD = Method(
    name="BayesianOptimization",
    summary="Models final results with a Gaussian process and tries where the most improvement is expected",
    settings=GPSettings,
    build=_build,
)
