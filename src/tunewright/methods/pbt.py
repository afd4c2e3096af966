"""PBT: population based training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric, whole_space
from tunewright.methods.scoping import context_of
from tunewright.schedulers.pbt import PBT, PBTSettings


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PBTMethodSettings:
    """`PBTSettings` without the resource of a full run, which the benchmark knows.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    population_size: int = 4
    """Members of a population, >= 2."""
    perturbation_interval: int | None = None
    """Members pause after so many units of resource, >= 1; a tenth of a full run where nothing is given."""
    quantile_fraction: float = 0.25
    """The part of the population that is replaced, and the part that replaces it, above 0 and at most 0.5."""
    resample_probability: float = 0.25
    """How often a hyperparameter is drawn anew instead of perturbed, in [0, 1]."""
    kept: tuple[str, ...] = ()
    """Hyperparameters that a checkpoint depends on, such as the size of a network: they are not perturbed."""

    def __post_init__(self) -> None:
        interval = self.perturbation_interval
        self.complete(2 if interval is None else interval + 1)

    def complete(self, max_resource: int) -> PBTSettings:
        """The scheduler's settings for a benchmark whose full run is ``max_resource`` long."""
        interval = self.perturbation_interval
        return PBTSettings(
            max_resource=max_resource,
            population_size=self.population_size,
            perturbation_interval=max(1, max_resource // 10) if interval is None else interval,
            quantile_fraction=self.quantile_fraction,
            resample_probability=self.resample_probability,
            kept=self.kept,
        )


def _build(benchmark: Benchmark, seed: int, settings: PBTMethodSettings) -> PBT:
    return PBT(
        context_of(benchmark, seed).random_searcher(),
        whole_space(benchmark, "PBT", "perturbs configurations while they train"),
        settings.complete(full_resource(benchmark, "PBT")),
        metric=only_metric(benchmark, "PBT"),
        seed=seed,
    )


METHOD = Method(
    name="PBT",
    summary="Population based training: the worst go on from the best ones' checkpoints, perturbed",
    settings=PBTMethodSettings,
    build=_build,
)
