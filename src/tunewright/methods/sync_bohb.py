"""SyncBOHB: synchronous Hyperband over configurations drawn where good results are dense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.bracket_options import BracketOptions
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.methods.scoping import context_of
from tunewright.schedulers.sync_hyperband import SyncHyperband
from tunewright.searchers.kde import KDEOptions, kde_searcher


@final
@dataclass(frozen=True, kw_only=True)
class SyncBOHBSettings(BracketOptions, KDEOptions):
    """Brackets, and how densities are estimated.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    min_bandwidth: float = 0.1
    """Of the unit interval, > 0: wide, since the highest level has few results."""

    def __post_init__(self) -> None:
        BracketOptions.__post_init__(self)
        KDEOptions.__post_init__(self)


def _build(benchmark: Benchmark, seed: int, settings: SyncBOHBSettings) -> SyncHyperband:
    metric = only_metric(benchmark, "SyncBOHB")
    plan = settings.plan(full_resource(benchmark, "SyncBOHB"))
    searcher = kde_searcher(context_of(benchmark, seed), settings, metric=metric, levels=plan.levels)
    return SyncHyperband(searcher, plan, metric=metric)


METHOD = Method(
    name="SyncBOHB",
    summary="Synchronous Hyperband over configurations drawn where good results are dense",
    settings=SyncBOHBSettings,
    build=_build,
)
