"""DEHB: Hyperband's brackets filled by differential evolution.

References
----------
.. [Storn1997] Storn, Price: Differential Evolution. Journal of Global Optimization 11 (1997).
.. [Awad2021] Awad, Mallik, Hutter: DEHB: Evolutionary Hyperband for Scalable, Robust and Efficient Hyperparameter
   Optimization. IJCAI 2021.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SettingsError, check_at_least
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.metric import Metric
from tunewright.models.arrays import Array
from tunewright.schedulers.brackets import (
    Bracket,
    EvolvingBracket,
    HyperbandSettings,
    Stage,
    standing_of,
    verdict_at,
)
from tunewright.schedulers.rungs import whole_number
from tunewright.searchers.model_free import RandomSearcher
from tunewright.searchers.unit_cube import Coordinates
from tunewright.seeding import Stream, generator
from tunewright.space import SearchSpace
from tunewright.trial import Decision, Result, Resume, Run, Start, TrialStatus, Verdict
from tunewright.types import Config, Json


@final
@dataclass(frozen=True, slots=True)
class Individual:
    """An evaluated configuration, or a random one that nothing has evaluated."""

    loss: float
    """Finite; inf if it was not evaluated."""
    trial_id: int
    """Negative if it was not evaluated."""
    point: tuple[float, ...]
    """In [0, 1]^d."""


@final
class Population:
    """A fixed number of places, each empty or with the best individual that competed for it.

    Parameters
    ----------
    size
        Number of places.
    unevaluated
        Individuals that hold the places at first, one for each; empty: the places are empty.
    """

    def __init__(self, size: int, unevaluated: Sequence[Individual] = ()) -> None:
        self.places: list[Individual | None] = [*unevaluated, *[None] * (size - len(unevaluated))]
        """Individual at each place."""
        self._n_begun = 0

    @property
    def target(self) -> int:
        """The place for which the next child is made: all take turns."""
        return self._n_begun % len(self.places)

    def begin(self) -> None:
        """A child of the present target is on its way."""
        self._n_begun += 1

    def admit(self, individual: Individual) -> None:
        """Give an individual the first place without an evaluated one; if there is none, it competes for the worst one's."""
        worst = max(range(len(self.places)), key=self._loss)
        self.compete(worst, individual)

    def compete(self, place: int, individual: Individual) -> None:
        """Selection: the child takes the place unless its holder is better."""
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
    """Three different parents from a pool; if it is too small, the missing ones come from the others.

    Returns
    -------
    list of Individual or None
        In random order; None if there are fewer than three.
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


_DRAWS: Final = 64
"""Children that are made before one that is new is drawn at random."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class DifferentialEvolutionSettings:
    """How children are made of their parents; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    mutation_factor: float = 0.5
    """F: how far a mutant goes along the difference of two parents, above 0 and at most 1."""
    crossover_probability: float = 0.5
    """The part of a child's coordinates that comes from the mutant, in [0, 1]."""
    halving_brackets: int | None = None
    """First brackets whose higher rungs hold the best of the level below instead of children, >= 1; None: all brackets of
    the first Hyperband iteration, as in the authors' program. The paper has 1."""
    unevaluated_parents: bool = True
    """Whether the random individual at a place where none was evaluated may be a parent, as in the authors' program."""

    def __post_init__(self) -> None:
        if not 0.0 < self.mutation_factor <= 1.0:
            raise SettingsError(f"mutation_factor={self.mutation_factor} must be above 0 and at most 1")
        if not 0.0 <= self.crossover_probability <= 1.0:
            raise SettingsError(f"crossover_probability={self.crossover_probability} must be in [0, 1]")
        if self.halving_brackets is not None:
            check_at_least(self, 1, "halving_brackets")


@final
class DEHB(Scheduler):
    """Evolutionary Hyperband (Awad, Mallik, Hutter, IJCAI 2021, section 4 and Algorithm 1).

    Each level has a population, as large as the largest rung that any bracket has there. The very first bracket is
    plain successive halving of random configurations, whose trials pause and go on; what it evaluates at a level enters
    that level's population. In all later brackets the first rung is filled with new children, each made for the population's
    next target and run from scratch to the rung's level, where it takes the target's place unless that is better.
    So are the higher rungs of brackets after the first Hyperband iteration; in those of the first iteration the best trials of
    the level below that have not been at this level go on, and compete for the targets' places.
    Mutation is rand/1, crossover binomial. The parents come from the best of the level below, as many as the rung has
    places; in a bracket's first rung from the level's own population. A pool of fewer than three is filled up from all
    populations. The place of an individual that does not exist yet holds a random, unevaluated one.

    A rung begins when the one before it in its bracket has ended; meanwhile further brackets are opened, so that no
    worker waits. Failed trials and non-finite losses enter no population.

    Hyperparameters have one coordinate each, categories and ordinals by their number. Children that break a relation of
    the space are made anew; if all of 64 do, a random configuration takes their place.

    Parameters
    ----------
    space
        The search space.
    plan
        The brackets.
    evolution
        How children are made.
    metric
        The metric to compare.
    seed
        The experiment's seed, >= 0.
    points_to_evaluate
        Configurations that come first, as in :func:`~tunewright.searchers.model_free.initial_configs`.

    Raises
    ------
    SpaceError
        One of ``points_to_evaluate`` does not fit the space.
    """

    def __init__(
        self,
        space: SearchSpace,
        plan: HyperbandSettings,
        evolution: DifferentialEvolutionSettings,
        *,
        metric: Metric,
        seed: int,
        points_to_evaluate: Sequence[Config] | None = None,
    ) -> None:
        self._max_resource = plan.max_resource
        self._evolution = evolution
        self._metric = metric
        self._seed = seed
        self._space = space
        self._coordinates = Coordinates(space)
        self._random = RandomSearcher(space, seed=seed, points_to_evaluate=points_to_evaluate)
        self._table = plan.table
        self._n_halving = evolution.halving_brackets or len(self._table)
        self.populations = self._new_populations()
        """One for each level, lowest first; read-only."""
        self._held: dict[int, None] = {}
        self._resumable: dict[int, None] = {}
        self._first = Bracket(0, self._table[0], self._held)
        self._evolving: dict[int, EvolvingBracket] = {}
        self._n_opened = 1

    @override
    def suggest(self, history: History) -> Start | Resume | None:
        """The next run of the oldest bracket that has one; None when the space is exhausted."""
        first = self._first
        if first.due is not None:
            return self._resume(first.due, first.rung)
        if first.has_place:
            start = self._start_random(history, {"bracket": 0, "rung": 0}, first.until(0))
            waiting = first.due_if_full() if start is None else None
            return self._resume(*waiting) if waiting else start
        for bracket in self._evolving.values():
            if bracket.has_place:
                promoted = self._promotion(history, bracket.number, bracket.rung)
                return promoted or self._start(history, bracket.number, bracket.rung)
        return self._start(history, self._n_opened, 0)

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Take the run into its bracket, which it may open."""
        note = history.note(run.trial_id)
        number, rung = whole_number(note, "bracket"), whole_number(note, "rung")
        if number == 0:
            self._first.begin(run.trial_id, rung)
            self._renew_resumable(history)
            return
        if number == self._n_opened:
            self._evolving[number] = EvolvingBracket(number, self._stages(number))
            self._n_opened += 1
        self._evolving[number].begin()
        self.populations[self._level(number, rung)].begin()
        self._renew_resumable(history)

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """Pause (if it may be promoted) or stop at the rung's level; stop what goes beyond the maximum."""
        verdict = verdict_at(result.resource, history.until(trial_id), self._max_resource)
        may_go_on = whole_number(history.note(trial_id), "bracket") < self._n_halving
        if may_go_on or verdict.decision is not Decision.PAUSE:
            return verdict
        return Verdict(decision=Decision.STOP, reason=verdict.reason)

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Selection; the last trial of a rung closes it."""
        note = history.note(trial_id)
        number, rung = whole_number(note, "bracket"), whole_number(note, "rung")
        standing = standing_of(history, trial_id, status, self._metric)
        self._select(history, trial_id, standing.loss, self._level(number, rung))
        if number == 0:
            self._first.end(standing)
            self._renew_resumable(history)
            return
        bracket = self._evolving[number]
        bracket.end()
        if bracket.is_over:
            del self._evolving[number]
        self._renew_resumable(history)

    @override
    def resumable(self, history: History) -> Collection[int]:
        """Paused trials that a bracket with promotions may still resume."""
        return self._held.keys() if self._n_halving == 1 else self._resumable.keys()

    def _renew_resumable(self, history: History) -> None:
        """Hold the paused trials of the first bracket and of the populations, until all brackets with promotions are over."""
        oldest = min(self._evolving, default=self._n_opened)
        self._resumable.clear()
        self._resumable.update(self._held)
        if oldest < self._n_halving:
            individuals = (one.trial_id for population in self.populations[:-1] for one in population.best())
            paused = history.ids(TrialStatus.PAUSED)
            self._resumable.update(
                {i: None for i in individuals if i in paused and not history.is_withdrawn(i)}
            )

    @override
    def start_requested(self, history: History, config: Config) -> Start:
        """In the first rung of a bracket, in whose population it competes for the worst place."""
        if self._first.has_place:
            return Start(config=config, until=self._first.until(0), note={"bracket": 0, "rung": 0})
        open_brackets = (one.number for one in self._evolving.values() if one.rung == 0 and one.has_place)
        number = next(open_brackets, self._n_opened)
        return Start(config=config, until=self._until(number, 0), note={"bracket": number, "rung": 0})

    def _until(self, number: int, rung: int) -> int | None:
        """Resource at which a run in a rung of a later bracket ends; None: at the end of the training."""
        stages = self._stages(number)
        return stages[rung].level if rung + 1 < len(stages) else None

    def _select(self, history: History, trial_id: int, loss: float, level: int) -> None:
        if not math.isfinite(loss):
            return
        note, population = history.note(trial_id), self.populations[level]
        point, place = note.get("point"), note.get("target")
        if isinstance(point, list) and isinstance(place, int):
            coordinates = tuple(float(u) for u in point if isinstance(u, int | float))
            population.compete(place, Individual(loss, trial_id, coordinates))
        else:
            coordinates = tuple(self._coordinates.encode(history.trial(trial_id).config))
            population.admit(Individual(loss, trial_id, coordinates))

    def _new_populations(self) -> tuple[Population, ...]:
        sizes = population_sizes(self._table)
        if not self._evolution.unevaluated_parents:
            return tuple(Population(size) for size in sizes)
        drawn = generator(self._seed, Stream.EVOLUTION, 0).random((sum(sizes), len(self._coordinates)))
        left = [Individual(math.inf, -1 - n, tuple(point)) for n, point in enumerate(drawn.tolist())]
        starts = [sum(sizes[:level]) for level in range(len(sizes))]
        return tuple(
            Population(size, left[start : start + size]) for size, start in zip(sizes, starts, strict=True)
        )

    def _promotion(self, history: History, number: int, rung: int) -> Resume | None:
        """The best paused trial of the level below that has not been at a rung's level; None if there is none."""
        if rung == 0 or number >= self._n_halving:
            return None
        stages, level = self._stages(number), self._level(number, rung)
        paused = history.ids(TrialStatus.PAUSED)
        for individual in self.populations[level - 1].best():
            trial_id = individual.trial_id
            is_free = trial_id in paused and trial_id not in self._held and not history.is_withdrawn(trial_id)
            last = history.last(trial_id) if is_free else None
            if last is not None and last.resource < stages[rung].level:
                target = self.populations[level].target
                note: dict[str, Json] = {"bracket": number, "rung": rung}
                note |= {"target": target, "point": list(individual.point)}
                return Resume(trial_id=trial_id, until=self._until(number, rung), note=note)
        return None

    def _start(self, history: History, number: int, rung: int) -> Start | None:
        """A child for a rung of a later bracket; a random one if there are no parents or all children were tried."""
        stages, level = self._stages(number), self._level(number, rung)
        until = self._until(number, rung)
        note: dict[str, Json] = {"bracket": number, "rung": rung}
        if history.n_suggested >= self._random.n_initial:
            population = self.populations[level]
            if rung > 0:
                pool = self.populations[level - 1].best(stages[rung].size)
            else:
                target = population.places[population.target]
                pool = [individual for individual in population.best() if individual is not target]
            made = self._child(history, population, pool)
            if made is not None:
                config, origin = made
                return Start(config=config, until=until, note=note | origin)
        return self._start_random(history, note, until)

    def _child(
        self, history: History, population: Population, pool: Sequence[Individual]
    ) -> tuple[Config, dict[str, Json]] | None:
        """A new configuration for a population's target, and its note; None if there is none."""
        rng = generator(self._seed, Stream.EVOLUTION, history.n_runs)
        drawn = rng.random(len(self._coordinates))
        individual = population.places[population.target]
        target = drawn if individual is None else np.array(individual.point)
        others = [] if len(pool) >= 3 else [one for other in self.populations for one in other.best()]
        factor, probability = self._evolution.mutation_factor, self._evolution.crossover_probability
        for _ in range(_DRAWS):
            parents = choose_parents(pool, others, rng)
            if parents is None:
                return None
            point = child_of(target, parents, factor, probability, rng).tolist()
            config = self._coordinates.decode(point)
            if not history.contains(config) and self._space.allows(config):
                ids: list[Json] = [parent.trial_id for parent in parents if parent.trial_id >= 0]
                return config, {"target": population.target, "point": point, "parents": ids}
        return None

    def _start_random(self, history: History, note: dict[str, Json], until: int | None) -> Start | None:
        suggestion = self._random.suggest(history)
        return None if suggestion is None else Start(config=suggestion.config, until=until, note=note)

    def _stages(self, number: int) -> tuple[Stage, ...]:
        return self._table[number % len(self._table)]

    def _level(self, number: int, rung: int) -> int:
        """The number of a rung's level."""
        return number % len(self._table) + rung

    def _resume(self, trial_id: int, rung: int) -> Resume:
        note = {"bracket": 0, "rung": rung}
        return Resume(trial_id=trial_id, until=self._first.until(rung), note=note)


def population_sizes(table: Sequence[Sequence[Stage]]) -> tuple[int, ...]:
    """How large the population of each level is: as the largest rung there (Awad et al. 2021, section 4).

    Parameters
    ----------
    table
        The stages of all brackets; bracket b begins at level number b.
    """
    return tuple(
        max(stages[level - number].size for number, stages in enumerate(table) if number <= level)
        for level in range(len(table[0]))
    )
