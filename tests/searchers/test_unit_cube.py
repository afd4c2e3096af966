"""The cube: every point that it gives is legal, and its moves reach everything."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import Categorical, Float, Integer, SearchSpace
from tunewright.testing.spaces import ALL_TYPES, CATEGORICAL, CONTINUOUS, SMALL, SPACES

RNG_SEED = 3
LARGE = SearchSpace({"kind": Categorical([f"v{i}" for i in range(100)]), "x": Float(0, 1)})


def is_legal(space: SearchSpace, points: np.ndarray) -> bool:
    """Whether columns of few values stand at the place of a value (the others may be anywhere)."""
    back = space.encode(space.decode(points))
    fixed = np.setdiff1d(np.arange(space.n_columns), UnitCube(space).free)
    return np.allclose(points[:, fixed], back[:, fixed]) and points.min() >= 0 and points.max() <= 1


@pytest.mark.parametrize("space", [*SPACES.values(), LARGE], ids=[*SPACES, "large category"])
def test_all_points_are_legal(space: SearchSpace) -> None:
    cube, rng = UnitCube(space), np.random.default_rng(RNG_SEED)
    spread = cube.spread(50, rng)
    around = cube.around(spread[:3], 40, rng)
    net = cube.net(50, rng)
    exchanged = cube.exchanged(spread[:3], 2, rng)
    assert is_legal(space, exchanged)
    assert spread.shape == net.shape == (50, space.n_columns)
    assert is_legal(space, spread)
    assert is_legal(space, net)
    assert is_legal(space, around)
    if cube.has_levels:
        assert is_legal(space, cube.neighbours(spread[0]))
    np.testing.assert_allclose(cube.uncoded(cube.coded(around)), around)


def test_a_spread_has_one_point_in_each_stratum() -> None:
    many = SearchSpace({f"x{i}": Float(0, 1) for i in range(35)})
    for space in (CONTINUOUS, many):
        cube, rng = UnitCube(space), np.random.default_rng(RNG_SEED)
        for points in (cube.spread(32, rng), cube.net(32, rng)):
            for column in points.T:
                assert sorted((column * 32).astype(int)) == list(range(32))


def test_few_values_come_as_often_as_their_distribution_says() -> None:
    space = SearchSpace({"n": Integer(1, 8, log=True), "x": Float(0, 1)})
    rng = np.random.default_rng(RNG_SEED)
    configs = space.decode(UnitCube(space).spread(4000, rng))
    drawn = [space.sample(rng) for _ in range(4000)]
    for value in (1, 3, 8):
        share = np.mean([c["n"] == value for c in configs])
        assert share == pytest.approx(np.mean([c["n"] == value for c in drawn]), abs=0.03)


def test_all_values_of_a_large_category_are_drawn() -> None:
    configs = LARGE.decode(UnitCube(LARGE).spread(1000, np.random.default_rng(RNG_SEED)))
    assert len({config["kind"] for config in configs}) == 100


def test_points_around_another_differ_from_it_a_little() -> None:
    cube = UnitCube(ALL_TYPES)
    rng = np.random.default_rng(RNG_SEED)
    centre = cube.spread(1, rng)
    around = cube.around(centre, 200, rng)
    changed = np.array([(cube.coded(around) != cube.coded(centre)).sum(axis=1)])
    assert changed.max() <= 9
    assert 1 <= np.median(changed) <= 3
    near = cube.free[0]
    moved = around[around[:, near] != centre[0, near], near]
    assert np.abs(moved - centre[0, near]).mean() < 0.2


def test_neighbours_change_one_hyperparameter_and_reach_all_categories() -> None:
    cube = UnitCube(CATEGORICAL)
    point = CATEGORICAL.encode([CATEGORICAL.default_config()])[0]
    found = {tuple(c.values()) for c in CATEGORICAL.decode(cube.neighbours(point))}
    assert found == {("tanh", "batch"), ("gelu", "batch"), ("relu", "none")}


def test_an_exchange_changes_one_hyperparameter_and_those_that_it_activates() -> None:
    cube, rng = UnitCube(ALL_TYPES), np.random.default_rng(RNG_SEED)
    starts = cube.spread(2, rng)
    found = cube.coded(cube.exchanged(starts, 30, rng)).reshape(2, -1, 30, len(ALL_TYPES.domains))
    for start, neighbourhood in zip(cube.coded(starts), found, strict=True):
        for column, changes in enumerate(neighbourhood):
            others = np.delete(changes != start, column, axis=1)
            assert not others.any()
            assert (changes[:, column] != start[column]).any()
    space = SearchSpace({"kind": Categorical(["a", "b"]), "x": Float(0, 1, active_if={"kind": "b"})})
    near = UnitCube(space).exchanged(space.encode([{"kind": "a"}]), 20, rng)
    assert {tuple(c.items()) for c in space.decode(near)} == {
        (("kind", "a"),),
        (("kind", "b"), ("x", 0.5)),
    }


def test_ordered_domains_of_few_values_have_a_spacing() -> None:
    space = SearchSpace({"n": Integer(1, 4), "x": Float(0, 1), "kind": Categorical(["a", "b", "c"])})
    np.testing.assert_allclose(UnitCube(space).spacings, [0.25, 0.0, 0.0])


def test_ordered_neighbours_are_the_nearest() -> None:
    space = SearchSpace({"n": Integer(1, 40), "x": Float(0, 1)})
    point = space.encode([{"n": 20, "x": 0.5}])[0]
    found = sorted(c["n"] for c in space.decode(UnitCube(space).neighbours(point)))
    assert found == [16, 17, 18, 19, 21, 22, 23, 24]


def test_small_spaces_are_listed_and_large_ones_not() -> None:
    everything = UnitCube(SMALL).everything
    assert everything is not None
    assert len(everything) == SMALL.size
    assert UnitCube(SearchSpace({"n": Integer(1, 2000)})).everything is None
    assert UnitCube(CONTINUOUS).everything is None
    assert not UnitCube(CONTINUOUS).has_levels


def test_categories_are_coded_by_number() -> None:
    space = SearchSpace(
        {"a": Categorical(["x", "y", "z"]), "b": Categorical([False, True]), "c": Float(0, 1)}
    )
    cube = UnitCube(space)
    assert cube.n_categories.tolist() == [3, 2, 0]
    points = space.encode([{"a": "z", "b": True, "c": 0.25}, {"a": "x", "b": False, "c": 1.0}])
    np.testing.assert_allclose(cube.coded(points), [[2, 1, 0.25], [0, 0, 1.0]])
