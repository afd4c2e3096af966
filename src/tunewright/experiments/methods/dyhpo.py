"""DyHPO: goes on with whichever trial promises most at its next level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.experiments.methods.freeze_thaw import only_improvement
from tunewright.experiments.methods.method import Method
from tunewright.experiments.methods.needs import full_resource, only_metric
from tunewright.experiments.methods.scoping import scope_of
from tunewright.schedulers.dyhpo import DyHPO
from tunewright.schedulers.freeze_thaw import Pauses, check_probability
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import AcquisitionKind, GPOptions, choice
from tunewright.searchers.gp_curves import LevelOutlookLearner
from tunewright.searchers.gp_levels import JointModel, ResourceKernel
from tunewright.searchers.prospects import Prospects


@final
@dataclass(frozen=True, kw_only=True)
class DyHPOSettings(GPOptions):
    """Where trials pause, and the model of their results.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    n_initial: int = 6
    """Trials before the model is asked, given points included, >= 1."""
    acquisition: AcquisitionKind = AcquisitionKind.LOG_EI
    """How trials are weighed: only ``log_ei``."""
    max_observations: int = 300
    """Results at levels that the model learns from at most, >= 2; those at high levels are kept."""
    grace_period: int = 1
    """The first level, >= 1."""
    rung_increment: int = 2
    """The distance of two levels, >= 1."""
    levels: tuple[int, ...] | None = None
    """Own levels instead of ``grace_period + j * rung_increment``."""
    probability_sh: float = 0.25
    """How often a trial at the top of its rung goes on, whatever the model says, >= 0 and below 1."""
    resource_kernel: ResourceKernel = ResourceKernel.PRODUCT
    """How results at different levels hang together."""

    def __post_init__(self) -> None:
        GPOptions.__post_init__(self)
        only_improvement(self)
        check_probability("probability_sh", self.probability_sh)
        if self.rung_increment < 1 or self.grace_period < 1:
            raise SettingsError(
                f"rung_increment={self.rung_increment} and grace_period={self.grace_period} must be >= 1"
            )
        if self.levels is not None:
            Pauses(max_resource=max((0, *self.levels)) + 1, levels=self.levels)
        kernel = choice("resource_kernel", ResourceKernel, self.resource_kernel)
        object.__setattr__(self, "resource_kernel", kernel)

    def pauses(self, max_resource: int) -> Pauses:
        """For a benchmark whose full run is ``max_resource`` long.

        Raises
        ------
        SettingsError
            They do not fit it.
        """
        own = self.levels
        levels = tuple(range(self.grace_period, max_resource, self.rung_increment))
        return Pauses(max_resource=max_resource, levels=levels if own is None else own)


def _build(benchmark: Benchmark, seed: int, settings: DyHPOSettings) -> DyHPO:
    space, metric = benchmark.space, only_metric(benchmark, "DyHPO")
    pauses = settings.pauses(full_resource(benchmark, "DyHPO"))
    levels = (*pauses.levels, pauses.max_resource)
    joint = JointModel(space.n_columns, levels, settings, settings.resource_kernel)
    prospects = Prospects(
        scope_of(benchmark, seed),
        LevelOutlookLearner(joint, settings),
        Observations(space, metric, levels),
        n_initial=settings.n_initial,
    )
    return DyHPO(prospects, pauses, metric=metric, seed=seed, probability_sh=settings.probability_sh)


METHOD = Method(
    name="DyHPO",
    summary="Goes on with the paused trial, or begins the new one, that promises most at its next level",
    settings=DyHPOSettings,
    build=_build,
)
