"""Methods that tune several metrics: MOASHA, MOREA, NSGA2, RandomScalarization, EHVI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.benchmarks import Benchmark
from tunewright.methods.building import context_of, full_resource, promotion_eta_of_rungs
from tunewright.methods.method import Method
from tunewright.schedulers.asha import ASHA, RungSettings
from tunewright.schedulers.fifo import FIFO
from tunewright.schedulers.objectives import Objectives, RankingKind, check_weights
from tunewright.searchers.evolution import EvolutionSettings, evolution_searcher
from tunewright.searchers.gp_objectives import (
    HypervolumeSettings,
    ScalarizationSettings,
    objectives_searcher,
)
from tunewright.searchers.nsga2 import NSGA2Settings, nsga2_searcher


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MOASHASettings:
    """Settings of MOASHA.

    Raises
    ------
    SettingsError
        A weight cannot work.
    """

    rungs: RungSettings = RungSettings()
    ranking: RankingKind = RankingKind.NON_DOMINATED
    """``non_dominated`` (fronts, spread out within each) or ``linear`` (the weighted sum)."""
    weights: tuple[float, ...] | None = None
    """For ``linear``, one for each metric; None: all equal."""

    def __post_init__(self) -> None:
        if self.weights is not None:
            check_weights(self.weights)


def _moasha(benchmark: Benchmark, seed: int, settings: MOASHASettings) -> ASHA:
    rungs = settings.rungs.within(full_resource(benchmark, "MOASHA"))
    objectives = Objectives(metrics=benchmark.metrics, ranking=settings.ranking, weights=settings.weights)
    return ASHA(context_of(benchmark, seed).random_searcher(), rungs, metric=objectives, seed=seed)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MOREASettings:
    """Settings of MOREA."""

    evolution: EvolutionSettings = EvolutionSettings()
    keep_front: bool = True
    """Whether trials that no other trial dominates stay in the population, whatever their age."""


def _morea(benchmark: Benchmark, seed: int, settings: MOREASettings) -> FIFO:
    first, *others = benchmark.metrics
    searcher = evolution_searcher(
        context_of(benchmark, seed),
        settings.evolution,
        metric=first,
        others=others,
        keep_front=settings.keep_front,
    )
    return FIFO(searcher)


def _nsga2(benchmark: Benchmark, seed: int, settings: NSGA2Settings) -> FIFO:
    return FIFO(nsga2_searcher(context_of(benchmark, seed), settings, metrics=benchmark.metrics))


def _by_models(
    benchmark: Benchmark, seed: int, settings: ScalarizationSettings | HypervolumeSettings
) -> FIFO:
    return FIFO(objectives_searcher(context_of(benchmark, seed), settings, metrics=benchmark.metrics))


METHODS: Final[tuple[Method[Any], ...]] = (
    Method(
        name="MOASHA",
        summary="ASHA of several metrics: trials go further that few others dominate",
        settings=MOASHASettings,
        build=_moasha,
        several_metrics=True,
        promotion_eta=promotion_eta_of_rungs,
    ),
    Method(
        name="MOREA",
        summary="Regularized evolution of several metrics: mutants of recent trials that few others dominate",
        settings=MOREASettings,
        build=_morea,
        several_metrics=True,
    ),
    Method(
        name="NSGA2",
        summary="NSGA-II without waiting generations: children of trials that few others dominate, for several metrics",
        settings=NSGA2Settings,
        build=_nsga2,
        several_metrics=True,
    ),
    Method(
        name="RandomScalarization",
        summary="Bayesian optimisation of several metrics, weighted anew at random for each trial",
        settings=ScalarizationSettings,
        build=_by_models,
        several_metrics=True,
    ),
    Method(
        name="EHVI",
        summary="Bayesian optimisation of several metrics by the expected improvement of the dominated hypervolume",
        settings=HypervolumeSettings,
        build=_by_models,
        several_metrics=True,
    ),
)
