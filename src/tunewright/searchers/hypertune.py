"""Hyper-Tune: models of all rungs, weighted by how well each ranks the trials of the highest rung.

References
----------
.. [Li2022] Li, Shen, Jiang, Zhang, Yang, Zhang, Cui: Hyper-Tune: Towards Efficient Hyper-parameter Tuning at Scale.
   VLDB 2022.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, final

import numpy as np
from typing_extensions import override

from tunewright.history import History
from tunewright.models.arrays import Array
from tunewright.models.gp.kernels import Groups
from tunewright.models.gp.posterior import Posterior
from tunewright.models.surrogate import Surrogate, WeightedSum, misranked, shares_of_wins
from tunewright.searchers.encoding import Fit, Observations, Rows, Snapshot
from tunewright.searchers.gp import GPSettings, Learned, Learner, with_fantasies
from tunewright.searchers.gp_levels import JointModel, LevelModels
from tunewright.seeding import Stream, generator

_N_DRAWS: Final = 50
_MOST_REFERENCES: Final = 60
_LEAST_WEIGHT: Final = 0.01


class JointView(StrEnum):
    """Function that is maximised over a joint process of all levels."""

    TARGET = "target"
    """The process at the target level."""
    WEIGHTED = "weighted"
    """The sum of the process at all levels, weighted by their trust, as if these were independent."""


class Trust(StrEnum):
    """Results from which the ranking of a level is predicted in a joint process, to be compared with the target level's."""

    TRIALS = "trials"
    """Of a lower level: results up to that level. Of the target level: results of other trials."""
    ROWS = "rows"
    """All results, but at the target level the one that is predicted."""


@final
@dataclass(frozen=True, slots=True)
class RungModel:
    """The function of configurations at one level."""

    judged: Surrogate
    """In one version: its ranking is compared with that of the target level."""
    versions: Surrogate
    """With fantasies."""
    rows: Rows
    """Of the level, (n,)."""
    left_out: tuple[Array, Array]
    """Means and deviations (n,) at these rows, each predicted without it."""


@final
@dataclass(frozen=True, slots=True)
class RungModels:
    """The functions at all levels with enough losses."""

    by_level: Mapping[int, RungModel]
    fits: Mapping[str, Fit]


class RungModelling(ABC):
    """Makes functions of configurations at levels."""

    @abstractmethod
    def models(self, snapshot: Snapshot, levels: Sequence[int], rng: np.random.Generator) -> RungModels:
        """Of the given levels, ascending; each has enough losses. ``rng`` draws fantasies."""


@final
class IndependentRungs(RungModelling):
    """A process for each level.

    Parameters
    ----------
    groups
        Columns of the cube that share a length scale.
    n_levels
        How many levels there are.
    settings
        Of the models.
    """

    def __init__(self, groups: Groups, n_levels: int, settings: GPSettings) -> None:
        self._models = LevelModels(groups, n_levels, settings)
        self._n_fantasies = settings.n_fantasies

    @override
    def models(self, snapshot: Snapshot, levels: Sequence[int], rng: np.random.Generator) -> RungModels:
        pending = snapshot.points[snapshot.pending]
        found: dict[int, RungModel] = {}
        fits: dict[str, Fit] = {}
        for level in levels:
            model = self._models.at_level(snapshot, level)
            versions = with_fantasies(model.posterior, pending, self._n_fantasies, rng)
            found[level] = RungModel(model.posterior, versions, model.rows, model.posterior.left_out())
            fits[str(level)] = model.fit
        return RungModels(found, fits)


@final
class JointRungs(RungModelling):
    """One process over all levels, seen at each of them.

    Parameters
    ----------
    joint
        That process.
    settings
        Of the model.
    trust
        Results from which the ranking of a level is predicted.
    """

    def __init__(self, joint: JointModel, settings: GPSettings, trust: Trust = Trust.TRIALS) -> None:
        self._joint = joint
        self._n_fantasies = settings.n_fantasies
        self._trust = trust

    @override
    def models(self, snapshot: Snapshot, levels: Sequence[int], rng: np.random.Generator) -> RungModels:
        """Pending trials are fantasised at the level that they reach next."""
        known = self._joint.learn(snapshot)
        versions = with_fantasies(known.posterior, self._joint.pending(snapshot), self._n_fantasies, rng)
        judged: Mapping[int, Posterior]
        if self._trust is Trust.TRIALS:
            judged = self._joint.up_to(known, levels[:-1]) if len(levels) > 1 else {}
            means, deviations = known.posterior.groups_left_out(known.rows.trials)
        else:
            judged = {}
            means, deviations = known.posterior.left_out()
        found: dict[int, RungModel] = {}
        for level in levels:
            own = np.flatnonzero(known.rows.levels == level)
            found[level] = RungModel(
                self._joint.at_level(judged.get(level, known.posterior), level),
                self._joint.at_level(versions, level),
                known.rows.chosen(own),
                (means[own], deviations[own]),
            )
        return RungModels(found, {"joint": known.fit})


@final
@dataclass(frozen=True, slots=True)
class _Weighed:
    """The functions at an instant with their weights, and what they were computed from."""

    snapshot: Snapshot
    before: Mapping[str, Any]
    """State of the random generator before it was used."""
    after: Mapping[str, Any]
    models: RungModels
    weights: Mapping[int, float]


@final
class EnsembleLearner(Learner):
    """The weighted sum of the functions at all levels, as in [Li2022]_, section 4.3; of a joint process, its view at the target level.

    The weights are computed once for the bracket and the configuration of a suggestion.

    Parameters
    ----------
    modelling
        Makes the functions.
    n_needed
        Losses that a level needs.
    view
        Function that is maximised.
    """

    def __init__(self, modelling: RungModelling, n_needed: int, view: JointView = JointView.WEIGHTED) -> None:
        self._modelling = modelling
        self._enough = n_needed
        self._view = view
        self._last: _Weighed | None = None

    @override
    def learn(self, snapshot: Snapshot, rng: np.random.Generator) -> Learned | None:
        """None without enough losses at any level."""
        known = self._known(snapshot, rng)
        if known is None:
            return None
        models, weights = known
        observed = snapshot.points[np.unique(snapshot.rows.trials)]
        if self._view is JointView.TARGET:
            return Learned(models.by_level[max(models.by_level)].versions, observed, models.fits)
        parts = [(models.by_level[level].versions, weight) for level, weight in weights.items()]
        return Learned(WeightedSum(parts), observed, models.fits)

    def weights(self, snapshot: Snapshot, rng: np.random.Generator) -> Mapping[int, float]:
        """Weight of the function at each level, summing to one; empty if there are too few results."""
        known = self._known(snapshot, rng)
        return {} if known is None else known[1]

    def _known(
        self, snapshot: Snapshot, rng: np.random.Generator
    ) -> tuple[RungModels, Mapping[int, float]] | None:
        reference = snapshot.target_level(self._enough)
        if reference is None:
            return None
        last, before = self._last, rng.bit_generator.state
        if last is not None and last.snapshot is snapshot and last.before == before:
            rng.bit_generator.state = last.after
            return last.models, last.weights
        models, weights = self._weighed(snapshot, reference, rng)
        self._last = _Weighed(snapshot, before, rng.bit_generator.state, models, weights)
        return models, weights

    def _weighed(
        self, snapshot: Snapshot, reference: int, rng: np.random.Generator
    ) -> tuple[RungModels, Mapping[int, float]]:
        counts = np.bincount(snapshot.rows.levels, minlength=reference + 1)
        levels = [level for level in range(reference + 1) if counts[level] >= self._enough]
        normal = rng.standard_normal((len(levels), _MOST_REFERENCES, _N_DRAWS))
        models = self._modelling.models(snapshot, levels, rng)
        if len(levels) == 1:
            return models, {reference: 1.0}
        losses = _misranked(snapshot, models, reference, normal)
        shares = shares_of_wins(losses)  # of equal levels the higher one
        shares[shares <= _LEAST_WEIGHT] = 0.0
        shares /= shares.sum()
        return models, {level: float(share) for level, share in zip(levels, shares, strict=True) if share > 0}


def _misranked(snapshot: Snapshot, models: RungModels, reference: int, normal: Array) -> Array:
    """Pairs of the reference level's trials that draws of each level's function rank wrongly, (levels, draws).

    At most 60 trials are compared, spread evenly over the order of arrival. Of the reference level's own function
    each loss is predicted without it ([Li2022]_, equation 4).
    """
    rows = models.by_level[reference].rows
    places = np.unique(
        np.linspace(0, len(rows) - 1, min(len(rows), _MOST_REFERENCES)).round().astype(np.intp)
    )
    losses, points = rows.losses[places], snapshot.points[rows.trials[places]]
    counts: list[Array] = []
    for (level, model), numbers in zip(models.by_level.items(), normal, strict=True):
        if level == reference:
            means, deviations = model.left_out
            draws = means[places, np.newaxis] + deviations[places, np.newaxis] * numbers[: len(places)]
        else:
            draws = model.judged.samples(points, numbers[: len(places)])
        counts.append(misranked(losses, draws))
    return np.array(counts)


@final
class LearnedBrackets:
    """Weights of brackets: the trust in the bracket's first level, divided by its resource.

    Trust in levels beyond the last bracket's first one counts for that bracket. Hyperband's shares are mixed in, so that no
    bracket is given up for good.

    Parameters
    ----------
    learner
        Weighs the levels.
    observations
        Reads History for it.
    levels
        Resources, strictly increasing; bracket s begins at number s.
    shares
        Hyperband's shares of the brackets, with sum 1.
    mixed_in
        Part of the weight that follows these shares, from 0 to 1.
    seed
        The experiment's seed.
    """

    def __init__(
        self,
        learner: EnsembleLearner,
        observations: Observations,
        levels: Sequence[int],
        shares: Sequence[float],
        *,
        mixed_in: float,
        seed: int,
    ) -> None:
        self._learner = learner
        self._observations = observations
        self._levels = levels
        self._shares = tuple(shares)
        self._mixed_in = mixed_in
        self._seed = seed

    def __call__(self, history: History) -> Sequence[float] | None:
        """Weights, one per bracket; None if there are too few results."""
        rng = generator(self._seed, Stream.MODEL, history.n_runs)
        trust = self._learner.weights(self._observations.read(history), rng)
        if not trust:
            return None
        sums = [0.0] * len(self._shares)
        for level, weight in trust.items():
            sums[min(level, len(sums) - 1)] += weight
        weights = [weight / self._levels[s] for s, weight in enumerate(sums)]
        if not self._mixed_in:
            return weights
        total = math.fsum(weights)
        learned = 1.0 - self._mixed_in
        return [
            learned * weight / total + self._mixed_in * share
            for weight, share in zip(weights, self._shares, strict=True)
        ]
