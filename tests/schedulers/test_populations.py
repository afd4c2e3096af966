from __future__ import annotations

import numpy as np
import pytest

from tunewright.schedulers.dehb import Individual, Population, child_of, choose_parents

RNG = np.random.default_rng(0)


def one(trial_id: int, loss: float = 1.0, point: tuple[float, ...] = (0.5, 0.5)) -> Individual:
    return Individual(loss, trial_id, point)


def ids(individuals: list[Individual] | None) -> set[int]:
    return {individual.trial_id for individual in individuals or ()}


def test_targets_take_turns() -> None:
    population = Population(3)
    targets = []
    for _ in range(5):
        targets.append(population.target)
        population.begin()
    assert targets == [0, 1, 2, 0, 1]


def test_a_child_takes_the_place_of_one_that_is_not_better() -> None:
    population = Population(2)
    population.compete(1, one(0, 2.0))
    population.compete(1, one(1, 3.0))
    assert population.places == [None, one(0, 2.0)]
    population.compete(1, one(2, 2.0))
    assert population.places == [None, one(2, 2.0)]


def test_newcomers_fill_empty_places_and_then_fight_the_worst() -> None:
    population = Population(2)
    for trial_id, loss in enumerate([5.0, 3.0, 4.0, 9.0]):
        population.admit(one(trial_id, loss))
    assert population.best() == [one(1, 3.0), one(2, 4.0)]
    assert population.best(1) == [one(1, 3.0)]


def test_equals_are_ordered_by_age() -> None:
    population = Population(2)
    population.admit(one(7))
    population.admit(one(3))
    assert [individual.trial_id for individual in population.best()] == [3, 7]


def test_parents_come_from_the_pool_and_are_different() -> None:
    pool = [one(i) for i in range(4)]
    seen = set()
    for _ in range(50):
        parents = choose_parents(pool, [one(9)], RNG)
        assert len(ids(parents)) == 3
        seen |= ids(parents)
    assert seen == {0, 1, 2, 3}


def test_a_small_pool_is_filled_up() -> None:
    others = [one(0), one(5), one(5), one(6)]
    for _ in range(20):
        parents = ids(choose_parents([one(0)], others, RNG))
        assert parents == {0, 5, 6}
    assert choose_parents([one(0)], [one(0), one(5), one(5)], RNG) is None
    assert choose_parents([], [], RNG) is None


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_children_are_made_of_mutant_and_target(probability: float) -> None:
    target = np.array([0.11, 0.12, 0.13, 0.14])
    parents = [one(0, point=(0.5,) * 4), one(1, point=(0.9,) * 4), one(2, point=(0.5,) * 4)]
    counts = set()
    for _ in range(40):
        child = child_of(target, parents, 0.5, probability, RNG)
        from_mutant = np.isclose(child, 0.7)
        assert np.all(from_mutant | (child == target))
        counts.add(int(from_mutant.sum()))
    assert counts == {0.0: {1}, 0.5: {1, 2, 3, 4}, 1.0: {4}}[probability]


def test_a_mutant_stays_in_the_cube() -> None:
    parents = [one(0, point=(0.9, 0.1)), one(1, point=(1.0, 0.0)), one(2, point=(0.0, 1.0))]
    children = [child_of(np.zeros(2), parents, 1.0, 1.0, RNG) for _ in range(30)]
    assert all(((child >= 0.0) & (child <= 1.0)).all() for child in children)
    assert len({tuple(child) for child in children}) == 30  # drawn anew, not clipped
