"""The searcher that models losses at levels of resource by Gaussian processes, as a benchmark wants it."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.benchmarks import Benchmark
from tunewright.interfaces import Searcher
from tunewright.methods.level_options import LevelModel
from tunewright.methods.scoping import context_of
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import GPOptions, GPProposer, Learner
from tunewright.searchers.gp_levels import (
    IndependentLearner,
    JointLearner,
    JointModel,
    ResourceKernel,
)
from tunewright.searchers.model_based import ModelBasedSearcher


def level_searcher(
    benchmark: Benchmark,
    seed: int,
    levels: Sequence[int],
    options: GPOptions,
    *,
    model: LevelModel,
    kernel: ResourceKernel,
) -> Searcher:
    """Propose by a joint model or by one for each level.

    Parameters
    ----------
    benchmark
        Its space, its first metric, its initial points.
    seed
        The experiment's seed, >= 0.
    levels
        Resources at which trials are compared, strictly increasing; the last one is that of a full run.
    options
        Of the processes.
    model, kernel
        What is modelled; the kernel of resources is that of the joint model.

    Raises
    ------
    SpaceError
        A point to begin with does not fit.
    """
    space = benchmark.space
    learner: Learner
    if model is LevelModel.JOINT:
        joint = JointModel(space.n_columns, levels, options, kernel)
        learner = JointLearner(joint, space.n_columns, options)
    else:
        learner = IndependentLearner(space.n_columns, len(levels), options)
    context = context_of(benchmark, seed)
    return ModelBasedSearcher(
        context,
        GPProposer(learner, context.cube(), options),
        Observations(space, benchmark.metrics[0], levels),
        n_initial=options.n_initial,
    )
