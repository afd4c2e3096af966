"""SyncMOBSTER: synchronous Hyperband over configurations that a Gaussian process proposes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.bracket_options import BracketOptions
from tunewright.methods.level_options import LevelModelOptions
from tunewright.methods.level_searcher import level_searcher
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.schedulers.sync_hyperband import SyncHyperband
from tunewright.searchers.gp import GPOptions


@final
@dataclass(frozen=True, kw_only=True)
class SyncMOBSTERSettings(BracketOptions, LevelModelOptions, GPOptions):
    """Brackets, and the model of results at their levels.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    def __post_init__(self) -> None:
        BracketOptions.__post_init__(self)
        GPOptions.__post_init__(self)
        LevelModelOptions.__post_init__(self)


def _build(benchmark: Benchmark, seed: int, settings: SyncMOBSTERSettings) -> SyncHyperband:
    metric = only_metric(benchmark, "SyncMOBSTER")
    plan = settings.plan(full_resource(benchmark, "SyncMOBSTER"))
    searcher = level_searcher(
        benchmark,
        seed,
        plan.levels,
        settings,
        model=settings.model,
        kernel=settings.resource_kernel,
    )
    return SyncHyperband(searcher, plan, metric=metric)


METHOD = Method(
    name="SyncMOBSTER",
    summary="Synchronous Hyperband over configurations proposed by a Gaussian process for each level",
    settings=SyncMOBSTERSettings,
    build=_build,
)
