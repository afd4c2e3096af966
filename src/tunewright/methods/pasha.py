"""PASHA: successive halving whose maximum resource grows only while rankings change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.methods.scoping import context_of
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.pasha import SoftRankingLimit


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PASHASettings:
    """Rungs, and when two rankings are the same.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    grace_period: int = 1
    """The first rung, >= 1."""
    eta: float = 3
    """Reduction factor, >= 2."""
    epsilon: float | None = None
    """Losses that differ by no more are equivalent; estimated from the noise of the curves where nothing is given."""

    def __post_init__(self) -> None:
        self.limit(self.rungs(self.grace_period + 1))

    def rungs(self, max_resource: int) -> ASHASettings:
        """The rungs for a benchmark whose full run is ``max_resource`` long."""
        return ASHASettings(max_resource=max_resource, grace_period=self.grace_period, eta=self.eta)

    def limit(self, rungs: ASHASettings) -> SoftRankingLimit:
        """What keeps promotions low."""
        return SoftRankingLimit((*rungs.levels, rungs.max_resource), self.epsilon)


def _build(benchmark: Benchmark, seed: int, settings: PASHASettings) -> ASHA:
    rungs = settings.rungs(full_resource(benchmark, "PASHA"))
    return ASHA(
        context_of(benchmark, seed).random_searcher(),
        rungs,
        metric=only_metric(benchmark, "PASHA"),
        seed=seed,
        limit=settings.limit(rungs),
    )


METHOD = Method(
    name="PASHA",
    summary="ASHA that lets trials run longer only while the ranking of the best still changes",
    settings=PASHASettings,
    build=_build,
)
