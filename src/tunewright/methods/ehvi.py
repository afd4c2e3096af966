"""EHVI: the hypervolume that is expected to become dominated; every trial runs to its end."""

from __future__ import annotations

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.scoping import context_of
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.gp_objectives import HypervolumeSettings, objectives_searcher


def _build(benchmark: Benchmark, seed: int, settings: HypervolumeSettings) -> FIFO:
    return FIFO(objectives_searcher(context_of(benchmark, seed), settings, metrics=benchmark.metrics))


METHOD = Method(
    name="EHVI",
    summary="Bayesian optimisation of several metrics by the expected improvement of the dominated hypervolume",
    settings=HypervolumeSettings,
    build=_build,
)
