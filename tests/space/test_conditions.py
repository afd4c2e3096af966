"""Conditional hyperparameters: what is active, duplicates, lists, data, and wrong conditions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.exceptions import SpaceError
from tunewright.space import Categorical, Float, Integer, SearchSpace, space_from_toml
from tunewright.testing.spaces import BRANCHES, CONDITIONAL

TOML = """
depth = 3

[optimizer]
type = "categorical"
values = ["sgd", "adam"]

[momentum]
type = "float"
low = 0.0
high = 0.99
active_if = { optimizer = "sgd" }
"""


def is_right(space: SearchSpace, config: dict[str, Any]) -> bool:
    """By its definition: a name is there if and only if all that it depends on are there with one of the values."""

    def active(name: str) -> bool:
        condition = space.domains[name].active_if if name in space.domains else None
        return all(
            active(parent) and config.get(parent) in (values if isinstance(values, list) else [values])
            for parent, values in (condition or {}).items()
        )

    return all((name in config) == active(name) for name in space)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1))
def test_draws_and_decoded_points_hold_what_is_active(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((5, CONDITIONAL.n_columns))
    for config in (CONDITIONAL.sample(rng), *CONDITIONAL.decode(points)):
        assert is_right(CONDITIONAL, config)
        CONDITIONAL.validate(config)
        assert CONDITIONAL.complete(config) == config
        assert CONDITIONAL.cast({name: str(value) for name, value in config.items()}).keys() == config.keys()
        assert CONDITIONAL.active(CONDITIONAL.filled(config)) == config
        again = CONDITIONAL.decode(CONDITIONAL.encode([config]))[0]
        assert again.keys() == config.keys()
        assert again["optimizer"] == config["optimizer"]


def test_what_is_not_active_lies_at_its_default() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((200, CONDITIONAL.n_columns))
    settled = CONDITIONAL.settled(points)
    configs = CONDITIONAL.decode(points)
    assert np.allclose(CONDITIONAL.settled(settled), settled)
    column = 4  # momentum, after three columns of the optimizer and one of lr
    neutral = CONDITIONAL.domains["momentum"].encode(CONDITIONAL.domains["momentum"].default)[0]
    without = ["momentum" not in config for config in configs]
    assert any(without)
    assert (settled[without, column] == neutral).all()
    assert not (points[without, column] == neutral).any()
    assert [config.keys() for config in CONDITIONAL.decode(settled)] == [config.keys() for config in configs]


def test_duplicates_compare_active_parts() -> None:
    a = BRANCHES.decode(np.array([[1.0, 1.0, 0.0, 0.0, 0.2]]))[0]
    b = BRANCHES.decode(np.array([[1.0, 0.0, 0.0, 1.0, 0.2]]))[0]
    assert a == b == {"norm": "none", "depth": 1, "epochs": 9}
    assert BRANCHES.key(a) == ("none", None, 1)
    with pytest.raises(SpaceError, match="lacks 'momentum'"):
        BRANCHES.key({"norm": "batch", "depth": 1, "epochs": 9})


def test_lists_hold_each_configuration_once() -> None:
    listed = list(BRANCHES.enumerate())
    assert len(listed) == BRANCHES.size == 8
    assert len({BRANCHES.key(config) for config in listed}) == 8
    assert all(is_right(BRANCHES, config) for config in listed)
    grid = BRANCHES.grid({"momentum": 2, "depth": 1})
    assert [grid.number(config) for config in grid] == list(range(grid.size))
    assert grid.number({"norm": "none", "depth": 2, "epochs": 9}) is None
    some = CONDITIONAL.grid(2)
    assert some.size == len({CONDITIONAL.key(config) for config in some})
    assert all(is_right(CONDITIONAL, config) for config in some)
    assert CONDITIONAL.size is None


def test_inactive_values_are_refused_by_name() -> None:
    with pytest.raises(SpaceError, match="'momentum' is not active, as it needs norm is 'batch': remove it"):
        BRANCHES.complete({"norm": "none", "momentum": 0.9})
    with pytest.raises(SpaceError, match="lacks momentum"):
        BRANCHES.cast({"norm": "batch", "depth": 1, "epochs": 9})
    assert BRANCHES.complete({"norm": "none"}) == {"norm": "none", "depth": 1, "epochs": 9}
    assert not BRANCHES.contains({"norm": "none", "momentum": 0.9, "depth": 1, "epochs": 9})


def test_they_are_data() -> None:
    for space in (CONDITIONAL, BRANCHES):
        again = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
        assert again.to_json() == space.to_json()
        assert again.has_conditions
    read = space_from_toml(TOML)
    assert read.complete({"optimizer": "adam"}) == {"depth": 3, "optimizer": "adam"}
    assert "active_if={'optimizer': 'sgd'}" in repr(read)


def test_constants_decide_as_well() -> None:
    space = BRANCHES.with_values({"norm": "none"})
    assert space.size == 2
    assert "momentum" not in space.default_config()
    assert BRANCHES.with_values({"norm": "batch"}).size == 6
    assert "momentum" in BRANCHES.with_values({"momentum": 0.9}).complete({"norm": "none"})
    with pytest.raises(SpaceError, match="active_if names 'norm', which is no other entry"):
        BRANCHES.without("norm")


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ({"optimzer": "sgd"}, "Did you mean 'optimizer'"),
        ({"x": 0.5}, "x: active_if names 'x', which is no other entry"),
        (
            {"optimizer": "sdg"},
            "a value that it cannot have: 'sdg' is not among the values. Did you mean 'sgd'",
        ),
        ({"optimizer": []}, "it would never be active"),
        ("sgd", "must be like"),
        ({}, "must be like"),
        ({"y": 1}, "go in a circle"),
    ],
)
def test_wrong_conditions_are_named(condition: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SearchSpace(
            {
                "optimizer": Categorical(["sgd", "adam"]),
                "x": Float(0.0, 1.0, active_if=condition),
                "y": Integer(1, 3, active_if={"x": 0.5}),
            }
        )
