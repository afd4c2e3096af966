"""Relations between hyperparameters: their text, draws, lists, points of the cube, data, and wrong ones."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.exceptions import SpaceError
from tunewright.space import Categorical, FiniteRange, Float, Integer, Ordinal, SearchSpace, space_from_toml
from tunewright.testing.spaces import RELATED, RELATED_LEVELS

ENTRIES = {
    "a": Integer(0, 9, default=1),
    "b": Integer(0, 9, default=2),
    "learning-rate": Float(0.0, 1.0, step=0.1, default=0.3),
    "opt.decay": Float(0.0, 1.0, step=0.1, default=0.1),
    "lambda": FiniteRange(1, 4, 4, integer=True),
    "kind": Categorical(["x", "y y"]),
    "is_big": Categorical([False, True]),
    "heads": Ordinal([1, 2, 3]),
    "k": 4,
}


def holds(text: str, **values: Any) -> bool:
    """Whether a relation holds for values beside the defaults, in a space whose draws and defaults keep it or not."""
    space = SearchSpace(ENTRIES, ["(a == 1 and b == 2) or " + text if values else text])
    config = {**SearchSpace(ENTRIES).default_config(), **values}
    point = space.encode([config])
    allows = space.allows(config)
    assert space.allowed(point).tolist() == [space.allows(space.decode(point)[0])] == [allows]
    assert space.contains(config) == allows
    return allows


@pytest.mark.parametrize(
    ("text", "kept", "broken"),
    [
        ("a <= b", {"a": 3, "b": 3}, {"a": 4, "b": 3}),
        ("a<b", {"a": 2, "b": 3}, {"a": 3, "b": 3}),
        ("a + 2 * b >= 8", {"a": 2, "b": 3}, {"a": 1, "b": 3}),
        ("(a + 2) * b > 8", {"a": 1, "b": 3}, {"a": 0, "b": 4}),
        ("a - b - 1 == 0", {"a": 5, "b": 4}, {"a": 4, "b": 4}),
        ("-a + -(-b) != 0", {"a": 3, "b": 4}, {"a": 4, "b": 4}),
        ("a / b / 2 <= 1", {"a": 8, "b": 4}, {"a": 9, "b": 4}),
        ("a / b <= 1", {"a": 0, "b": 4}, {"a": 3, "b": 0}),
        ("0 < a <= b", {"a": 1, "b": 1}, {"a": 0, "b": 1}),
        ("b % heads == 0", {"b": 9, "heads": 3}, {"b": 8, "heads": 3}),
        ("a <= k", {"a": 4}, {"a": 5}),
        ("learning-rate + 0.2 <= 0.3", {"learning-rate": 0.1}, {"learning-rate": 0.2, "a": 0}),
        ("learning-rate - opt.decay > 2.5e-1", {"learning-rate": 0.4}, {"learning-rate": 0.3, "a": 0}),
        ("lambda * a <= 6.", {"lambda": 2, "a": 3}, {"lambda": 3, "a": 3}),
        ("kind == 'x' or a == 0", {"kind": "y y", "a": 0}, {"kind": "y y", "a": 3}),
        ('kind != "y y" and not a > 4', {"a": 4}, {"a": 5}),
        ("is_big == true or a <= 2", {"is_big": True, "a": 9}, {"is_big": False, "a": 9}),
        ("not (a > 2 and b > 2)", {"a": 3, "b": 2}, {"a": 3, "b": 3}),
        ("a > 5 or b > 5 and heads == 1", {"a": 6, "b": 0}, {"a": 3, "b": 6, "heads": 2}),
    ],
)
def test_what_a_text_means(text: str, kept: dict[str, Any], broken: dict[str, Any]) -> None:
    assert holds(text, **kept)
    assert not holds(text, **broken)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("widht <= a", "'widht <= a': the search space has no 'widht'"),
        ("learning-rat < 1", "no 'learning'. Did you mean 'learning-rate'"),
        ("a <=", "expected a name, a number or \\(, found the end"),
        ("a <= b b", "expected an operator, or the end, found b"),
        ("(a <= b", "expected \\), found the end"),
        ("* a <= b", "found \\*"),
        ("a = b", "write == for equal"),
        ("a $ b", "'\\$' has no meaning"),
        ("a + b", "compares nothing"),
        ("", "found the end"),
        ("kind < 3", "'<' needs a number on each side"),
        ("kind == 'yy'", "kind is never 'yy'. Did you mean 'y y'"),
        ("a == 'x'", "a is a number, so it is never 'x'"),
        ("a and b", "'and' needs a comparison on each side, not a number"),
        ("(a < b) + 1 > 0", "'\\+' needs a number"),
        ("__import__('os') == 1", "no '__import__'"),
        ("a.real <= b", "no 'a.real'"),
        ("(" * 60 + "a <= b" + ")" * 60, "at most 100 each"),
        ("a > 20", "none of 10,000 draws keeps the constraints 'a > 20'"),
        ("a == b", "the defaults a=1, b=2 break 'a == b': give defaults that keep it, such as a = "),
    ],
)
def test_wrong_relations_are_named(text: str, message: str) -> None:
    with pytest.raises(SpaceError, match=message):
        SearchSpace(ENTRIES, [text])


def test_the_deepest_relation_is_read_and_evaluated() -> None:
    deep = "(" * 47 + "a <= b" + ")" * 47
    long = "+".join(["a"] * 49) + " <= 100"
    assert SearchSpace(ENTRIES, [deep, long]).constraints == (deep, long)


def test_a_configuration_that_breaks_one_is_refused_with_the_reason() -> None:
    space = SearchSpace(ENTRIES, ["a <= b"])
    with pytest.raises(SpaceError, match="a=5, b=2 \\(b: the default\\) breaks 'a <= b': give values"):
        space.complete({"a": 5})
    assert space.complete({"a": 5, "b": "6"})["b"] == 6
    assert not space.contains({**space.default_config(), "a": 3})


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_draws_keep_relations_and_points_are_judged_as_their_configurations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    RELATED.validate(RELATED.sample(rng))
    points = rng.random((30, RELATED.n_columns))
    allowed = RELATED.allowed(points).tolist()
    assert allowed == [RELATED.allows(config) for config in RELATED.decode(points)]
    configs: Any = RELATED.decode(points)
    by_hand = [
        config["width_2"] <= config["width_1"]
        and config["dropout"] + config.get("momentum", -1.0) <= 0.9
        and (config["optimizer"] != "adam" or config["lr"] <= 0.05)
        for config in configs
    ]
    assert allowed == by_hand


def test_a_relation_of_an_inactive_hyperparameter_holds() -> None:
    space = SearchSpace(RELATED, constraints=["momentum >= 0.2"])
    assert space.allows(space.complete({"optimizer": "adam"}))
    with pytest.raises(SpaceError, match="momentum=0\\.1 breaks"):
        space.complete({"momentum": 0.1})
    assert {"sgd", "adam"} == {space.sample(np.random.default_rng(i))["optimizer"] for i in range(20)}


def test_rare_draws_fall_back_to_the_default_and_stay_legal() -> None:
    rare = "x0 + x1 + x2 <= 0.08"  # one of 12,000 draws
    space = SearchSpace({f"x{i}": Float(0.0, 1.0, default=0.001) for i in range(3)}, [rare])
    configs = [space.sample(np.random.default_rng(seed)) for seed in range(4)]
    for config in configs:
        space.validate(config)
    assert [0.001 in config.values() for config in configs] == [False, True, False, True]


def test_lists_hold_exactly_what_keeps_the_relations() -> None:
    every = list(SearchSpace(RELATED_LEVELS).enumerate())
    kept = [config for config in every if RELATED_LEVELS.allows(config)]
    grid = RELATED_LEVELS.enumerate()
    assert list(grid) == kept
    assert RELATED_LEVELS.size == len(kept) == 6
    assert [grid.number(config) for config in kept] == list(range(6))
    assert [grid.number(config) for config in every if config not in kept] == [None] * 3
    conditional = RELATED.grid(3)
    assert list(conditional) == [c for c in SearchSpace(RELATED).grid(3) if RELATED.allows(c)]
    assert SearchSpace(ENTRIES, ["kind == 'x' or a < b"]).grid(1).size == 4


def test_too_many_combinations_are_not_listed() -> None:
    space = SearchSpace({f"x{i}": Integer(1, 300) for i in range(3)}, ["x0 <= x1"])
    assert space.size is None
    with pytest.raises(SpaceError, match="27,000,000 combinations are too many"):
        space.enumerate()
    assert space.grid(3).size == 18


def test_they_are_data_and_survive_changes() -> None:
    for space in (RELATED, RELATED_LEVELS):
        again = SearchSpace.from_json(json.loads(json.dumps(space.to_json())))
        assert again == space
        assert again.constraints == space.constraints
        assert again != SearchSpace(dict(space))
    assert "constraints" not in SearchSpace(RELATED).to_json()
    assert "constraints=['depth * width <= 32']" in repr(RELATED_LEVELS)
    fixed = RELATED_LEVELS.with_values({"width": 16})
    assert [config["depth"] for config in fixed.enumerate()] == [1, 2]
    with pytest.raises(SpaceError, match="the defaults depth=2, width=32 break"):
        RELATED_LEVELS.with_values({"width": 32})
    with pytest.raises(SpaceError, match="no 'width'"):
        RELATED_LEVELS.without("width")


def test_a_space_file_has_them_at_its_top() -> None:
    tables = '[a]\ntype = "integer"\nlow = 1\nhigh = 3\n[b]\ntype = "integer"\nlow = 1\nhigh = 3\n'
    space = space_from_toml('constraints = ["a <= b", "a * b <= k"]\nk = 6\n' + tables)
    assert space.constraints == ("a <= b", "a * b <= k")
    assert space.size == 5
    assert space_from_toml('constraints = "none"\n' + tables).constants == {"constraints": "none"}
    with pytest.raises(SpaceError, match="constraints must be a list: write \\['a <= b'\\]"):
        space_from_toml('constraints = "a <= b"\n' + tables)
    with pytest.raises(SpaceError, match="must be a list of texts"):
        space_from_toml("constraints = [3]\n" + tables)
    with pytest.raises(SpaceError, match="cannot have an entry named 'constraints'"):
        SearchSpace({"constraints": Integer(1, 3)}, ["constraints <= 2"])
