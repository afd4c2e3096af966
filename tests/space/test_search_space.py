from __future__ import annotations

import json

import numpy as np
import pytest

from tunewright.exceptions import SpaceError
from tunewright.space import Categorical, Float, Integer, SearchSpace
from tunewright.testing.spaces import ALL_TYPES, SMALL, SPACES

SPACE = SearchSpace(
    {
        "lr": Float(1e-4, 1e-2, log=True),
        "epochs": 27,
        "width": Integer(2, 8),
        "act": Categorical(["relu", "tanh"]),
    }
)
DEFAULT = {"lr": 0.001, "epochs": 27, "width": 5, "act": "relu"}


def test_it_is_a_mapping_of_domains_and_constants_in_the_given_order():
    assert list(SPACE) == ["lr", "epochs", "width", "act"]
    assert len(SPACE) == 4
    assert SPACE["epochs"] == 27
    assert SPACE.names == ("lr", "width", "act")
    assert dict(SPACE.constants) == {"epochs": 27}
    assert SPACE.domains["width"] == Integer(2, 8)
    assert SPACE.n_columns == 3
    assert SearchSpace(SPACE) == SPACE
    assert "'epochs': 27" in repr(SPACE)


def test_the_default_configuration_has_every_entry_in_order():
    assert SPACE.default_config() == DEFAULT
    assert list(SPACE.default_config()) == list(SPACE)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({}, "nothing to tune"),
        ({"epochs": 3}, "nothing to tune"),
        ({"": Float(0, 1)}, "cannot name a hyperparameter"),
        ({"--lr": Float(0, 1)}, "cannot name a hyperparameter"),
        ({"a=b": Float(0, 1)}, "cannot name a hyperparameter"),
        ({3: Float(0, 1)}, "cannot name a hyperparameter"),
        ({"lr": Float(0, 1), "layers": [[1], [2]]}, "layers: .* is a list"),
        ({"lr": Float(0, 1), "limit": float("nan")}, "limit: nan is not finite"),
    ],
)
def test_wrong_entries_are_refused(entries, message):
    with pytest.raises(SpaceError, match=message):
        SearchSpace(entries)


def test_samples_differ_are_legal_and_depend_on_the_generator_only():
    first = [SPACE.sample(np.random.default_rng(5)) for _ in range(2)]
    assert first[0] == first[1]
    rng = np.random.default_rng(5)
    configs = [SPACE.sample(rng) for _ in range(50)]
    assert configs[0] == first[0]
    assert len({SPACE.key(config) for config in configs}) == 50
    assert all(SPACE.contains(config) and list(config) == list(SPACE) for config in configs)


def test_complete_casts_and_fills_in():
    assert SPACE.complete({}) == DEFAULT
    assert SPACE.complete({"width": "3", "epochs": "27"}) == DEFAULT | {"width": 3}
    assert SPACE.complete({"epochs": 27.0})["epochs"] == 27


@pytest.mark.parametrize(
    ("partial", "message"),
    [
        ({"widht": 3}, "the search space has no 'widht'. Did you mean 'width'?"),
        ({"width": 9}, "width: 9 is outside of the range from 2 to 8"),
        ({"act": "relux"}, "act: 'relux' is not among the values. Did you mean 'relu'?"),
        ({"epochs": 9}, "'epochs' is the constant 27, got 9: remove it"),
    ],
)
def test_complete_names_what_is_wrong(partial, message):
    with pytest.raises(SpaceError) as caught:
        SPACE.complete(partial)
    assert str(caught.value) == message


def test_cast_needs_every_entry():
    assert SPACE.cast({name: str(value) for name, value in DEFAULT.items()}) == DEFAULT
    with pytest.raises(SpaceError, match=r"lacks epochs, act: SearchSpace.complete"):
        SPACE.cast({"lr": 0.001, "width": 3})


def test_validate_accepts_only_values_as_they_stand():
    SPACE.validate(DEFAULT)
    assert SPACE.contains(DEFAULT)
    with pytest.raises(SpaceError, match=r"width: '3' is not the int 3: use SearchSpace.cast"):
        SPACE.validate(DEFAULT | {"width": "3"})
    assert not SPACE.contains(DEFAULT | {"width": "3"})
    assert not SPACE.contains(DEFAULT | {"more": 1})


def test_the_key_is_that_of_the_tuned_entries():
    assert SPACE.key(DEFAULT) == (0.001, 5, "relu")
    with pytest.raises(SpaceError, match="lacks 'width'"):
        SPACE.key({"lr": 0.001})


def test_encode_and_decode_handle_many_and_none():
    points = SPACE.encode([DEFAULT, DEFAULT | {"act": "tanh"}])
    assert points.shape == (2, 3)
    assert points.dtype == np.float64
    assert points.tolist() == [pytest.approx([0.5, 0.5, 0.0]), pytest.approx([0.5, 0.5, 1.0])]
    assert SPACE.encode([]).shape == (0, 3)
    assert SPACE.decode(np.empty((0, 3))) == []


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (np.zeros(3), r"must have the shape \(n, 3\), got \(3,\)"),
        (np.zeros((1, 2)), r"got \(1, 2\)"),
        (np.full((1, 3), np.nan), "must not hold NaN"),
    ],
)
def test_decode_refuses_what_is_no_list_of_points(points, message):
    with pytest.raises(SpaceError, match=message):
        SPACE.decode(points)


def test_enumerate_lists_a_finite_space_once():
    assert SMALL.size == 6
    configs = SMALL.enumerate()
    assert len(configs) == configs.size == 6
    assert configs.at(0) == {"depth": 1, "norm": "batch", "epochs": 9}
    assert configs[1] == {"depth": 1, "norm": "none", "epochs": 9}
    assert len({SMALL.key(config) for config in configs}) == 6
    assert all(SMALL.contains(config) for config in configs)
    with pytest.raises(SpaceError, match="no configuration number 6: the grid has 6"):
        configs.at(6)
    with pytest.raises(IndexError):
        configs[-1]


def test_a_continuous_space_cannot_be_enumerated():
    assert SPACE.size is None
    with pytest.raises(SpaceError, match="lr is continuous"):
        SPACE.enumerate()


def test_a_huge_finite_space_is_addressable():
    space = SearchSpace({f"x{i}": Integer(1, 10**9) for i in range(5)})
    assert space.size == 10**45
    assert space.enumerate().at(10**45 - 1) == {f"x{i}": 10**9 for i in range(5)}


def test_grid_takes_one_number_or_one_per_name():
    assert SPACE.grid(3).size == 3 * 3 * 2
    configs = list(SPACE.grid({"lr": 2}))
    assert len(configs) == 2 * 7 * 2
    assert {config["lr"] for config in configs} == {1e-4, 1e-2}
    assert all(SPACE.contains(config) for config in configs)
    with pytest.raises(SpaceError, match=r"'widht' is not tuned. Did you mean 'width'"):
        SPACE.grid({"widht": 2})
    with pytest.raises(SpaceError, match="lr is continuous"):
        SPACE.grid({"width": 2})


def test_a_list_is_a_choice():
    space = SearchSpace({"lr": Float(0, 1), "layers": [1, 2], "act": ("relu", "tanh")})
    assert space["layers"] == Categorical([1, 2])
    assert space["act"] == Categorical(["relu", "tanh"])


def test_with_values_fixes_domains_and_sets_constants():
    space = SPACE.with_values({"width": "3", "epochs": 9, "seed": 0})
    assert space.names == ("lr", "act")
    assert dict(space.constants) == {"epochs": 9, "width": 3, "seed": 0}
    assert list(space) == ["lr", "epochs", "width", "act", "seed"]
    with pytest.raises(SpaceError, match="width: 9 is outside"):
        SPACE.with_values({"width": 9})


def test_without_drops_entries():
    assert list(SPACE.without("epochs", "act")) == ["lr", "width"]
    with pytest.raises(SpaceError, match=r"no 'atc'. Did you mean 'act'"):
        SPACE.without("atc")


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_json_round_trip_of_the_canonical_spaces(space):
    again = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
    assert list(again) == list(space)
    assert again.default_config() == space.default_config()


def test_all_types_is_about_all_types():
    kinds = {spec["type"] for spec in ALL_TYPES.to_json().values() if isinstance(spec, dict)}
    assert kinds == {"float", "integer", "categorical", "ordinal", "finite_range"}
