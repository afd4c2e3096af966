"""Regularized evolution: mutants of the best of a few recent trials.

With several objectives the best one is that of the lowest front, and there the one that stands most alone.

References
----------
.. [Real2019] Real, Aggarwal, Huang, Le: Regularized Evolution for Image Classifier Architecture Search. AAAI 2019.
.. [Deb2002] Deb, Pratap, Agarwal, Meyarivan: A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II. IEEE
   Transactions on Evolutionary Computation 6 (2002).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import check_at_least
from tunewright.metric import Metric
from tunewright.models.arrays import Array, Indices
from tunewright.models.pareto import crowded_order, pareto_mask
from tunewright.searchers.encoding import Observations, Snapshot
from tunewright.searchers.model_based import ModelBasedSearcher, Proposal, Proposer
from tunewright.searchers.model_free import SearcherContext
from tunewright.space import SearchSpace
from tunewright.types import Config, ConfigValue

_CHILDREN: Final = 16
"""Mutants per suggestion, so that one of them is new."""
_DEFAULT_SIZE: Final = 20
_LEAST_SIZE: Final = 10
_MOST_SIZE: Final = 100
_TRIALS_PER_MEMBER: Final = 10
_DRAWS: Final = 16
"""Values that are drawn so that one differs from the parent's."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EvolutionSettings:
    """How a population evolves; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    population_size: int | None = None
    """P, >= 1: number of the newest evaluated trials that form the population, and of random trials at first; None: with one
    metric a tenth of the trials that the limits allow, from 10 to 100, and else, or if that is unknown, 20. The paper has 100, in runs of 20,000 trials."""
    sample_size: int = 10
    """S, >= 1: size of a tournament, drawn with replacement; its best trial is the parent."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "sample_size")
        if self.population_size is not None:
            check_at_least(self, 1, "population_size")

    @property
    def size(self) -> int:
        """P, where the number of trials is unknown."""
        return _DEFAULT_SIZE if self.population_size is None else self.population_size

    def for_trials(self, n_trials: int) -> EvolutionSettings:
        """Return the settings for a number of trials, >= 1."""
        if self.population_size is not None:
            return self
        size = min(max(n_trials // _TRIALS_PER_MEMBER, _LEAST_SIZE), _MOST_SIZE)
        return replace(self, population_size=size)


def evolution_searcher(
    context: SearcherContext,
    settings: EvolutionSettings,
    *,
    metric: Metric,
    others: Sequence[Metric] = (),
    keep_front: bool = False,
) -> ModelBasedSearcher:
    """The searcher of regularized evolution ([Real2019]_, Algorithm 1).

    The population is a queue: the trial that was evaluated longest ago leaves it, however good it is. Trials that
    failed or diverged never enter. With ``others``, further metrics, a tournament is won by the crowded comparison of
    [Deb2002]_ (section III.C) among the population. If the context lists candidates, a mutant stands for the nearest of them.

    Parameters
    ----------
    context, settings, metric
        Space and seed, sizes, and the metric to tune.
    others
        Further metrics to tune.
    keep_front
        Whether trials that no other trial dominates stay in the population, whatever their age.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """
    return ModelBasedSearcher(
        context,
        EvolutionProposer(context.space, settings, keep_front=keep_front),
        Observations(context.space, metric, others=others),
        n_initial=settings.size,
    )


@final
class EvolutionProposer(Proposer):
    """Mutate one hyperparameter of a tournament's winner.

    Parameters
    ----------
    space
        Legal values.
    settings
        Sizes of population and tournament.
    keep_front
        As in :func:`evolution_searcher`.
    """

    def __init__(self, space: SearchSpace, settings: EvolutionSettings, *, keep_front: bool = False) -> None:
        self._space = space
        self._settings = settings
        self._keep_front = keep_front

    @override
    def propose(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        until: int | None = None,
    ) -> Proposal | None:
        """Mutants of one parent; None if nothing was evaluated. The note has the parent."""
        rows = snapshot.rows
        if not len(rows):
            return None
        population = self._population(snapshot)
        scores = _scores(snapshot, population)
        tournament = rng.integers(len(population), size=self._settings.sample_size)
        parent = int(rows.trials[population[tournament[np.argmin(scores[tournament])]]])
        config = self._space.decode(snapshot.points[parent][np.newaxis])[0]
        children = [self._mutate(config, rng) for _ in range(_CHILDREN)]
        return Proposal(self._space.encode(children), {"parent": parent})

    def _population(self, snapshot: Snapshot) -> Indices:
        """Rows of the population, oldest first: the newest, or those of the front and the newest others."""
        size = self._settings.size
        n = len(snapshot.rows)
        if not self._keep_front:
            return np.arange(max(n - size, 0), n)
        is_kept = pareto_mask(snapshot.objectives)
        others = np.flatnonzero(~is_kept)
        n_others = max(size - int(is_kept.sum()), 0)
        is_kept[others[max(len(others) - n_others, 0) :]] = True
        return np.flatnonzero(is_kept)

    def _mutate(self, config: Config, rng: np.random.Generator) -> dict[str, ConfigValue]:
        names = [name for name in self._space.names if name in config]
        name = names[int(rng.integers(len(names)))]
        quantile = self._space.domains[name].quantile
        for _ in range(_DRAWS):
            value = quantile(float(rng.random()))
            if value != config[name]:
                return self._completed({**config, name: value}, rng)
        return dict(config)

    def _completed(self, config: dict[str, ConfigValue], rng: np.random.Generator) -> dict[str, ConfigValue]:
        """Add draws of hyperparameters that the mutation made active; drop those that it made inactive."""
        if not self._space.has_conditions:
            return config
        drawn = {name: domain.sample(rng) for name, domain in self._space.domains.items()}
        return self._space.active({**drawn, **config})


def _scores(snapshot: Snapshot, population: Indices) -> Array:
    """Scores of rows in tournaments, lower is better: losses, or places in the crowded order."""
    if snapshot.objectives.shape[1] <= 1:
        return snapshot.rows.losses[population]
    order = crowded_order(snapshot.objectives[population])
    places = np.empty(len(order))
    places[order] = np.arange(len(order))
    return places
