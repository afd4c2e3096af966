"""Pareto tools against brute force, worked examples and an independent library."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.models.arrays import Array
from tunewright.models.pareto import (
    crowded_order,
    crowding_distances,
    dominated_volume,
    epsilon_net_order,
    non_dominated_ranks,
    pareto_mask,
    scaled_to_range,
)


def dominates(a: Array, b: Array) -> bool:
    return bool((a <= b).all() and (a < b).any())


def fronts_by_definition(losses: Array) -> list[int]:
    left = [i for i in range(len(losses)) if np.isfinite(losses[i]).all()]
    ranks = [-1] * len(losses)
    n_fronts = 0
    while left:
        front = [i for i in left if not any(dominates(losses[j], losses[i]) for j in left)]
        for i in front:
            ranks[i] = n_fronts
        left = [i for i in left if i not in front]
        n_fronts += 1
    return [n_fronts if rank < 0 else rank for rank in ranks]


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_fronts_are_those_of_the_definition(k: int) -> None:
    rng = np.random.default_rng(k)
    for n in (0, 1, 2, 5, 20, 30):
        losses = rng.integers(0, 6, size=(n, k)).astype(np.float64)
        if n > 4:
            losses[0, 0], losses[2, -1] = np.inf, np.nan
        expected = fronts_by_definition(losses)
        assert non_dominated_ranks(losses).tolist() == expected
        finite = np.isfinite(losses).all(axis=1)
        assert pareto_mask(losses).tolist() == ((np.array(expected) == 0) & finite).tolist()


@pytest.mark.parametrize("k", [2, 3, 4])
def test_volume_equals_that_of_another_library(k: int) -> None:
    moocore = pytest.importorskip("moocore")
    rng = np.random.default_rng(k)
    for n in (1, 7, 40):
        losses = rng.random((n, k))
        losses[:2] = losses[0]
        reference = np.full(k, 0.9)
        assert dominated_volume(losses, reference) == pytest.approx(
            moocore.hypervolume(losses, ref=reference)
        )


def test_volume_of_nothing_and_of_one_objective() -> None:
    assert dominated_volume(np.empty((0, 2)), np.ones(2)) == 0.0
    assert dominated_volume(np.array([[np.inf, 0.0], [2.0, 0.0]]), np.ones(2)) == 0.0
    assert dominated_volume(np.array([[0.25], [0.5]]), np.ones(1)) == 0.75


def test_crowding_is_the_sum_of_both_sides() -> None:
    front = np.array([[0.0, 4.0], [1.0, 2.0], [3.0, 1.0], [4.0, 0.0]])
    assert crowding_distances(front).tolist() == [np.inf, 3 / 4 + 3 / 4, 3 / 4 + 2 / 4, np.inf]
    assert crowding_distances(front[:2]).tolist() == [np.inf, np.inf]
    assert crowding_distances(np.array([[-1e308, 3.0], [0.0, 2.0], [1e308, 1.0]])).tolist() == [
        np.inf,
        2.0,
        np.inf,
    ]


def test_the_crowded_order_takes_fronts_first_then_what_stands_alone() -> None:
    losses = np.array([[np.nan, 0.0], [5.0, 5.0], [0.0, 4.0], [1.0, 2.0], [3.0, 1.0], [4.0, 0.0]])
    assert crowded_order(losses).tolist() == [2, 5, 3, 4, 1, 0]


def test_an_epsilon_net_begins_with_the_best_and_goes_to_the_farthest() -> None:
    line = np.array([[0.5, 0.5], [0.375, 0.625], [0.0, 1.0], [1.0, 0.0], [0.9375, 0.0625]])
    assert epsilon_net_order(line).tolist() == [2, 3, 0, 1, 4]
    assert epsilon_net_order(np.zeros((3, 2))).tolist() == [0, 1, 2]
    assert epsilon_net_order(np.empty((0, 2))).tolist() == []


def test_first_points_of_a_net_cover_the_front() -> None:
    front = np.random.default_rng(0).random((60, 2))
    order = epsilon_net_order(front)
    assert sorted(order.tolist()) == list(range(60))

    def epsilon(chosen: Array) -> float:
        return float(np.sqrt(((front[:, None] - chosen[None]) ** 2).sum(-1)).min(1).max())

    radii = [epsilon(front[order[:i]]) for i in range(1, 60)]
    assert radii == sorted(radii, reverse=True)
    chance = np.mean([epsilon(np.random.default_rng(s).choice(front, 8)) for s in range(20)])
    assert radii[7] < 0.7 * chance


def test_objectives_of_any_size_become_comparable() -> None:
    losses = np.array([[-1e308, 5.0, 3.0], [1e308, 6.0, 3.0], [np.inf, 1.0, 3.0]])
    scaled = scaled_to_range(losses)
    assert scaled[:2].tolist() == [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]]
    assert scaled[2, 0] == np.inf
    assert scaled_to_range(np.full((2, 2), np.inf)).tolist() == [[np.inf] * 2] * 2
