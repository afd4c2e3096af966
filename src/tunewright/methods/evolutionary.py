"""Methods that evolve configurations: REA, CMAES, DEHB, PBT and PB2."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import check_at_least
from tunewright.methods.building import context_of, fifo_method, full_resource, whole_space
from tunewright.methods.method import Method
from tunewright.schedulers.brackets import BracketSettings
from tunewright.schedulers.dehb import DEHB, DifferentialEvolutionSettings
from tunewright.schedulers.fifo import FIFO
from tunewright.schedulers.pb2 import BanditExplorer
from tunewright.schedulers.pbt import PBT, Perturbation, PopulationSettings
from tunewright.searchers.cma import CMAESSearcher, CMAESSettings
from tunewright.searchers.evolution import EvolutionSettings, evolution_searcher


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DEHBSettings:
    """Settings of DEHB."""

    plan: BracketSettings = BracketSettings()
    evolution: DifferentialEvolutionSettings = DifferentialEvolutionSettings()


def _dehb(benchmark: Benchmark, seed: int, settings: DEHBSettings) -> DEHB:
    return DEHB(
        whole_space(benchmark, "DEHB", "crosses and mutates configurations"),
        settings.plan.within(full_resource(benchmark, "DEHB")),
        settings.evolution,
        metric=benchmark.metrics[0],
        seed=seed,
        points_to_evaluate=benchmark.points_to_evaluate,
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PB2Settings:
    """Settings of PB2.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    population: PopulationSettings = PopulationSettings()
    """``resample_probability`` counts until the process is asked."""
    kappa: float = 2.0
    """Deviations below the mean change of the loss, >= 0."""

    def __post_init__(self) -> None:
        check_at_least(self, 0, "kappa")


def _cmaes(benchmark: Benchmark, seed: int, settings: CMAESSettings) -> FIFO:
    searcher = CMAESSearcher(
        whole_space(benchmark, "CMAES", "draws configurations from a normal distribution"),
        settings,
        metric=benchmark.metrics[0],
        seed=seed,
        points_to_evaluate=benchmark.points_to_evaluate,
    )
    return FIFO(searcher)


def _pbt(benchmark: Benchmark, seed: int, settings: PopulationSettings) -> PBT:
    return PBT(
        context_of(benchmark, seed).random_searcher(),
        whole_space(benchmark, "PBT", "perturbs configurations while they train"),
        settings.within(full_resource(benchmark, "PBT")),
        metric=benchmark.metrics[0],
        seed=seed,
    )


def _pb2(benchmark: Benchmark, seed: int, settings: PB2Settings) -> PBT:
    space = whole_space(benchmark, "PB2", "changes configurations while they train")
    population = settings.population.within(full_resource(benchmark, "PB2"))
    explorer = BanditExplorer(
        space,
        metric=benchmark.metrics[0],
        interval=population.interval,
        kappa=settings.kappa,
        perturbation=Perturbation(space, population.resample_probability, population.kept),
        kept=population.kept,
    )
    searcher = context_of(benchmark, seed).random_searcher()
    return PBT(searcher, space, population, metric=benchmark.metrics[0], seed=seed, explorer=explorer)


METHODS: Final[tuple[Method[Any], ...]] = (
    fifo_method(
        "REA",
        "Regularized evolution: mutants of the best of a few recent trials; every trial runs to its end",
        EvolutionSettings,
        evolution_searcher,
        EvolutionSettings.for_trials,
    ),
    Method(
        name="CMAES",
        summary="Draws from a normal distribution that adapts its mean, width and shape to the best results",
        settings=CMAESSettings,
        build=_cmaes,
    ),
    Method(
        name="DEHB",
        summary="Hyperband whose rungs are filled by differential evolution of the best configurations below",
        settings=DEHBSettings,
        build=_dehb,
    ),
    Method(
        name="PBT",
        summary="Population based training: the worst go on from the best ones' checkpoints, perturbed",
        settings=PopulationSettings,
        build=_pbt,
        copies_trials=True,
    ),
    Method(
        name="PB2",
        summary="PBT whose new members get the hyperparameters that a time-varying Gaussian process expects to help most",
        settings=PB2Settings,
        build=_pb2,
        copies_trials=True,
    ),
)
