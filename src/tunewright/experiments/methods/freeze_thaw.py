"""FreezeThaw: pauses all trials at levels and goes on with whichever promises most for the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.experiments.methods.method import Method
from tunewright.experiments.methods.needs import full_resource, only_metric
from tunewright.experiments.methods.scoping import scope_of
from tunewright.schedulers.freeze_thaw import FreezeThaw, Pauses, check_probability
from tunewright.schedulers.rungs import rung_levels
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import AcquisitionKind, GPOptions
from tunewright.searchers.gp_curves import CurveLearner
from tunewright.searchers.prospects import Prospects


@final
@dataclass(frozen=True, kw_only=True)
class FreezeThawSettings(GPOptions):
    """Where trials pause, and the model of their curves.

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
    eta: float = 2
    """The ratio of one level to the one before it, >= 2."""
    levels: tuple[int, ...] | None = None
    """Own levels instead of ``grace_period * eta**j``."""
    probability_thaw: float = 0.75
    """How often only paused trials are weighed, >= 0 and below 1."""

    def __post_init__(self) -> None:
        GPOptions.__post_init__(self)
        only_improvement(self)
        check_probability("probability_thaw", self.probability_thaw)
        if self.input_warping:
            raise SettingsError("input_warping is not supported by FreezeThaw: leave it out")
        if self.eta < 2 or self.grace_period < 1:
            raise SettingsError(
                f"eta={self.eta} must be >= 2 and grace_period={self.grace_period} must be >= 1"
            )
        if self.levels is not None:
            Pauses(max_resource=max((0, *self.levels)) + 1, levels=self.levels)

    def pauses(self, max_resource: int) -> Pauses:
        """For a benchmark whose full run is ``max_resource`` long.

        Raises
        ------
        SettingsError
            They do not fit it.
        """
        own = self.levels
        levels = rung_levels(max_resource, grace_period=self.grace_period, eta=self.eta)
        return Pauses(max_resource=max_resource, levels=levels if own is None else own)


def only_improvement(options: GPOptions) -> None:
    """Paused and new trials are compared by expected improvement, and by nothing else.

    Raises
    ------
    SettingsError
        Another acquisition function is asked for.
    """
    if options.acquisition is not AcquisitionKind.LOG_EI:
        raise SettingsError(
            f"acquisition={options.acquisition} cannot weigh paused trials: it must be log_ei"
        )


def _build(benchmark: Benchmark, seed: int, settings: FreezeThawSettings) -> FreezeThaw:
    metric = only_metric(benchmark, "FreezeThaw")
    pauses = settings.pauses(full_resource(benchmark, "FreezeThaw"))
    levels = (*pauses.levels, pauses.max_resource)
    prospects = Prospects(
        scope_of(benchmark, seed),
        CurveLearner(benchmark.space.n_columns, levels, settings),
        Observations(benchmark.space, metric, levels),
        n_initial=settings.n_initial,
    )
    return FreezeThaw(prospects, pauses, metric=metric, seed=seed, probability_thaw=settings.probability_thaw)


METHOD = Method(
    name="FreezeThaw",
    summary="Goes on with the paused trial, or begins the new one, that promises most for the end of training",
    settings=FreezeThawSettings,
    build=_build,
)
