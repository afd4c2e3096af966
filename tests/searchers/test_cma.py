"""CMA-ES as a searcher: it finds optima with one worker and with several, of numbers and of integers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from tunewright.asktell import AskTell
from tunewright.exceptions import SettingsError
from tunewright.metric import Metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.cma import CMAESSearcher, CMAESSettings
from tunewright.space import Categorical, Float, Integer, SearchSpace
from tunewright.testing.histories import run_trials
from tunewright.types import Config

LOSS = Metric("loss")
FLOATS = SearchSpace({f"x{i}": Float(-1.0, 1.0) for i in range(4)})
MIXED = SearchSpace({"x": Float(-1.0, 1.0), "n": Integer(0, 20), "c": Categorical(["a", "b", "d"])})


def tuned(
    space: SearchSpace,
    loss: Callable[[Config], float],
    n_trials: int,
    *,
    n_workers: int = 1,
    points: list[Config] | None = None,
    **settings: object,
) -> AskTell:
    searcher = CMAESSearcher(
        space,
        CMAESSettings(**settings),  # type: ignore[arg-type]
        metric=LOSS,
        seed=0,
        points_to_evaluate=points,
    )
    tuning = AskTell(FIFO(searcher), [LOSS])
    run_trials(tuning, loss, n_trials, n_workers=n_workers)
    return tuning


def bowl(config: Config) -> float:
    x = np.array(list(config.values()), dtype=np.float64)
    return float(((x - 0.3) ** 2) @ np.array([1.0, 4.0, 9.0, 16.0]))


def best(tuning: AskTell) -> float:
    found = tuning.best()
    assert found is not None
    return found.value


@pytest.mark.parametrize("n_workers", [1, 4, 20])
def test_an_optimum_is_found_with_any_number_of_workers(n_workers: int) -> None:
    assert best(tuned(FLOATS, bowl, 400, n_workers=n_workers)) < (1e-4 if n_workers < 8 else 1e-2)


@pytest.mark.parametrize("outside", ["reflect", "clip"])
def test_an_optimum_at_a_corner_is_found(outside: str) -> None:
    def slope(config: Config) -> float:
        return float(sum(1.0 - float(x) for x in config.values()))  # type: ignore[arg-type]

    assert best(tuned(FLOATS, slope, 400, outside=outside)) < 0.01


def test_in_many_dimensions_clipped_draws_find_an_optimum_inside_sooner() -> None:
    space = SearchSpace({f"x{i}": Float(-1.0, 1.0) for i in range(30)})

    def far(config: Config) -> float:
        return float(sum((float(x) + 0.3) ** 2 for x in config.values()))

    reflected, clipped = (best(tuned(space, far, 700, outside=outside)) for outside in ("reflect", "clip"))
    assert clipped < 0.5 * reflected


def test_integers_and_categories_are_found() -> None:
    def loss(config: Config) -> float:
        return (float(config["x"]) - 0.3) ** 2 + abs(int(config["n"]) - 17) / 20 + 0.5 * (config["c"] != "d")

    found = tuned(MIXED, loss, 300).best()
    assert found is not None
    assert (found.config["n"], found.config["c"]) == (17, "d")
    assert float(found.config["x"]) == pytest.approx(0.3, abs=0.01)


def test_a_region_that_fails_is_left() -> None:
    def loss(config: Config) -> float:
        return math.inf if float(config["x0"]) > 0.35 else bowl(config)

    tuning = tuned(FLOATS, loss, 150)
    late = [tuning.history.trial(number).config for number in range(50, 150)]
    assert sum(float(config["x0"]) > 0.35 for config in late) / len(late) < 0.35
    assert best(tuning) < 0.01


def test_the_search_starts_around_the_best_given_point() -> None:
    given: list[Config] = [{f"x{i}": v for i in range(4)} for v in (-0.9, 0.35, 0.9)]
    tuning = tuned(FLOATS, bowl, 12, points=given, sigma=0.01)
    for number in range(3, 12):
        values = [float(x) for x in tuning.history.trial(number).config.values()]
        assert max(abs(x - 0.35) for x in values) < 0.1


def test_it_restarts_with_twice_the_population() -> None:
    one = SearchSpace({"x": Float(0.0, 1.0)})

    def sizes(restart: str) -> set[int]:
        tuning = tuned(one, lambda config: (float(config["x"]) - 0.3) ** 2, 300, sigma=0.1, restart=restart)
        notes = [tuning.history.note(number).get("searcher") for number in range(tuning.history.n_trials)]
        return {len(note["told"]) for note in notes if isinstance(note, dict) and "told" in note}  # type: ignore[arg-type]

    assert sizes("none") == {4}
    assert sizes("ipop") >= {4, 8}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"population_size": 3}, "population_size"),
        ({"sigma": 0.0}, "sigma"),
        ({"restart": "bipop"}, "restart"),
        ({"outside": "drop"}, "outside"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        CMAESSettings(**settings)  # type: ignore[arg-type]
