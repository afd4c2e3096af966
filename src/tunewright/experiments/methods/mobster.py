"""MOBSTER: asynchronous successive halving over configurations that a Gaussian process proposes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.experiments.methods.level_searcher import level_searcher
from tunewright.experiments.methods.method import Method
from tunewright.experiments.methods.needs import full_resource, only_metric
from tunewright.experiments.methods.options import LevelModel, RungOptions
from tunewright.schedulers.asha import ASHA
from tunewright.searchers.gp import GPOptions, choice
from tunewright.searchers.gp_levels import ResourceKernel


@final
@dataclass(frozen=True, kw_only=True)
class MOBSTERSettings(RungOptions, GPOptions):
    """Rungs, and the model of results at them.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    n_initial: int = 6
    """Trials before the model is asked, given points included, >= 1."""
    max_observations: int = 300
    """Rows that a model learns from at most, >= 2; those at high rungs are kept."""
    model: LevelModel = LevelModel.JOINT
    resource_kernel: ResourceKernel = ResourceKernel.PRODUCT
    """How results at different rungs hang together in the joint model."""

    def __post_init__(self) -> None:
        RungOptions.__post_init__(self)
        GPOptions.__post_init__(self)
        object.__setattr__(self, "model", choice("model", LevelModel, self.model))
        kernel = choice("resource_kernel", ResourceKernel, self.resource_kernel)
        object.__setattr__(self, "resource_kernel", kernel)


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
