"""DyHPO: goes on with whichever trial promises most at its next level."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import check_at_least
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_improvement, only_metric
from tunewright.methods.pause_options import PauseOptions
from tunewright.methods.scoping import context_of
from tunewright.schedulers.dyhpo import DyHPO
from tunewright.schedulers.freeze_thaw import check_probability
from tunewright.searchers.candidate_selection import CandidateSelector
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import GPOptions, choice
from tunewright.searchers.gp_curves import LevelForecastLearner
from tunewright.searchers.gp_levels import JointModel, ResourceKernel


@final
@dataclass(frozen=True, kw_only=True)
class DyHPOSettings(PauseOptions, GPOptions):
    """Where trials pause, and the model of their results.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    rung_increment: int = 2
    """The distance of two levels, >= 1."""
    probability_sh: float = 0.25
    """How often a trial at the top of its rung goes on, whatever the model says, >= 0 and below 1."""
    resource_kernel: ResourceKernel = ResourceKernel.PRODUCT
    """How results at different levels hang together."""

    def __post_init__(self) -> None:
        GPOptions.__post_init__(self)
        PauseOptions.__post_init__(self)
        only_improvement(self.acquisition, "DyHPO")
        check_probability("probability_sh", self.probability_sh)
        check_at_least(self, 1, "rung_increment")
        kernel = choice("resource_kernel", ResourceKernel, self.resource_kernel)
        object.__setattr__(self, "resource_kernel", kernel)

    def spaced_levels(self, max_resource: int) -> tuple[int, ...]:
        """``grace_period + j * rung_increment``."""
        return tuple(range(self.grace_period, max_resource, self.rung_increment))


def _build(benchmark: Benchmark, seed: int, settings: DyHPOSettings) -> DyHPO:
    space, metric = benchmark.space, only_metric(benchmark, "DyHPO")
    pauses = settings.pauses(full_resource(benchmark, "DyHPO"))
    levels = (*pauses.levels, pauses.max_resource)
    joint = JointModel(space.n_columns, levels, settings, settings.resource_kernel)
    selector = CandidateSelector(
        context_of(benchmark, seed),
        LevelForecastLearner(joint, settings),
        Observations(space, metric, levels),
        n_initial=settings.n_initial,
        spread=settings.spread,
    )
    return DyHPO(selector, pauses, metric=metric, seed=seed, probability_sh=settings.probability_sh)


METHOD = Method(
    name="DyHPO",
    summary="Goes on with the paused trial, or begins the new one, that promises most at its next level",
    settings=DyHPOSettings,
    build=_build,
)
