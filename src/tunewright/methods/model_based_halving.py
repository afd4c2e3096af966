"""Successive halving over configurations that a model proposes.

Asynchronous: ASHABORE, ASHACQR, BOHB, MOBSTER, HyperTune. In synchronous brackets: SyncBOHB, SyncMOBSTER.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError, choice
from tunewright.methods.building import context_of, full_resource, promotion_eta_of_rungs
from tunewright.methods.method import Method
from tunewright.schedulers.asha import ASHA, ASHASettings, RungSettings
from tunewright.schedulers.brackets import BracketSettings
from tunewright.schedulers.rungs import bracket_weights
from tunewright.schedulers.sync_hyperband import SyncHyperband
from tunewright.searchers.acquisition_optimizer import SearchWidth
from tunewright.searchers.bore import BORESettings, bore_searcher
from tunewright.searchers.cqr import CQRSettings, cqr_searcher
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import GPProposer, GPSettings, column_groups
from tunewright.searchers.gp_levels import JointModel, LevelModel, LevelModelSettings, level_searcher
from tunewright.searchers.hypertune import (
    EnsembleLearner,
    IndependentRungs,
    JointRungs,
    JointView,
    LearnedBrackets,
    RungModelling,
    Trust,
)
from tunewright.searchers.kde import KDESettings, kde_searcher
from tunewright.searchers.model_based import ModelBasedSearcher


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ASHABORESettings:
    """Settings of ASHABORE."""

    rungs: RungSettings = RungSettings()
    model: BORESettings = BORESettings()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ASHACQRSettings:
    """Settings of ASHACQR."""

    rungs: RungSettings = RungSettings()
    model: CQRSettings = CQRSettings()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class BOHBSettings:
    """Settings of BOHB."""

    rungs: RungSettings = RungSettings()
    density: KDESettings = KDESettings(min_bandwidth=0.1)
    """Its bandwidth is wide, since the highest rung has few results."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MOBSTERSettings:
    """Settings of MOBSTER."""

    rungs: RungSettings = RungSettings()
    models: LevelModelSettings = LevelModelSettings(
        model=LevelModel.JOINT, gp=GPSettings(n_initial=6, max_observations=300, search=SearchWidth.WIDE)
    )


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HyperTuneSettings:
    """Settings of HyperTune.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    rungs: RungSettings = RungSettings(brackets=4)
    """Brackets are drawn by learned weights; as many as there are rungs, if these are fewer."""
    models: LevelModelSettings = LevelModelSettings(
        gp=GPSettings(n_initial=6, max_observations=300, search=SearchWidth.WIDE)
    )
    view: JointView = JointView.TARGET
    """With ``model=joint``: proposals by the process at the ``target`` level, or by the ``weighted`` sum of all levels."""
    trust: Trust = Trust.TRIALS
    """With ``model=joint``: the ranking of a level is predicted without the compared ``trials``' results at higher levels (at
    the target level, at any), or without single ``rows`` at the target level only."""
    hyperband_share: float = 0.5
    """Part of the brackets' weights that follows Hyperband's fixed shares, from 0 to 1; the rest follows the trust."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "view", choice("view", JointView, self.view))
        object.__setattr__(self, "trust", choice("trust", Trust, self.trust))
        if not 0.0 <= self.hyperband_share <= 1.0:
            raise SettingsError(f"hyperband_share={self.hyperband_share} must be from 0 to 1")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SyncBOHBSettings:
    """Settings of SyncBOHB."""

    plan: BracketSettings = BracketSettings()
    density: KDESettings = KDESettings(min_bandwidth=0.1)
    """Its bandwidth is wide, since the highest level has few results."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SyncMOBSTERSettings:
    """Settings of SyncMOBSTER."""

    plan: BracketSettings = BracketSettings()
    models: LevelModelSettings = LevelModelSettings()


def _asha_bore(benchmark: Benchmark, seed: int, settings: ASHABORESettings) -> ASHA:
    metric, rungs = benchmark.metrics[0], settings.rungs.within(full_resource(benchmark, "ASHABORE"))
    levels = (*rungs.levels, rungs.max_resource)
    searcher = bore_searcher(context_of(benchmark, seed), settings.model, metric=metric, levels=levels)
    return ASHA(searcher, rungs, metric=metric, seed=seed)


def _asha_cqr(benchmark: Benchmark, seed: int, settings: ASHACQRSettings) -> ASHA:
    metric, rungs = benchmark.metrics[0], settings.rungs.within(full_resource(benchmark, "ASHACQR"))
    searcher = cqr_searcher(context_of(benchmark, seed), settings.model, metric=metric)
    return ASHA(searcher, rungs, metric=metric, seed=seed)


def _bohb(benchmark: Benchmark, seed: int, settings: BOHBSettings) -> ASHA:
    metric, rungs = benchmark.metrics[0], settings.rungs.within(full_resource(benchmark, "BOHB"))
    levels = (*rungs.levels, rungs.max_resource)
    searcher = kde_searcher(context_of(benchmark, seed), settings.density, metric=metric, levels=levels)
    return ASHA(searcher, rungs, metric=metric, seed=seed)


def _mobster(benchmark: Benchmark, seed: int, settings: MOBSTERSettings) -> ASHA:
    metric, rungs = benchmark.metrics[0], settings.rungs.within(full_resource(benchmark, "MOBSTER"))
    levels = (*rungs.levels, rungs.max_resource)
    searcher = level_searcher(context_of(benchmark, seed), settings.models, metric=metric, levels=levels)
    return ASHA(searcher, rungs, metric=metric, seed=seed)


def _hypertune(benchmark: Benchmark, seed: int, settings: HyperTuneSettings) -> ASHA:
    rungs = settings.rungs.within(full_resource(benchmark, "HyperTune"), fewer_brackets=True)
    searcher, weights = hypertune_parts(benchmark, seed, settings, rungs)
    return ASHA(searcher, rungs, metric=benchmark.metrics[0], seed=seed, weights=weights)


def hypertune_parts(
    benchmark: Benchmark, seed: int, settings: HyperTuneSettings, rungs: ASHASettings
) -> tuple[ModelBasedSearcher, LearnedBrackets]:
    """Return HyperTune's searcher and its weights of brackets, for the rungs of a scheduler."""
    space, metric, models = benchmark.space, benchmark.metrics[0], settings.models
    levels = (*rungs.levels, rungs.max_resource)
    groups = column_groups(space, models.gp.hamming_above)
    modelling: RungModelling
    if models.model is LevelModel.JOINT:
        joint = JointModel(groups, levels, models.gp, models.resource_kernel, models.level_mean)
        modelling, view = JointRungs(joint, models.gp, settings.trust), settings.view
    else:
        modelling, view = IndependentRungs(groups, len(levels), models.gp), JointView.WEIGHTED
    learner = EnsembleLearner(modelling, models.needed.results(space), view)
    observations = Observations(space, metric, levels, failures=models.gp.failures)
    context = context_of(benchmark, seed)
    proposer = GPProposer(learner, context.cube(), models.gp)
    searcher = ModelBasedSearcher(context, proposer, observations, n_initial=models.gp.n_initial)
    shares = bracket_weights(rungs.levels, rungs.max_resource, rungs.brackets)
    weights = LearnedBrackets(
        learner, observations, levels, shares, mixed_in=settings.hyperband_share, seed=seed
    )
    return searcher, weights


def _sync_bohb(benchmark: Benchmark, seed: int, settings: SyncBOHBSettings) -> SyncHyperband:
    metric, plan = benchmark.metrics[0], settings.plan.within(full_resource(benchmark, "SyncBOHB"))
    searcher = kde_searcher(context_of(benchmark, seed), settings.density, metric=metric, levels=plan.levels)
    return SyncHyperband(searcher, plan, metric=metric)


def _sync_mobster(benchmark: Benchmark, seed: int, settings: SyncMOBSTERSettings) -> SyncHyperband:
    metric, plan = benchmark.metrics[0], settings.plan.within(full_resource(benchmark, "SyncMOBSTER"))
    searcher = level_searcher(context_of(benchmark, seed), settings.models, metric=metric, levels=plan.levels)
    return SyncHyperband(searcher, plan, metric=metric)


METHODS: Final[tuple[Method[Any], ...]] = (
    Method(
        name="ASHABORE",
        summary="ASHA whose new trials are proposed by a classifier of good and bad results",
        settings=ASHABORESettings,
        build=_asha_bore,
        promotion_eta=promotion_eta_of_rungs,
    ),
    Method(
        name="ASHACQR",
        summary="ASHA whose new trials are proposed by conformal quantile regression",
        settings=ASHACQRSettings,
        build=_asha_cqr,
        promotion_eta=promotion_eta_of_rungs,
    ),
    Method(
        name="BOHB",
        summary="ASHA over configurations drawn where good results at the highest rung are dense",
        settings=BOHBSettings,
        build=_bohb,
        promotion_eta=promotion_eta_of_rungs,
    ),
    Method(
        name="MOBSTER",
        summary="ASHA over configurations proposed by a Gaussian process of configuration and resource",
        settings=MOBSTERSettings,
        build=_mobster,
        promotion_eta=promotion_eta_of_rungs,
    ),
    Method(
        name="HyperTune",
        summary="ASHA with brackets and proposals by models of all rungs, weighted by how well they rank",
        settings=HyperTuneSettings,
        build=_hypertune,
        promotion_eta=promotion_eta_of_rungs,
    ),
    Method(
        name="SyncBOHB",
        summary="Synchronous Hyperband over configurations drawn where good results are dense",
        settings=SyncBOHBSettings,
        build=_sync_bohb,
    ),
    Method(
        name="SyncMOBSTER",
        summary="Synchronous Hyperband over configurations proposed by a Gaussian process for each level",
        settings=SyncMOBSTERSettings,
        build=_sync_mobster,
    ),
)
