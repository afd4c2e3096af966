"""ConstrainedBO, CostAwareBO, PiBO, PriorBand: what they find, and what they refuse."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tunewright.backends.simulated import SimulatedBackend
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.journal import MemoryJournal
from tunewright.methods import also_read, build_scheduler, constraints_of, method
from tunewright.metric import Constraint, Metric
from tunewright.searchers.cost_aware import CostAwareLearner
from tunewright.searchers.encoding import Rows, Snapshot
from tunewright.searchers.gp import GPSettings
from tunewright.space import Categorical, Float, Prior, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.tuner import Tuner
from tunewright.types import Config

LOSS = Metric("loss")
SQUARE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
Function = Callable[[Config, int], tuple[dict[str, float], float]]


def benchmark(space: SearchSpace = SQUARE, **changes: Any) -> RealBenchmarkDefinition:
    fields: dict[str, Any] = {"metrics": (LOSS,), "max_resource": 1, **changes}
    return RealBenchmarkDefinition(name="toy", script="none", space=space, **fields)


def play(
    name: str,
    function: Function,
    *,
    space: SearchSpace = SQUARE,
    seed: int = 0,
    stop: Any = None,
    max_resource: int = 1,
    **settings: Any,
) -> History:
    choice = method(name, **settings)
    toy = benchmark(space, max_resource=max_resource)
    return Tuner(
        build_scheduler(choice, toy, seed, {}),
        SimulatedBackend(function, n_workers=2, max_resource=max_resource),
        metrics=[LOSS, *also_read(choice, toy, {})],
        stop_when=stop or MaxTrialsStarted(24),
        journal=MemoryJournal(),
        max_failures=100,
    ).run()


def values(history: History, name: str) -> np.ndarray:
    last = [history.last(trial_id) for trial_id in range(history.n_trials)]
    return np.array([np.nan if result is None else result.metrics[name] for result in last])


def bounded(config: Config, epoch: int) -> tuple[dict[str, float], float]:
    """The best of all is at (0.9, 0.9); of those that need little, on a line at distance 0.45 from there."""
    del epoch
    x, y = float(config["x"]), float(config["y"])
    return {"loss": (x - 0.9) ** 2 + (y - 0.9) ** 2, "memory": 8 * (x + y)}, 1.0


def feasible_best(history: History, constraint: Constraint) -> float:
    values = [
        result.metrics["loss"] for _, result in history.results_since(0) if constraint.is_met(result.metrics)
    ]
    return min(values, default=np.inf)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_best_within_the_bound_is_found(seed: int) -> None:
    """With x + y <= 1.2 it is at (0.6, 0.6): 0.18."""
    history = play("ConstrainedBO", bounded, seed=seed, constraint="memory<=9.6")
    assert feasible_best(history, Constraint("memory", 9.6)) < 0.19
    memory = values(history, "memory")
    assert (memory[8:] <= 9.9).mean() > 0.7


def test_where_little_is_feasible_it_is_looked_for_first() -> None:
    """A tenth of a percent of the space: sixty random draws would most likely miss it."""

    def corner(config: Config, epoch: int) -> tuple[dict[str, float], float]:
        del epoch
        x, y = float(config["x"]), float(config["y"])
        excess = max(abs(x - 0.8), abs(y - 0.15)) - 0.016
        return {"loss": x, "excess": excess}, 1.0

    history = play("ConstrainedBO", corner, constraint="excess")
    assert feasible_best(history, Constraint("excess")) < 0.82


def test_a_bound_from_below_and_another_one_hold_together() -> None:
    def banded(config: Config, epoch: int) -> tuple[dict[str, float], float]:
        del epoch
        x, y = float(config["x"]), float(config["y"])
        return {"loss": x + y, "recall": x, "latency": 1 - y}, 1.0

    history = play("ConstrainedBO", banded, constraint="recall>=0.3,latency<=0.5")
    kept = [
        result.metrics["loss"]
        for _, result in history.results_since(0)
        if result.metrics["recall"] >= 0.3 and result.metrics["latency"] <= 0.5
    ]
    assert min(kept) < 0.82


def test_a_report_without_the_constraint_fails_the_trial_by_name() -> None:
    history = play("ConstrainedBO", bounded, constraint="memroy<=8")
    assert "memroy" in history.error(0)
    assert "memory" in history.error(0)


def dear(config: Config, epoch: int) -> tuple[dict[str, float], float]:
    """Equally good along y, which says what it costs: from 1 to 100 seconds."""
    x, y = float(config["x"]), float(config["y"])
    seconds = 10 ** (2 * y)
    return {"loss": (x - 0.7) ** 2, "seconds": seconds * epoch}, seconds


@pytest.mark.parametrize(
    "settings", [{}, {"cost_model": "linear", "max_resource": 3}], ids=["coarse", "linear"]
)
def test_cheap_trials_are_preferred_where_they_are_as_good(settings: dict[str, Any]) -> None:
    stop = MaxTrialsStarted(20)
    aware = play("CostAwareBO", dear, cost="seconds", stop=stop, **settings)
    blind = play("BO", dear, stop=stop, max_resource=settings.get("max_resource", 1))
    spent = [float(np.nansum(values(history, "seconds")[4:])) for history in (aware, blind)]
    assert spent[0] < 0.3 * spent[1]
    assert np.nanmin(values(aware, "loss")) < 1e-3


def test_the_exponent_falls_to_zero_as_the_budget_is_spent() -> None:
    rng = np.random.default_rng(0)
    points, losses, costs = rng.random((8, 2)), rng.random(8), rng.random(8) + 0.5
    rows = Rows(np.arange(8), np.zeros(8, dtype=np.intp), losses)
    nothing = np.empty(0, dtype=np.intp)
    snapshot = Snapshot(points, rows, nothing, nothing, {}, np.stack([losses, costs], axis=1))

    def at_points(budget: float | None, exponent: float = 1.0) -> np.ndarray:
        settings = GPSettings(n_initial=4)
        learner = CostAwareLearner(2, settings, exponent=exponent, budget=budget)
        learned = learner.learn(snapshot, rng)
        assert learned is not None
        assert learned.acquisition is not None
        return learned.acquisition.values(points)

    per_cost, free = at_points(None), at_points(None, 0.0)
    assert not np.allclose(per_cost, free)
    assert np.allclose(at_points(float(costs.sum())), free)
    assert np.allclose(at_points(float(costs[:4].sum()) + 2 * float(costs[4:].sum())), (per_cost + free) / 2)
    assert np.allclose(at_points(1e9), per_cost)


def at(best: float, spread: float = 0.1) -> SearchSpace:
    prior = Prior(best=best, spread=spread)
    return SearchSpace({name: Float(0.0, 1.0, prior=prior) for name in ("a", "b", "c", "d")})


def narrow(config: Config, epoch: int) -> tuple[dict[str, float], float]:
    distance = sum((float(value) - 0.8) ** 2 for value in config.values())
    return {"loss": distance + 0.3 / epoch}, 1.0


def reached(name: str, space: SearchSpace, n_trials: int, max_resource: int) -> float:
    """The best loss of whole trainings, mean over three seeds."""
    best: list[float] = []
    for seed in range(3):
        history = play(
            name, narrow, space=space, seed=seed, stop=MaxTrialsStarted(n_trials), max_resource=max_resource
        )
        results = [result for _, result in history.results_since(0) if result.resource == max_resource]
        best.append(min(result.metrics["loss"] for result in results) - 0.3 / max_resource)
    return float(np.mean(best))


def test_priorband_gains_by_a_good_prior_and_recovers_from_a_bad_one() -> None:
    plain = reached("SyncHyperband", at(0.5), 100, 9)
    good, bad = (reached("PriorBand", at(best), 100, 9) for best in (0.78, 0.1))
    assert good < 0.3 * plain
    assert bad < 1.5 * plain


def test_pibo_gains_by_a_good_prior_and_recovers_from_a_bad_one() -> None:
    """After 12 trials the good one is ahead, after 40 the bad one has cost little."""
    good, bad = (reached("PiBO", at(best, 0.25), 12, 1) for best in (0.78, 0.1))
    assert good < 0.2 * bad
    assert reached("PiBO", at(0.1, 0.25), 40, 1) < 0.05


def test_without_a_prior_one_line_says_so(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("PiBO", "PriorBand"):
        with caplog.at_level(logging.WARNING):
            build_scheduler(method(name), benchmark(max_resource=9), 0, {})
    assert caplog.text.count("this one has none") == 2


def test_listed_configurations_are_kept_to() -> None:
    space = SearchSpace({"x": Float(0.0, 1.0, prior=Prior(best=0.3)), "k": Categorical(["a", "b"])})
    listed = [{"x": i / 10, "k": k} for i in range(6) for k in "ab"]

    class Listed:
        def __init__(self) -> None:
            toy = benchmark(space, max_resource=9)
            self.space, self.metrics, self.max_resource = toy.space, toy.metrics, toy.max_resource
            self.n_workers, self.points_to_evaluate, self.time_attr = 2, None, "seconds"

        def candidates(self) -> list[Config]:
            return list(listed)

    def train(config: Config, epoch: int) -> tuple[dict[str, float], float]:
        return {"loss": float(config["x"]), "constraint": -0.1, "seconds": float(epoch)}, 1.0

    for name in ("ConstrainedBO", "CostAwareBO", "PiBO", "PriorBand"):
        history = Tuner(
            build_scheduler(method(name), Listed(), 0, {}),
            SimulatedBackend(train, n_workers=2, max_resource=9),
            metrics=[LOSS],
            stop_when=MaxTrialsStarted(100),
            journal=MemoryJournal(),
        ).run()
        tried = [dict(history.trial(trial_id).config) for trial_id in range(history.n_trials)]
        assert sorted(tried, key=str) == sorted(listed, key=str), name


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("ConstrainedBO", {"constraint": "memory<8"}, "memory<=8 or recall>=0.9"),
        ("ConstrainedBO", {"constraint": "memory<=much"}, "memory<=8 or recall>=0.9"),
        ("ConstrainedBO", {"constraint": []}, "needs a constraint"),
        ("ConstrainedBO", {"acquisition": "lcb"}, "must be log_ei"),
        ("CostAwareBO", {"exponent": -1}, "exponent"),
        ("CostAwareBO", {"budget": 0}, "budget"),
        ("CostAwareBO", {"cost": ""}, "cost must name"),
        ("CostAwareBO", {"cost_model": "quadratic"}, "coarse or linear"),
        ("PiBO", {"beta": -1}, "beta"),
        ("PriorBand", {"eta": 1}, "eta"),
    ],
)
def test_settings_that_cannot_work_are_refused(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        method(name, **settings)


def test_a_linear_cost_needs_the_full_resource() -> None:
    with pytest.raises(SettingsError, match="max_resource"):
        build_scheduler(method("CostAwareBO", cost_model="linear"), benchmark(max_resource=None), 0, {})


def test_constraints_are_read_and_shown() -> None:
    found = constraints_of(method("ConstrainedBO", constraint="memory <= 8,recall>=0.9,excess"), {})
    assert list(map(str, found)) == ["memory<=8", "recall>=0.9", "excess<=0"]
    assert found[1].is_met({"recall": 0.9})
    assert not found[1].is_met({"recall": 0.89})
    assert not found[0].is_met({"memory": float("nan")})
    assert not found[0].is_met({})
    assert constraints_of(method("RS"), {}) == ()
    with pytest.raises(SettingsError, match="finite bound"):
        Constraint("memory", float("inf"))
