"""QuantileTransfer: sampling where earlier experiments did well; every trial runs to its end."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tunewright.benchmarks import Benchmark
from tunewright.interfaces import Searcher
from tunewright.methods.method import Method
from tunewright.methods.needs import only_metric
from tunewright.methods.scoping import context_of
from tunewright.methods.warm_benchmark import WarmBenchmark, known_from_before
from tunewright.schedulers.fifo import FIFO
from tunewright.transfer.sampling import QuantileOptions, QuantileSettings, quantile_searcher

NAME: Final = "QuantileTransfer"


def warm_searcher(benchmark: WarmBenchmark, options: QuantileOptions, seed: int) -> Searcher:
    """The searcher as a benchmark wants it; without points of the user's, draws come first."""
    points = benchmark.points_to_evaluate or ()
    context = replace(context_of(benchmark, seed), points_to_evaluate=points)
    return quantile_searcher(context, benchmark.evaluations, options)


def _build(benchmark: Benchmark, seed: int, settings: QuantileSettings) -> FIFO:
    only_metric(benchmark, NAME)
    return FIFO(warm_searcher(known_from_before(benchmark, NAME), settings, seed))


METHOD = Method(
    name=NAME,
    summary="Samples where a regression of earlier experiments' quantiles expects good results",
    settings=QuantileSettings,
    build=_build,
    needs_evaluations=True,
)
