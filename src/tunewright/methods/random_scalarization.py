"""RandomScalarization: a Gaussian process for each metric, weighed at random; every trial runs to its end."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.scoping import context_of
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.gp_objectives import ScalarizationSettings, objectives_searcher


def _build(benchmark: Benchmark, seed: int, settings: ScalarizationSettings) -> FIFO:
    return FIFO(objectives_searcher(context_of(benchmark, seed), settings, metrics=benchmark.metrics))


METHOD = Method(
    name="RandomScalarization",
    summary="Bayesian optimisation of several metrics, weighted anew at random for each trial",
    settings=ScalarizationSettings,
    build=_build,
)
