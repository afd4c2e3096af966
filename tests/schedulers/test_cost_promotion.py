"""Promotion by cost: each rung gives one eta-th of its cost, not of its trials, to the next."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest

from tunewright.backends.simulated import SimulatedBackend
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.journal import MemoryJournal
from tunewright.methods import method
from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, ASHASettings, CostMeter
from tunewright.schedulers.rungs import Rung
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.tuner import Tuner
from tunewright.types import Config

LOSS = Metric("loss")
SPACE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
LEVELS = (1, 3)


def train(config: Config, epoch: int) -> tuple[dict[str, float], float]:
    """An epoch takes from 1 to 10 seconds."""
    seconds = 1 + 9 * float(config["y"])
    return {"loss": float(config["x"]) + 1 / epoch, "seconds": seconds * epoch}, seconds


def play(cost: str | None, function=train) -> tuple[History, MemoryJournal]:
    journal = MemoryJournal()
    scheduler = ASHA(
        RandomSearcher(SPACE, seed=0), ASHASettings(max_resource=9, cost=cost), metric=LOSS, seed=0
    )
    backend = SimulatedBackend(function, n_workers=3, max_resource=9)
    history = Tuner(scheduler, backend, metrics=[LOSS], stop_when=MaxTrialsStarted(60), journal=journal).run()
    return history, journal


def top(rung: dict[int, tuple[float, float]]) -> set[int]:
    """The longest list of best trials that cost no more than a third of all, from scratch."""
    left = sum(cost for _, cost in rung.values()) / 3 + 1e-9
    chosen: set[int] = set()
    for trial_id, (_, cost) in sorted(rung.items(), key=lambda entry: (entry[1][0], entry[0])):
        left -= cost
        if left < 0:
            break
        chosen.add(trial_id)
    return chosen


def test_promotions_are_those_recomputed_from_the_journal() -> None:
    _, journal = play("seconds")
    rungs: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
    reached: dict[int, int] = {}
    n_promotions = 0
    for line in journal.events():
        if line.kind == "result":
            reached[line.trial_id] = line.resource
            if line.resource in LEVELS:
                metrics = line.metrics
                rungs[line.resource][line.trial_id] = (metrics["loss"], metrics["seconds"])
        if line.kind == "start" and line.attempt > 0:
            n_promotions += 1
            assert line.trial_id in top(rungs[reached[line.trial_id]])
    assert n_promotions > 15


def test_with_equal_costs_it_is_plain_promotion() -> None:
    def equal(config: Config, epoch: int) -> tuple[dict[str, float], float]:
        return {"loss": float(config["x"]) + 1 / epoch, "seconds": 0.1 * epoch}, 1.0 + float(config["y"])

    by_cost, by_count = (play(cost, equal)[0] for cost in ("seconds", None))
    assert [(run.trial_id, run.until) for run in by_cost.runs] == [
        (run.trial_id, run.until) for run in by_count.runs
    ]


def test_the_cost_that_goes_on_is_one_third_or_less() -> None:
    history, _ = play("seconds")
    spent = dict.fromkeys((1, 3), 0.0)
    risen = dict(spent)
    for trial_id in range(history.n_trials):
        costs = {result.resource: result.metrics["seconds"] for result in history.results(trial_id)}
        for level, following in ((1, 2), (3, 4)):
            spent[level] += costs.get(level, 0.0)
            risen[level] += costs.get(level, 0.0) if following in costs else 0.0
    assert 0.2 * spent[1] < risen[1] < 0.45 * spent[1]


def test_a_rung_of_many_dear_trials_promotes_cheap_ones_first() -> None:
    rung = Rung(1, 3)
    for trial_id, (loss, cost) in enumerate([(0.1, 1.0), (0.2, 1.0), (0.3, 10.0), (0.4, 9.0)]):
        rung.record(trial_id, loss, cost=cost)
        rung.admit(trial_id)
    assert [trial_id for _, trial_id in rung.promotable_all()] == [0, 1]
    other = Rung(1, 3)
    for trial_id, (loss, cost) in enumerate([(0.1, 10.0), (0.2, 1.0), (0.3, 1.0), (0.4, 1.0)]):
        other.record(trial_id, loss, cost=cost)
        other.admit(trial_id)
    assert other.promotable() is None


def test_what_reporter_counts_is_added_up_over_runs() -> None:
    meter = CostMeter("st_worker_time")
    meter.begin(0)
    assert meter.total(0, {"st_worker_time": 4.0}) == 4.0
    meter.begin(0)
    assert meter.total(0, {"st_worker_time": 5.0}) == 9.0
    assert meter.total(0, {"st_worker_time": math.nan}) == 9.0
    assert meter.total(0, {"st_worker_time": 2.0}) == 11.0, "a retry of the run counts anew"


def test_a_cost_of_the_whole_training_is_taken_as_it_is() -> None:
    meter = CostMeter("elapsed")
    meter.begin(0)
    assert meter.total(0, {"elapsed": 4.0}) == 4.0
    meter.begin(0)
    assert meter.total(0, {"elapsed": 5.0}) == 5.0
    assert meter.total(0, {"elapsed": 1.0}) == 6.0
    assert meter.total(1, {}) == 0.0


def test_trials_without_a_cost_are_borne() -> None:
    history, _ = play("absent")
    assert np.isfinite(history.n_runs)
    assert history.n_trials == 60


def test_stopping_has_no_costs() -> None:
    with pytest.raises(SettingsError, match="kind=promotion"):
        method("ASHA", cost="seconds", kind="stopping")
    with pytest.raises(SettingsError, match="kind=promotion"):
        method("ASHA", cost="")


def test_costs_beyond_all_measure_are_borne() -> None:
    def absurd(config: Config, epoch: int) -> tuple[dict[str, float], float]:
        return {"loss": float(config["x"]) + 1 / epoch, "seconds": 1e308}, 1.0

    history, _ = play("seconds", absurd)
    assert history.n_runs > history.n_trials > 3, "equal costs are compared by counts"
