"""HyperTune: ASHA whose brackets and proposals follow models of all rungs, weighted by how well they rank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from tunewright.benchmarks import Benchmark
from tunewright.methods.level_options import LevelModel, LevelModelOptions
from tunewright.methods.method import Method
from tunewright.methods.needs import full_resource, only_metric
from tunewright.methods.rung_options import RungOptions
from tunewright.methods.scoping import context_of
from tunewright.schedulers.asha import ASHA
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import GPOptions, GPProposer
from tunewright.searchers.gp_levels import JointModel
from tunewright.searchers.hypertune import (
    EnsembleLearner,
    IndependentRungs,
    JointRungs,
    LearnedBrackets,
    RungModelling,
)
from tunewright.searchers.model_based import ModelBasedSearcher


@final
@dataclass(frozen=True, kw_only=True)
class HyperTuneSettings(RungOptions, LevelModelOptions, GPOptions):
    """Rungs, and the models of results at them.

    Raises
    ------
    SettingsError
        A value cannot work with any benchmark.
    """

    brackets: int = 4
    """Brackets, >= 1, drawn by learned weights; as many as there are rungs, where these are fewer."""
    max_observations: int = 300
    """Rows that a model learns from at most, >= 2; of a joint one, those at high rungs are kept."""

    def __post_init__(self) -> None:
        RungOptions.__post_init__(self)
        GPOptions.__post_init__(self)
        LevelModelOptions.__post_init__(self)


def _build(benchmark: Benchmark, seed: int, settings: HyperTuneSettings) -> ASHA:
    space, metric = benchmark.space, only_metric(benchmark, "HyperTune")
    rungs = settings.rungs(full_resource(benchmark, "HyperTune"), fewer_brackets=True)
    levels = (*rungs.levels, rungs.max_resource)
    modelling: RungModelling
    if settings.model is LevelModel.JOINT:
        joint = JointModel(space.n_columns, levels, settings, settings.resource_kernel)
        modelling = JointRungs(joint, settings)
    else:
        modelling = IndependentRungs(space.n_columns, len(levels), settings)
    learner = EnsembleLearner(modelling, space.n_columns)
    observations = Observations(space, metric, levels)
    context = context_of(benchmark, seed)
    searcher = ModelBasedSearcher(
        context,
        GPProposer(learner, context.cube(), settings),
        observations,
        n_initial=settings.n_initial,
    )
    weights = LearnedBrackets(learner, observations, levels, rungs.brackets, seed=seed)
    return ASHA(searcher, rungs, metric=metric, seed=seed, weights=weights)


METHOD = Method(
    name="HyperTune",
    summary="ASHA with brackets and proposals by models of all rungs, weighted by how well they rank",
    settings=HyperTuneSettings,
    build=_build,
)
