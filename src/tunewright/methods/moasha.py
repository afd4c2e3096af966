"""MOASHA: asynchronous successive halving of several objectives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource
from tunewright.methods.rung_options import RungOptions
from tunewright.methods.scoping import context_of
from tunewright.schedulers.asha import ASHA
from tunewright.schedulers.objectives import Objectives, RankingKind, check_weights
from tunewright.searchers.gp import choice


@final
@dataclass(frozen=True, kw_only=True)
class MOASHASettings(RungOptions):
    """Rungs, and how trials are ranked there.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    ranking: RankingKind = RankingKind.NON_DOMINATED
    """``non_dominated`` (fronts, spread out within each) or ``linear`` (the weighted sum)."""
    weights: tuple[float, ...] | None = None
    """For ``linear``, one for each metric; None: all equal."""

    def __post_init__(self) -> None:
        RungOptions.__post_init__(self)
        object.__setattr__(self, "ranking", choice("ranking", RankingKind, self.ranking))
        if self.weights is not None:
            check_weights(self.weights)


def _build(benchmark: Benchmark, seed: int, settings: MOASHASettings) -> ASHA:
    rungs = settings.rungs(full_resource(benchmark, "MOASHA"))
    objectives = Objectives(metrics=benchmark.metrics, ranking=settings.ranking, weights=settings.weights)
    return ASHA(context_of(benchmark, seed).random_searcher(), rungs, metric=objectives, seed=seed)


METHOD = Method(
    name="MOASHA",
    summary="ASHA of several metrics: trials go further that few others dominate",
    settings=MOASHASettings,
    build=_build,
)
