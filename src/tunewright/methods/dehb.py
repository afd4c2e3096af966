"""DEHB: Hyperband's brackets filled by differential evolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.bracket_options import BracketOptions
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric, whole_space
from tunewright.schedulers.brackets import HyperbandSettings
from tunewright.schedulers.dehb import DEHB, DEHBSettings


@final
@dataclass(frozen=True, kw_only=True)
class DEHBMethodSettings(BracketOptions):
    """Brackets, and how configurations evolve.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    mutation_factor: float = 0.5
    """How far a mutant goes along the difference of two parents, above 0 and at most 1."""
    crossover_probability: float = 0.5
    """The part of a child's hyperparameters that comes from the mutant, in [0, 1]."""

    def __post_init__(self) -> None:
        BracketOptions.__post_init__(self)
        self.complete(HyperbandSettings(max_resource=2))

    def complete(self, plan: HyperbandSettings) -> DEHBSettings:
        """The scheduler's settings with a benchmark's brackets."""
        return DEHBSettings(
            plan=plan,
            mutation_factor=self.mutation_factor,
            crossover_probability=self.crossover_probability,
        )


def _build(benchmark: Benchmark, seed: int, settings: DEHBMethodSettings) -> DEHB:
    return DEHB(
        whole_space(benchmark, "DEHB", "crosses and mutates configurations"),
        settings.complete(settings.plan(full_resource(benchmark, "DEHB"))),
        metric=only_metric(benchmark, "DEHB"),
        seed=seed,
        points_to_evaluate=benchmark.points_to_evaluate,
    )


METHOD = Method(
    name="DEHB",
    summary="Hyperband whose rungs are filled by differential evolution of the best configurations below",
    settings=DEHBMethodSettings,
    build=_build,
)
