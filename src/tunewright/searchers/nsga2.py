"""NSGA-II: children of good parents, by crossover and mutation; parents are selected by fronts and crowding.

References
----------
.. [Deb2002] Deb, Pratap, Agarwal, Meyarivan: A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II. IEEE
   Transactions on Evolutionary Computation 6 (2002).
.. [DebAgrawal1995] Deb, Agrawal: Simulated Binary Crossover for Continuous Search Space. Complex Systems 9 (1995).
.. [DebGoyal1996] Deb, Goyal: A Combined Genetic Adaptive Search (GeneAS) for Engineering Design. Computer Science and
   Informatics 26 (1996).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SettingsError
from tunewright.metric import Metric
from tunewright.models.pareto import crowded_order
from tunewright.searchers.encoding import Observations, Snapshot
from tunewright.searchers.model_based import ModelBasedSearcher, Proposal, Proposer
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.unit_cube import Coordinates
from tunewright.space import Categorical, SearchSpace
from tunewright.space.domain import Domain
from tunewright.types import Config, ConfigValue, Json

_CHILDREN: Final = 16
"""Children that are made of two parents, so that one of them is new."""
_MOST_LISTED: Final = 64
"""A mutation that leaves one of so few values as it is moves it to its neighbour."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NSGA2Settings:
    """How a population evolves; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    population_size: int = 20
    """N, >= 2: number of parents, the best of all evaluated trials, and of random trials at first."""
    crossover_probability: float = 0.9
    """How often a child has two parents, in [0, 1]; else it is a mutant of the first."""
    crossover_index: float = 2.0
    """eta_c, >= 0: the larger, the nearer children are to their parents."""
    mutation_probability: float | None = None
    """For each hyperparameter, in (0, 1]; None: one over their number."""
    mutation_index: float = 1.0
    """eta_m, >= 0: the larger, the smaller the mutations."""

    def __post_init__(self) -> None:
        if self.population_size < 2:
            raise SettingsError(f"population_size={self.population_size} must be >= 2")
        if not 0 <= self.crossover_probability <= 1:
            raise SettingsError(f"crossover_probability={self.crossover_probability} must be in [0, 1]")
        if self.mutation_probability is not None and not 0 < self.mutation_probability <= 1:
            raise SettingsError(f"mutation_probability={self.mutation_probability} must be in (0, 1]")
        for name in ("crossover_index", "mutation_index"):
            if not 0 <= getattr(self, name) < np.inf:
                raise SettingsError(f"{name}={getattr(self, name)} must be >= 0")


def nsga2_searcher(
    context: SearcherContext,
    settings: NSGA2Settings,
    *,
    metrics: Sequence[Metric],
) -> ModelBasedSearcher:
    """The searcher of NSGA-II ([Deb2002]_) without generations that wait.

    The parents are at any time the best N of all trials that were evaluated, by front and crowding distance: one child
    enters as soon as it is finished, so that no worker is idle. With one worker this is the steady state form of the
    algorithm, in which a generation has one child. Trials that failed or diverged never enter.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """
    return ModelBasedSearcher(
        context,
        NSGA2Proposer(context.space, settings),
        Observations(context.space, metrics[0], others=metrics[1:]),
        n_initial=settings.population_size,
    )


@final
class NSGA2Proposer(Proposer):
    """Children of two winners of tournaments.

    Parameters
    ----------
    space
        What values may be.
    settings
        Sizes and probabilities.
    """

    def __init__(self, space: SearchSpace, settings: NSGA2Settings) -> None:
        self._space = space
        self._settings = settings
        self._coordinates = Coordinates(space)
        self._domains = list(space.domains.values())
        self._names = list(space.domains)

    @override
    def propose(
        self,
        snapshot: Snapshot,
        rng: np.random.Generator,
        until: int | None = None,
    ) -> Proposal | None:
        """Children of one pair of parents; None if nothing was evaluated. The note has the parents."""
        if not len(snapshot.rows):
            return None
        best = crowded_order(snapshot.objectives)[: self._settings.population_size]
        duels = rng.integers(len(best), size=(2, 2)).min(
            axis=1
        )  # the order is that of the crowded comparison
        parents: list[Json] = [int(trial) for trial in snapshot.rows.trials[best[duels]]]
        first, second = self._space.decode(snapshot.points[snapshot.rows.trials[best[duels]]])
        children = [self._child(first, second, rng) for _ in range(_CHILDREN)]
        return Proposal(self._space.encode(children), {"parents": parents})

    def _child(self, first: Config, second: Config, rng: np.random.Generator) -> dict[str, ConfigValue]:
        a, b = self._coordinates.encode(first), self._coordinates.encode(second)
        if rng.random() < self._settings.crossover_probability:
            a = [self._crossed(*parts, rng) for parts in zip(self._domains, a, b, strict=True)]
        child = self._coordinates.values(a)
        probability = self._settings.mutation_probability or 1.0 / max(len(self._domains), 1)
        for place, (name, domain) in enumerate(zip(self._names, self._domains, strict=True)):
            if rng.random() < probability:
                moved = polynomial_mutation(a[place], self._settings.mutation_index, rng)
                mutant = self._coordinates.values([*a[:place], moved, *a[place + 1 :]])[name]
                child[name] = _mutated(domain, child[name], mutant, rng, is_up=moved > a[place])
        return child

    def _crossed(self, domain: Domain, a: float, b: float, rng: np.random.Generator) -> float:
        """One coordinate of a child: half of them are exchanged if their values have no order, else recombined."""
        if rng.random() < 0.5:
            return a
        if isinstance(domain, Categorical):
            return b
        return simulated_binary_crossover(a, b, self._settings.crossover_index, rng)


def _mutated(
    domain: Domain, value: ConfigValue, mutant: ConfigValue, rng: np.random.Generator, *, is_up: bool
) -> ConfigValue:
    size = domain.size
    if size is None or size > _MOST_LISTED or (mutant != value and not isinstance(domain, Categorical)):
        return mutant
    values = [domain.at(index) for index in range(size)]
    index = _nearest(values, value)
    if isinstance(domain, Categorical):
        others = [other for place, other in enumerate(values) if place != index]
        return others[int(rng.integers(len(others)))] if others else value
    return values[min(max(index + (1 if is_up else -1), 0), size - 1)]


def _nearest(values: Sequence[ConfigValue], value: ConfigValue) -> int:
    """Index of a value in a list; decoded numbers may differ from listed ones in their last digits."""
    if value in values:
        return values.index(value)
    return int(np.argmin([abs(float(listed) - float(value)) for listed in values]))


def simulated_binary_crossover(a: float, b: float, index: float, rng: np.random.Generator) -> float:
    """One of the two children of two numbers in [0, 1], each with equal chance, in [0, 1] too.

    The spread beta_q is that of the bounded form: children beyond the nearer bound have no probability
    ([DebAgrawal1995]_; the bounded form as in the authors' program for [Deb2002]_).

    Parameters
    ----------
    a, b
        Parents.
    index
        eta_c, >= 0.
    rng
        Draws twice, whatever the parents are.
    """
    u, is_low = float(rng.random()), bool(rng.random() < 0.5)
    low, high = min(a, b), max(a, b)
    distance = high - low
    if distance < 1e-14:
        return a
    room = low if is_low else 1.0 - high
    alpha = 2.0 - (1.0 + 2.0 * room / distance) ** -(index + 1.0)
    ratio = u * alpha if u <= 1.0 / alpha else 1.0 / (2.0 - u * alpha)
    spread = ratio ** (1.0 / (index + 1.0)) * distance
    child = 0.5 * (low + high - spread) if is_low else 0.5 * (low + high + spread)
    return min(max(child, 0.0), 1.0)


def polynomial_mutation(x: float, index: float, rng: np.random.Generator) -> float:
    """A number in [0, 1] near another one, by the polynomial distribution whose tails end at the bounds ([DebGoyal1996]_).

    Parameters
    ----------
    x
        In [0, 1].
    index
        eta_m, >= 0: the mean step is about ``1 / (2 + eta_m)``.
    rng
        Draws once.
    """
    u = float(rng.random())
    power = index + 1.0
    if u < 0.5:
        step = (2.0 * u + (1.0 - 2.0 * u) * (1.0 - x) ** power) ** (1.0 / power) - 1.0
    else:
        step = 1.0 - (2.0 * (1.0 - u) + (2.0 * u - 1.0) * x**power) ** (1.0 / power)
    return min(max(x + step, 0.0), 1.0)
