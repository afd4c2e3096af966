"""MOBSTER: asynchronous successive halving over configurations that a Gaussian process proposes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.level_options import LevelModel, LevelModelOptions
from tunewright.methods.level_searcher import level_searcher
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.methods.rung_options import RungOptions
from tunewright.schedulers.asha import ASHA
from tunewright.searchers.gp import GPOptions


@final
@dataclass(frozen=True, kw_only=True)
class MOBSTERSettings(RungOptions, LevelModelOptions, GPOptions):
    """Rungs, and the model of results at them.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    max_observations: int = 300
    """Rows that a model learns from at most, >= 2; those at high rungs are kept."""
    model: LevelModel = LevelModel.JOINT

    def __post_init__(self) -> None:
        RungOptions.__post_init__(self)
        GPOptions.__post_init__(self)
        LevelModelOptions.__post_init__(self)


def _build(benchmark: Benchmark, seed: int, settings: MOBSTERSettings) -> ASHA:
    metric = only_metric(benchmark, "MOBSTER")
    rungs = settings.rungs(full_resource(benchmark, "MOBSTER"))
    searcher = level_searcher(
        benchmark,
        seed,
        (*rungs.levels, rungs.max_resource),
        settings,
        model=settings.model,
        kernel=settings.resource_kernel,
    )
    return ASHA(searcher, rungs, metric=metric, seed=seed)


METHOD = Method(
    name="MOBSTER",
    summary="ASHA over configurations proposed by a Gaussian process of configuration and resource",
    settings=MOBSTERSettings,
    build=_build,
)
