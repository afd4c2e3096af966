from __future__ import annotations

import json
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.history import History
from tunewright.searchers.model_free import RandomSearcher, initial_configs
from tunewright.space import Categorical, Integer, SearchSpace
from tunewright.state import State
from tunewright.testing.histories import begin_trial
from tunewright.testing.spaces import CONTINUOUS, SMALL


def history_of(*configs: dict) -> History:
    history = State()
    for config in configs:
        begin_trial(history, config)
    return history


def configs_until_none(searcher: RandomSearcher) -> list[dict]:
    history = State()
    while (suggestion := searcher.suggest(history)) is not None:
        begin_trial(history, suggestion.config)
    return [dict(history.trial(i).config) for i in range(history.n_trials)]


def test_configurations_depend_on_the_number_of_trials_only() -> None:
    searcher = RandomSearcher(CONTINUOUS, seed=3, points_to_evaluate=[])
    here = searcher.suggest(history_of({"x": 0.0, "y": 0.0}, {"x": 1.0, "y": 1.0}))
    there = searcher.suggest(history_of({"x": 2.0, "y": 2.0}, {"x": 3.0, "y": 3.0}))
    assert here == there


def test_a_collision_in_an_infinite_space_is_drawn_anew() -> None:
    searcher = RandomSearcher(CONTINUOUS, seed=3, points_to_evaluate=[])
    other = {"x": 0.0, "y": 0.0}
    would_be = searcher.suggest(history_of(other))
    assert would_be is not None
    again = RandomSearcher(CONTINUOUS, seed=3, points_to_evaluate=[]).suggest(
        history_of(dict(would_be.config))
    )
    assert again is not None
    assert again != would_be


def test_the_rest_of_a_nearly_exhausted_space_is_found() -> None:
    space = SearchSpace({"n": Integer(1, 3000), "c": 1})
    tried = ({"n": n, "c": 1} for n in range(1, 3000))
    suggestion = RandomSearcher(space, seed=0, points_to_evaluate=[]).suggest(history_of(*tried))
    assert suggestion is not None
    assert suggestion.config == {"n": 3000, "c": 1}


@given(st.integers(0, 2**40), st.integers(2, 6), st.integers(2, 4))
def test_a_finite_space_is_exhausted_exactly(seed: int, n_numbers: int, n_names: int) -> None:
    names = list(islice("abcd", n_names))
    space = SearchSpace({"n": Integer(1, n_numbers), "name": Categorical(names)})
    found = configs_until_none(RandomSearcher(space, seed=seed, points_to_evaluate=[]))
    every = list(space.enumerate())
    assert sorted(map(json.dumps, found)) == sorted(map(json.dumps, every))


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        (None, [(2, "batch")]),
        ([], []),
        ([{}], [(2, "batch")]),
        ([{"norm": "none"}, {"depth": 2, "norm": "none"}], [(2, "none")]),
        ([{"depth": 3}, {"depth": 1}, {"depth": "3"}, {}], [(3, "batch"), (1, "batch"), (2, "batch")]),
        ([{"epochs": 9}], [(2, "batch")]),
    ],
)
def test_initial_configurations(points: list[dict] | None, expected: list[tuple]) -> None:
    configs = initial_configs(SMALL, points)
    assert [(config["depth"], config["norm"]) for config in configs] == expected
    assert all(config["epochs"] == 9 for config in configs)
