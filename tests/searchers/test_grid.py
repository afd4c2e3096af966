from __future__ import annotations

from tunewright.searchers.model_free import GridSearcher
from tunewright.space import Categorical, Float, Integer, SearchSpace
from tunewright.state import State
from tunewright.testing.histories import begin_trial
from tunewright.types import Config

SPACE = SearchSpace({"x": Float(0.0, 1.0), "act": Categorical(["relu", "tanh"]), "epochs": 9})


def all_configs(searcher: GridSearcher, *, most: int = 1000) -> list[Config]:
    history = State()
    while history.n_trials < most and (suggestion := searcher.suggest(history)) is not None:
        begin_trial(history, suggestion.config)
    return [history.trial(i).config for i in range(history.n_trials)]


def rows(configs: list[Config]) -> list[tuple]:
    assert all(config["epochs"] == 9 for config in configs)
    return [(config["x"], config["act"]) for config in configs]


def test_the_last_hyperparameter_changes_fastest() -> None:
    searcher = GridSearcher(SPACE, seed=0, shuffle=False, points_to_evaluate=[], n_per_domain=3)
    expected = [(x, act) for x in (0.0, 0.5, 1.0) for act in ("relu", "tanh")]
    assert rows(all_configs(searcher)) == expected


def test_initial_points_are_not_repeated_in_the_grid() -> None:
    points = [{"x": 1.0}, {"x": 0.3}, {"x": 0.0, "act": "tanh"}]
    for shuffle in (False, True):
        searcher = GridSearcher(SPACE, seed=0, shuffle=shuffle, points_to_evaluate=points, n_per_domain=3)
        found = rows(all_configs(searcher))
        assert found[:3] == [(1.0, "relu"), (0.3, "relu"), (0.0, "tanh")]
        rest = [(0.0, "relu"), (0.5, "relu"), (0.5, "tanh"), (1.0, "tanh")]
        assert sorted(found[3:]) == rest
        assert shuffle or found[3:] == rest


def test_five_values_per_hyperparameter_are_the_default() -> None:
    assert len(all_configs(GridSearcher(SPACE, seed=0, points_to_evaluate=[]))) == 10


def test_the_order_of_a_shuffled_grid_is_the_seeds() -> None:
    orders = [rows(all_configs(GridSearcher(SPACE, seed=seed))) for seed in (0, 0, 1)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2])


def test_a_grid_may_be_larger_than_memory() -> None:
    space = SearchSpace({f"n{i}": Integer(1, 1000) for i in range(40)})
    for shuffle in (False, True):
        configs = all_configs(GridSearcher(space, seed=0, shuffle=shuffle), most=20)
        assert len({space.key(config) for config in configs}) == 20
