"""ASHA: asynchronous successive halving over random configurations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, final

from tunewright.benchmarks import Benchmark
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.methods.rung_options import RungOptions
from tunewright.methods.scoping import context_of
from tunewright.schedulers.asha import ASHA, ASHASettings

_LARGE: Final = 10**9
"""A full run in which any settings fit that can work at all."""


@final
@dataclass(frozen=True, kw_only=True)
class ASHAMethodSettings(RungOptions):
    """Rungs, and how promotions go.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    cost: str | None = None
    """The reported value that says what a trial has cost so far: then the best with one eta-th of a rung's cost go on,
    not of its trials. Needs ``kind=promotion``; ``st_worker_time`` is what ``Reporter`` adds."""

    def __post_init__(self) -> None:
        RungOptions.__post_init__(self)
        self.with_cost(self.rungs(_LARGE, fewer_brackets=True))

    def with_cost(self, rungs: ASHASettings) -> ASHASettings:
        """Rungs whose promotions go by :attr:`cost`."""
        return replace(rungs, cost=self.cost)


def _build(benchmark: Benchmark, seed: int, settings: ASHAMethodSettings) -> ASHA:
    metric, max_resource = only_metric(benchmark, "ASHA"), full_resource(benchmark, "ASHA")
    rungs = settings.with_cost(settings.rungs(max_resource))
    return ASHA(context_of(benchmark, seed).random_searcher(), rungs, metric=metric, seed=seed)


METHOD = Method(
    name="ASHA",
    summary="Asynchronous successive halving: gives more resource to the trials that do best",
    settings=ASHAMethodSettings,
    build=_build,
    reads=lambda _, settings: [] if settings.cost is None else [settings.cost],
)
