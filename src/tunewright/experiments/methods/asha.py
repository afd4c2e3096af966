"""ASHA: asynchronous successive halving over random configurations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.experiments.methods.method import Method
from tunewright.experiments.methods.sampling import random_searcher
from tunewright.schedulers.asha import ASHA, ASHAKind, ASHASettings


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ASHAMethodSettings:
    """`ASHASettings` without the resource of a full run, which the benchmark knows.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    kind: ASHAKind = ASHAKind.PROMOTION
    """``promotion`` (trials pause at rungs and the best go on) or ``stopping``."""
    grace_period: int = 1
    """The first rung, >= 1."""
    eta: float = 3
    """Reduction factor, >= 2."""
    brackets: int = 1
    """Brackets, >= 1, drawn as in Hyperband."""
    rung_levels: tuple[int, ...] | None = None
    """Own rungs instead of ``grace_period * eta**j``."""
    shared_rungs: bool = True
    """Whether trials of all brackets compete with one another."""

    def __post_init__(self) -> None:
        if self.brackets < 1:
            raise SettingsError(f"brackets must be >= 1, not {self.brackets}")
        above_all_rungs = max(self.grace_period, *(self.rung_levels or (1,))) + 1
        self.complete(above_all_rungs, brackets=1)  # how many brackets there may be depends on the benchmark

    def complete(self, max_resource: int, *, brackets: int) -> ASHASettings:
        """The scheduler's settings for a benchmark whose full run is ``max_resource`` long."""
        return ASHASettings(
            max_resource=max_resource,
            grace_period=self.grace_period,
            eta=self.eta,
            kind=self.kind,
            brackets=brackets,
            rung_levels=self.rung_levels,
            shared_rungs=self.shared_rungs,
        )


def _build(benchmark: Benchmark, seed: int, settings: ASHAMethodSettings) -> ASHA:
    if benchmark.max_resource is None:
        raise SettingsError(
            "ASHA compares trials at rungs, so it needs to know how far a full run goes: give max_resource"
        )
    if len(benchmark.metrics) != 1:
        names = ", ".join(metric.name for metric in benchmark.metrics)
        raise SettingsError(f"ASHA tunes one metric, not {len(benchmark.metrics)} ({names})")
    searcher = random_searcher(benchmark, seed)
    rungs = settings.complete(benchmark.max_resource, brackets=settings.brackets)
    return ASHA(searcher, rungs, metric=benchmark.metrics[0], seed=seed)


METHOD = Method(
    name="ASHA",
    summary="Asynchronous successive halving: gives more resource to the trials that do best",
    settings=ASHAMethodSettings,
    build=_build,
)
