"""FreezeThaw: pauses all trials at levels and goes on with whichever promises most for the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError, check_at_least
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_improvement, only_metric
from tunewright.methods.pause_options import PauseOptions
from tunewright.methods.scoping import context_of
from tunewright.schedulers.freeze_thaw import FreezeThaw, check_probability
from tunewright.schedulers.rungs import rung_levels
from tunewright.searchers.candidate_selection import CandidateSelector
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import GPOptions
from tunewright.searchers.gp_curves import CurveLearner


@final
@dataclass(frozen=True, kw_only=True)
class FreezeThawSettings(PauseOptions, GPOptions):
    """Where trials pause, and the model of their curves.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    eta: float = 2
    """The ratio of one level to the one before it, >= 2."""
    probability_thaw: float = 0.75
    """How often only paused trials are weighed, >= 0 and below 1."""

    def __post_init__(self) -> None:
        GPOptions.__post_init__(self)
        PauseOptions.__post_init__(self)
        only_improvement(self.acquisition, "FreezeThaw")
        check_probability("probability_thaw", self.probability_thaw)
        if self.input_warping:
            raise SettingsError("input_warping is not supported by FreezeThaw: leave it out")
        check_at_least(self, 2, "eta")

    def spaced_levels(self, max_resource: int) -> tuple[int, ...]:
        """``grace_period * eta**j``."""
        return rung_levels(max_resource, grace_period=self.grace_period, eta=self.eta)


def _build(benchmark: Benchmark, seed: int, settings: FreezeThawSettings) -> FreezeThaw:
    metric = only_metric(benchmark, "FreezeThaw")
    pauses = settings.pauses(full_resource(benchmark, "FreezeThaw"))
    levels = (*pauses.levels, pauses.max_resource)
    selector = CandidateSelector(
        context_of(benchmark, seed),
        CurveLearner(benchmark.space.n_columns, levels, settings),
        Observations(benchmark.space, metric, levels),
        n_initial=settings.n_initial,
        spread=settings.spread,
    )
    return FreezeThaw(selector, pauses, metric=metric, seed=seed, probability_thaw=settings.probability_thaw)


METHOD = Method(
    name="FreezeThaw",
    summary="Goes on with the paused trial, or begins the new one, that promises most for the end of training",
    settings=FreezeThawSettings,
    build=_build,
)
