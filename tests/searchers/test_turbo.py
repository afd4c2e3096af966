"""TuRBO: regions grow, shrink and begin anew; it finds optima of many dimensions, with workers and with categories."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tunewright.asktell import AskTell
from tunewright.exceptions import SettingsError
from tunewright.metric import Metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import SearcherContext
from tunewright.searchers.turbo import TuRBOSettings, turbo_searcher
from tunewright.space import Categorical, Float, Integer, SearchSpace
from tunewright.testing.histories import run_trials
from tunewright.types import Config

LOSS = Metric("loss")
PLANE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
MANY = SearchSpace({f"x{i}": Float(0.0, 1.0) for i in range(8)})


def tuned(
    space: SearchSpace,
    loss: Callable[[Config], float],
    n_trials: int,
    *,
    n_workers: int = 1,
    points: list[Config] | None = None,
    **settings: Any,
) -> AskTell:
    context = SearcherContext(space=space, seed=0, points_to_evaluate=points)
    tuning = AskTell(FIFO(turbo_searcher(context, TuRBOSettings(**settings), metric=LOSS)), [LOSS])
    run_trials(tuning, loss, n_trials, n_workers=n_workers)
    return tuning


def notes(tuning: AskTell) -> list[dict[str, Any]]:
    found = [tuning.history.note(number).get("searcher", {}) for number in range(tuning.history.n_trials)]
    return [dict(note) for note in found if isinstance(note, dict)]


def numbers(config: Config) -> np.ndarray:
    return np.array(list(config.values()), dtype=np.float64)


def bowl(config: Config) -> float:
    return float(((numbers(config) - 0.3) ** 2).sum())


def configs(tuning: AskTell) -> np.ndarray:
    return np.array(
        [numbers(tuning.history.trial(number).config) for number in range(tuning.history.n_trials)]
    )


@pytest.mark.parametrize("n_workers", [1, 4])
def test_it_finds_an_optimum_in_many_dimensions(n_workers: int) -> None:
    tuning = tuned(MANY, bowl, 60, n_workers=n_workers, n_candidates=300)
    best = tuning.best()
    assert best is not None
    first = min(bowl(tuning.history.trial(number).config) for number in range(16))
    assert best.value < first / 8


def test_a_region_without_success_becomes_smaller_and_begins_anew() -> None:
    tuning = tuned(
        PLANE,
        lambda _: 1.0,
        40,
        n_initial=4,
        failure_tolerance=2,
        initial_length=0.1,
        shortest_length=0.03,
        points=[],
    )
    places = configs(tuning)
    # rounds of 4 spread trials, then 2 failures at each of the lengths 0.1 and 0.05
    begun = [0, 8, 16, 24, 32]
    for start in begun:
        design, local = places[start : start + 4], places[start + 4 : start + 8]
        assert sorted((4 * design[:, 0]).astype(int)) == [0, 1, 2, 3]  # a Latin hypercube
        distances = np.abs(local[:, np.newaxis] - design).max(axis=2).min(axis=1)
        assert distances.max() < 0.15


def test_successes_make_a_region_larger() -> None:
    seen: list[float] = []

    def ever_better(config: Config) -> float:
        seen.append(float(config["x"]))
        return 1.0 / len(seen)

    wide = configs(
        tuned(PLANE, ever_better, 60, n_initial=4, initial_length=0.02, longest_length=0.8, points=[])
    )
    steps = np.abs(np.diff(wide, axis=0)).max(axis=1)
    assert steps[5:8].max() < 0.08
    assert steps[-20:].max() > 0.2


def test_results_of_several_workers_are_judged_together() -> None:
    for n_workers, size in ((1, 1), (4, 4)):
        judged = [
            len(note["judged"])
            for note in notes(tuned(PLANE, bowl, 40, n_workers=n_workers))
            if "judged" in note
        ]
        assert judged
        assert set(judged[3:]) == {size}


def test_several_regions_are_compared_by_their_draws() -> None:
    def two_bowls(config: Config) -> float:
        x = numbers(config)
        return float(min(((x - 0.2) ** 2).sum() + 0.3, ((x - 0.8) ** 2).sum()))

    tuning = tuned(PLANE, two_bowls, 60, n_regions=3, n_initial=4)
    regions = [note.get("region", 0) for note in notes(tuning)]
    assert {regions.count(number) >= 4 for number in range(3)} == {True}
    best = tuning.best()
    assert best is not None
    assert best.value < 0.01


def test_categories_and_integers_are_found() -> None:
    space = SearchSpace(
        {
            "x": Float(0.0, 1.0),
            "n": Integer(0, 30),
            "few": Categorical(["a", "b", "c"]),
            "many": Categorical([f"v{i}" for i in range(8)]),
        }
    )

    def loss(config: Config) -> float:
        wrong = (config["few"] != "c") + (config["many"] != "v6")
        return (float(config["x"]) - 0.3) ** 2 + abs(int(config["n"]) - 22) / 30 + 0.3 * wrong

    best = tuned(space, loss, 70).best()
    assert best is not None
    assert (best.config["few"], best.config["many"]) == ("c", "v6")
    assert abs(int(best.config["n"]) - 22) <= 1


def test_crashed_trials_are_no_centre_and_their_region_is_left() -> None:
    def loss(config: Config) -> float:
        return math.inf if float(config["x0"]) > 0.5 else bowl(config)

    tuning = tuned(MANY, loss, 60, n_candidates=300)
    late = configs(tuning)[30:60, 0]
    assert (late > 0.5).mean() < 0.25


def test_models_of_many_results_learn_from_the_nearest() -> None:
    best = tuned(PLANE, bowl, 40, max_observations=8).best()
    assert best is not None
    assert best.value < 0.005


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_regions": 0}, "n_regions"),
        ({"n_initial": 1}, "n_initial"),
        ({"shortest_length": 1.0}, "shortest_length"),
        ({"failure_tolerance": 0}, "failure_tolerance"),
        ({"n_candidates": 1}, "n_candidates"),
        ({"max_observations": 1}, "max_observations"),
    ],
)
def test_settings_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        TuRBOSettings(**settings)
