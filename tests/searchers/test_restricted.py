from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tunewright.exceptions import SpaceError
from tunewright.searchers.model_free import RestrictedSearcher
from tunewright.space import Float, Integer, SearchSpace
from tunewright.state import State
from tunewright.testing.histories import begin_trial
from tunewright.types import Config

SPACE = SearchSpace({"x": Float(0.0, 1.0), "n": Integer(1, 9), "epochs": 27})
CANDIDATES = [{"x": i / 10, "n": 1 + i % 3, "epochs": 27} for i in range(10)]


def play(searcher: RestrictedSearcher, *earlier: Config) -> list[Config]:
    history = State()
    for config in earlier:
        begin_trial(history, config)
    while (suggestion := searcher.suggest(history)) is not None:
        assert searcher.suggest(history) == suggestion
        begin_trial(history, suggestion.config)
    return [history.trial(i).config for i in range(len(earlier), history.n_trials)]


def test_every_candidate_comes_once_in_an_order_of_the_seed() -> None:
    orders = [play(RestrictedSearcher(CANDIDATES, space=SPACE, seed=seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[2], key=lambda c: c["x"]) == CANDIDATES


def test_what_was_tried_does_not_come_again() -> None:
    searcher = RestrictedSearcher(CANDIDATES, space=SPACE, seed=0)
    found = play(searcher, *CANDIDATES[:7], {"x": 0.05, "n": 1, "epochs": 27})
    assert sorted(config["x"] for config in found) == [0.7, 0.8, 0.9]


def test_an_exhausted_list_is_not_gone_through_at_each_event() -> None:
    candidates = Counted(10)
    searcher = RestrictedSearcher(candidates, space=SPACE, seed=0)
    found = play(searcher)
    history = State()
    for config in found:
        begin_trial(history, config)
    looks = candidates.n_looks
    for _ in range(100):
        assert searcher.suggest(history) is None
    assert candidates.n_looks == looks


def test_initial_points_come_first_and_once() -> None:
    points = [{"x": 0.5, "n": 3}, {"x": 0.1, "n": 2}]
    found = play(RestrictedSearcher(CANDIDATES, space=SPACE, seed=0, points_to_evaluate=points))
    assert found[:2] == [CANDIDATES[5], CANDIDATES[1]]
    assert len(found) == 10


def test_points_must_be_candidates() -> None:
    with pytest.raises(SpaceError, match=r"'x': 0\.55.* is not among the configurations"):
        RestrictedSearcher(CANDIDATES, space=SPACE, seed=0, points_to_evaluate=[{"x": 0.55, "n": 1}])
    with pytest.raises(SpaceError, match="no configuration to choose from"):
        RestrictedSearcher([], space=SPACE, seed=0)


class Counted(Sequence[Config]):
    """Configurations, and how many were looked at."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.n_looks = 0

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, index: int) -> Config:  # type: ignore[override]
        self.n_looks += 1
        return {"x": index / self._size, "n": 1, "epochs": 27}

    def __iter__(self) -> Iterator[Config]:
        raise AssertionError("the whole list was gone through")


def test_a_suggestion_looks_at_few_candidates() -> None:
    candidates = Counted(62_208)
    searcher = RestrictedSearcher(candidates, space=SPACE, seed=0)
    history = State()
    for _ in range(1000):
        suggestion = searcher.suggest(history)
        assert suggestion is not None
        begin_trial(history, suggestion.config)
    assert candidates.n_looks < 1100
