"""One unit for all, the full length for the best."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from tunewright.backends.simulated import SimulatedBackend
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.journal import MemoryJournal
from tunewright.metric import Metric
from tunewright.schedulers.top_k import TopK, TopKSettings
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Float, Integer, SearchSpace
from tunewright.stopping import MaxTrialsStarted, Never
from tunewright.tuner import Tuner
from tunewright.types import Config

METRIC = Metric("loss")


def run(settings: TopKSettings, space: SearchSpace, n_trials: int | None = None) -> History:
    def train(config: Config, resource: int) -> tuple[dict[str, float], float]:
        value = float(config["x"])
        return {"loss": float("nan") if value > 6 else value + 1 / resource}, 1.0 + value

    scheduler = TopK(RandomSearcher(space, seed=0), settings, metric=METRIC)
    backend = SimulatedBackend(train, n_workers=3, max_resource=settings.max_resource)
    stop = Never() if n_trials is None else MaxTrialsStarted(n_trials)
    return Tuner(scheduler, backend, metrics=[METRIC], stop_when=stop, journal=MemoryJournal()).run()


def lengths(history: History) -> list[int]:
    return [last.resource for i in range(history.n_trials) if (last := history.last(i)) is not None]


def test_the_best_of_each_round_go_on_and_no_others() -> None:
    settings = TopKSettings(max_resource=9, n_configs=10, k=2, resource=3)
    history = run(settings, SearchSpace({"x": Float(0.0, 5.0)}), n_trials=30)
    assert Counter(lengths(history)) == {3: 24, 9: 6}
    for begin in (0, 10, 20):
        group = range(begin, begin + 10)
        best = sorted(group, key=lambda i: float(history.trial(i).config["x"]))[:2]
        assert [i for i in group if lengths(history)[i] == 9] == sorted(best)


def test_one_round_ends_by_itself() -> None:
    settings = TopKSettings(max_resource=4, n_configs=5, k=1, n_rounds=1)
    history = run(settings, SearchSpace({"x": Float(0.0, 5.0)}))
    assert sorted(lengths(history)) == [1, 1, 1, 1, 4]


def test_an_exhausted_space_closes_the_last_round_and_values_that_are_no_numbers_stay_behind() -> None:
    settings = TopKSettings(max_resource=4, n_configs=5, k=3)
    history = run(settings, SearchSpace({"x": Integer(0, 7)}))
    assert history.n_trials == 8
    assert all(float(history.trial(i).config["x"]) <= 6 for i, n in enumerate(lengths(history)) if n == 4)
    assert Counter(lengths(history))[4] >= 5


def test_who_comes_to_the_end_at_once_takes_a_place_among_the_best(hand: Callable[..., Any]) -> None:
    settings = TopKSettings(max_resource=5, n_configs=3, k=1, n_rounds=1)
    for order in ((0, 1, 2), (2, 1, 0)):
        scheduler = TopK(RandomSearcher(SearchSpace({"x": Float(0.0, 1.0)}), seed=0), settings, metric=METRIC)
        driver = hand(scheduler)
        for _ in range(3):
            driver.begin()
        for trial_id in order:
            resource, loss = ((1, 1.0), (1, 2.0), (5, 0.5))[trial_id]
            driver.report(trial_id, resource, loss)
            driver.end(trial_id)
        assert list(scheduler.resumable(driver.history)) == []
        assert driver.suggest() is None


@pytest.mark.parametrize(
    "wrong",
    [{"resource": 4}, {"resource": 0}, {"k": 0}, {"k": 100}, {"n_rounds": 0}],
)
def test_settings_that_cannot_work(wrong: dict[str, int]) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        TopKSettings(**{"max_resource": 4, **wrong})
