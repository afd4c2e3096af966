"""Populations under differential evolution, one for each level of resource.

References
----------
.. [Storn1997] Storn, Price: Differential Evolution. Journal of Global Optimization 11 (1997).
.. [Awad2021] Awad, Mallik, Hutter: DEHB: Evolutionary Hyperband for Scalable, Robust and Efficient Hyperparameter
   Optimization. IJCAI 2021.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

import numpy as np

from tunewright.models.arrays import Array


@final
@dataclass(frozen=True, slots=True)
class Individual:
    """An evaluated configuration."""

    loss: float
    """Finite."""
    trial_id: int
    point: tuple[float, ...]
    """In [0, 1]^d."""


@final
class Population:
    """A fixed number of places, each empty or with the best individual that competed for it.

    Parameters
    ----------
    size
        Number of places.
    """

    def __init__(self, size: int) -> None:
        self.places: list[Individual | None] = [None] * size
        """Who is where."""
        self._n_begun = 0

    @property
    def target(self) -> int:
        """The place for which the next child is made: all take turns."""
        return self._n_begun % len(self.places)

    def begin(self) -> None:
        """A child of the present target is on its way."""
        self._n_begun += 1

    def admit(self, individual: Individual) -> None:
        """Give an individual the first empty place; where there is none, it must compete for the worst one's."""
        if None in self.places:
            self.places[self.places.index(None)] = individual
            return
        worst = max(range(len(self.places)), key=self._loss)
        self.compete(worst, individual)

    def compete(self, place: int, individual: Individual) -> None:
        """Selection: the child takes the place unless who holds it is better."""
        if individual.loss <= self._loss(place):
            self.places[place] = individual

    def best(self, n: int | None = None) -> list[Individual]:
        """The best ``n`` individuals, best first, older ones first among equals; None: all of them."""
        present = [individual for individual in self.places if individual is not None]
        return sorted(present, key=lambda one: (one.loss, one.trial_id))[:n]

    def _loss(self, place: int) -> float:
        individual = self.places[place]
        return math.inf if individual is None else individual.loss


def choose_parents(
    pool: Sequence[Individual], others: Sequence[Individual], rng: np.random.Generator
) -> list[Individual] | None:
    """Three different parents from a pool; where that is too small, the missing ones come from the others.

    Returns
    -------
    list of Individual or None
        In random order; None where there are no three.
    """
    chosen = {individual.trial_id: individual for individual in pool}
    rest = list({one.trial_id: one for one in others if one.trial_id not in chosen}.values())
    n_missing = 3 - len(chosen)
    if n_missing > len(rest):
        return None
    candidates = list(chosen.values())
    if n_missing > 0:
        candidates += [rest[i] for i in rng.choice(len(rest), n_missing, replace=False)]
    return [candidates[i] for i in rng.choice(len(candidates), 3, replace=False)]


def child_of(
    target: Array,
    parents: Sequence[Individual],
    mutation_factor: float,
    crossover_probability: float,
    rng: np.random.Generator,
) -> Array:
    """Differential evolution's rand/1/bin ([Storn1997]_).

    The mutant is ``a + F * (b - c)`` for the parents a, b, c; a coordinate of it that leaves [0, 1] is drawn anew. The
    child has each coordinate of the mutant with the crossover's probability, at least one, and the target's otherwise.
    """
    a, b, c = (np.array(parent.point) for parent in parents)
    mutant = a + mutation_factor * (b - c)
    drawn = rng.random(len(target))
    mutant = np.where((mutant < 0.0) | (mutant > 1.0), drawn, mutant)
    crosses = rng.random(len(target)) < crossover_probability
    crosses[rng.integers(len(target))] = True
    return np.where(crosses, mutant, target)
