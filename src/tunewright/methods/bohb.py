"""BOHB: ASHA over configurations drawn where good results at the highest rung are dense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.methods.rung_options import RungOptions
from tunewright.methods.scoping import context_of
from tunewright.schedulers.asha import ASHA
from tunewright.searchers.kde import KDEOptions, kde_searcher


@final
@dataclass(frozen=True, kw_only=True)
class BOHBSettings(RungOptions, KDEOptions):
    """Rungs, and how densities are estimated.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    min_bandwidth: float = 0.1
    """Of the unit interval, > 0: wide, since the highest rung has few results."""

    def __post_init__(self) -> None:
        RungOptions.__post_init__(self)
        KDEOptions.__post_init__(self)


def _build(benchmark: Benchmark, seed: int, settings: BOHBSettings) -> ASHA:
    metric = only_metric(benchmark, "BOHB")
    rungs = settings.rungs(full_resource(benchmark, "BOHB"))
    levels = (*rungs.levels, rungs.max_resource)
    searcher = kde_searcher(context_of(benchmark, seed), settings, metric=metric, levels=levels)
    return ASHA(searcher, rungs, metric=metric, seed=seed)


METHOD = Method(
    name="BOHB",
    summary="ASHA over configurations drawn where good results at the highest rung are dense",
    settings=BOHBSettings,
    build=_build,
)
