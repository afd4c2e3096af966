"""Methods that end poor trials early: ASHA, PASHA, SyncHyperband, OneEpochTopK, and stopping rules.

They draw configurations at random; MedianStopping, PatienceStopping and ThresholdStopping contain any other method.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError
from tunewright.methods.building import context_of, full_resource, promotion_eta_of_rungs
from tunewright.methods.method import BuildOther, Method, MethodSpec
from tunewright.schedulers.asha import ASHA, RungSettings, check_cost
from tunewright.schedulers.brackets import BracketSettings
from tunewright.schedulers.pasha import SoftRankingLimit
from tunewright.schedulers.stopping_rules import (
    MedianRule,
    MedianStoppingSettings,
    PatienceRule,
    PatienceSettings,
    RuleStopping,
    ThresholdRule,
    ThresholdSettings,
)
from tunewright.schedulers.sync_hyperband import SyncHyperband
from tunewright.schedulers.top_k import RoundSettings, TopK


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ASHAMethodSettings:
    """Settings of ASHA.

    Raises
    ------
    SettingsError
        ``cost`` is given although nothing is promoted.
    """

    rungs: RungSettings = RungSettings()
    cost: str | None = None
    """Name of the reported cost of a trial so far: then the best trials with one eta-th of a rung's cost go on, instead of
    one eta-th of its trials. Needs ``kind=promotion``; ``st_worker_time`` is what ``Reporter`` adds."""

    def __post_init__(self) -> None:
        check_cost(self.cost, self.rungs)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PASHASettings:
    """Settings of PASHA.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    grace_period: int | None = None
    """The first rung, >= 1; None: ``ceil(max_resource / eta**4)``, which is 1 for up to 81 units with ``eta=3``."""
    eta: float = 3
    """Reduction factor, >= 2."""
    epsilon: float | None = None
    """Losses that differ by no more are equivalent, >= 0; None: estimated from the noise of the curves."""

    def __post_init__(self) -> None:
        if self.epsilon is not None and not self.epsilon >= 0:
            raise SettingsError(f"epsilon={self.epsilon} must be >= 0")
        RungSettings(grace_period=self.grace_period, eta=self.eta)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MedianStoppingMethodSettings:
    """Settings of MedianStopping."""

    around: str = "RandomSearch"
    """The method that decides everything else, with its defaults."""
    rule: MedianStoppingSettings = MedianStoppingSettings()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PatienceStoppingMethodSettings:
    """Settings of PatienceStopping."""

    around: str = "RandomSearch"
    """The method that decides everything else, with its defaults."""
    rule: PatienceSettings = PatienceSettings()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdStoppingMethodSettings:
    """Settings of ThresholdStopping."""

    around: str = "RandomSearch"
    """The method that decides everything else, with its defaults."""
    rule: ThresholdSettings = ThresholdSettings()


def _asha(benchmark: Benchmark, seed: int, settings: ASHAMethodSettings) -> ASHA:
    rungs = settings.rungs.within(full_resource(benchmark, "ASHA"), cost=settings.cost)
    searcher = context_of(benchmark, seed).random_searcher()
    return ASHA(searcher, rungs, metric=benchmark.metrics[0], seed=seed)


def _pasha(benchmark: Benchmark, seed: int, settings: PASHASettings) -> ASHA:
    max_resource = full_resource(benchmark, "PASHA")
    rungs = RungSettings(grace_period=settings.grace_period, eta=settings.eta).within(max_resource)
    searcher = context_of(benchmark, seed).random_searcher()
    limit = SoftRankingLimit((*rungs.levels, max_resource), settings.epsilon)
    return ASHA(searcher, rungs, metric=benchmark.metrics[0], seed=seed, limit=limit)


def _sync_hyperband(benchmark: Benchmark, seed: int, settings: BracketSettings) -> SyncHyperband:
    plan = settings.within(full_resource(benchmark, "SyncHyperband"))
    return SyncHyperband(context_of(benchmark, seed).random_searcher(), plan, metric=benchmark.metrics[0])


def _one_epoch_top_k(benchmark: Benchmark, seed: int, settings: RoundSettings) -> TopK:
    complete = settings.within(full_resource(benchmark, "OneEpochTopK"))
    return TopK(context_of(benchmark, seed).random_searcher(), complete, metric=benchmark.metrics[0])


def _median_stopping(
    benchmark: Benchmark, seed: int, settings: MedianStoppingMethodSettings, build_other: BuildOther
) -> RuleStopping:
    within = build_other(MethodSpec(name=settings.around), benchmark, seed)
    return RuleStopping(within, MedianRule(settings.rule, metric=benchmark.metrics[0]))


def _patience_stopping(
    benchmark: Benchmark, seed: int, settings: PatienceStoppingMethodSettings, build_other: BuildOther
) -> RuleStopping:
    within = build_other(MethodSpec(name=settings.around), benchmark, seed)
    return RuleStopping(within, PatienceRule(settings.rule, metric=benchmark.metrics[0]))


def _threshold_stopping(
    benchmark: Benchmark, seed: int, settings: ThresholdStoppingMethodSettings, build_other: BuildOther
) -> RuleStopping:
    within = build_other(MethodSpec(name=settings.around), benchmark, seed)
    return RuleStopping(within, ThresholdRule(settings.rule, metric=benchmark.metrics[0]))


METHODS: Final[tuple[Method[Any], ...]] = (
    Method(
        name="ASHA",
        summary="Asynchronous successive halving: gives more resource to the trials that do best",
        settings=ASHAMethodSettings,
        build=_asha,
        reads=lambda _, settings: [] if settings.cost is None else [settings.cost],
        promotion_eta=promotion_eta_of_rungs,
    ),
    Method(
        name="PASHA",
        summary="ASHA that lets trials run longer only while the ranking of the best still changes",
        settings=PASHASettings,
        build=_pasha,
    ),
    Method(
        name="SyncHyperband",
        summary="Hyperband: successive halving in rungs of fixed sizes, bracket after bracket",
        settings=BracketSettings,
        build=_sync_hyperband,
    ),
    Method(
        name="OneEpochTopK",
        summary="Trains all configurations for one unit and the best three of each hundred to the end",
        settings=RoundSettings,
        build=_one_epoch_top_k,
    ),
    Method(
        name="MedianStopping",
        summary="Another method (random search by default) whose trials stop when they do worse than the median",
        settings=MedianStoppingMethodSettings,
        build_around=_median_stopping,
        contains="around",
    ),
    Method(
        name="PatienceStopping",
        summary="Another method (random search by default) whose trials stop when they no longer improve",
        settings=PatienceStoppingMethodSettings,
        build_around=_patience_stopping,
        contains="around",
    ),
    Method(
        name="ThresholdStopping",
        summary="Another method (random search by default) whose trials stop when a value leaves an interval",
        settings=ThresholdStoppingMethodSettings,
        build_around=_threshold_stopping,
        contains="around",
    ),
)
