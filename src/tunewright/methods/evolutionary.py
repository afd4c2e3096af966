"""Methods that evolve configurations: REA, DEHB and PBT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.benchmarks import Benchmark
from tunewright.methods.building import context_of, fifo_method, full_resource, whole_space
from tunewright.methods.method import Method
from tunewright.schedulers.brackets import BracketSettings
from tunewright.schedulers.dehb import DEHB, DifferentialEvolutionSettings
from tunewright.schedulers.pbt import PBT, PopulationSettings
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


def _pbt(benchmark: Benchmark, seed: int, settings: PopulationSettings) -> PBT:
    return PBT(
        context_of(benchmark, seed).random_searcher(),
        whole_space(benchmark, "PBT", "perturbs configurations while they train"),
        settings.within(full_resource(benchmark, "PBT")),
        metric=benchmark.metrics[0],
        seed=seed,
    )


METHODS: Final[tuple[Method[Any], ...]] = (
    fifo_method(
        "REA",
        "Regularized evolution: mutants of the best of a few recent trials; every trial runs to its end",
        EvolutionSettings,
        evolution_searcher,
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
    ),
)
