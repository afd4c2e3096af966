from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.asktell import AskTell
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Scheduler
from tunewright.metric import Metric
from tunewright.schedulers.brackets import HyperbandSettings
from tunewright.schedulers.dehb import DEHB, DifferentialEvolutionSettings, population_sizes
from tunewright.searchers.model_free import RandomSearcher
from tunewright.searchers.unit_cube import Coordinates
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.scheduler_simulator import ALL_FAULTS, FaultRates, SchedulerSimulator
from tunewright.testing.spaces import ALL_TYPES, CONTINUOUS
from tunewright.trial import Decision, TrialStatus

LOSS = Metric("loss")
PLAN = HyperbandSettings(max_resource=9)


def dehb(space: SearchSpace = CONTINUOUS, seed: int = 0, metric: Metric = LOSS, **changes: Any) -> DEHB:
    plan, points = changes.pop("plan", PLAN), changes.pop("points_to_evaluate", None)
    evolution = DifferentialEvolutionSettings(**changes)
    return DEHB(space, plan, evolution, metric=metric, seed=seed, points_to_evaluate=points)


class TestContract(SchedulerContract):
    n_trials = 60

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return dehb(space, seed, metric, plan=HyperbandSettings(max_resource=27))


def test_populations_are_as_large_as_the_largest_rung_of_their_level() -> None:
    assert population_sizes(HyperbandSettings(max_resource=81).table) == (81, 34, 15, 8, 5)
    assert population_sizes(HyperbandSettings(max_resource=27, brackets=1).table) == (27, 9, 3, 1)
    sizes = tuple(len(population.places) for population in dehb().populations)
    assert sizes == population_sizes(PLAN.table) == (9, 5, 3)


def test_settings_that_cannot_work() -> None:
    for changes in ({"mutation_factor": 0.0}, {"mutation_factor": 1.1}, {"crossover_probability": -0.1}):
        with pytest.raises(SettingsError, match=next(iter(changes))):
            dehb(**changes)


class Naive:
    """DEHB's populations and brackets, written down as directly as the paper says.

    In the first ``n_halving`` brackets trials are promoted; this is checked for one worker.
    """

    def __init__(self, n_levels: int, n_halving: int = 1) -> None:
        self.n_halving = n_halving
        self.n_promoted = 0
        self.at_level: dict[int, int] = {}
        self.levels: list[dict[int, tuple[float, int, tuple[float, ...]]]] = [{} for _ in range(n_levels)]
        self.n_children = [0] * n_levels
        self.notes: dict[int, dict] = {}
        self.configs: dict[int, dict] = {}
        self.losses: dict[int, float] = {}
        self.rungs: dict[tuple[int, int], list[int]] = {}
        self.ended: set[tuple[int, int]] = set()

    def best(self, level: int, n: int | None = None) -> list[int]:
        return [trial for _, trial, _ in sorted(self.levels[level].values())[:n]]

    def start(self, line: dict) -> None:
        note = line["note"]
        bracket, rung = note["bracket"], note["rung"]
        stages = PLAN.table[bracket % len(PLAN.table)]
        level = bracket % len(PLAN.table) + rung
        members = self.rungs.setdefault((bracket, rung), [])
        assert len(members) < stages[rung].size
        members.append(line["trial_id"])
        if rung > 0:
            below = self.rungs[bracket, rung - 1]
            assert len(below) == stages[rung - 1].size
            assert {(trial, rung - 1) for trial in below} <= self.ended
        self.notes[line["trial_id"]] = note
        self.configs[line["trial_id"]] = line["config"]
        promoted = self.promoted(level)
        self.at_level[line["trial_id"]] = level
        if bracket == 0:
            return
        if bracket < self.n_halving and rung > 0 and promoted is not None:
            self.n_promoted += 1
            assert line["trial_id"] == promoted
            assert line["attempt"] > 0
        else:
            assert line["attempt"] == 0
        if "parents" in note:
            self.check_child(note, level, stages[rung].size, rung)
        self.n_children[level] += 1

    def promoted(self, level: int) -> int | None:
        """The best trial below a level that stays there."""
        stays = [t for t in self.best(level - 1) if self.at_level[t] == level - 1] if level else []
        return stays[0] if stays else None

    def check_child(self, note: dict, level: int, size: int, rung: int) -> None:
        places = len(dehb().populations[level].places)
        assert note["target"] == self.n_children[level] % places
        if rung > 0:
            pool = self.best(level - 1, size)
        else:
            target = self.levels[level].get(note["target"])
            pool = [trial for trial in self.best(level) if target is None or trial != target[1]]
        parents = set(note["parents"])
        assert len(parents) == 3
        if len(pool) >= 3:
            assert parents <= set(pool)
        else:
            everybody = {trial for population in range(3) for trial in self.best(population)}
            assert set(pool) <= parents <= everybody

    def result(self, line: dict) -> None:
        if line["decision"] not in ("repeat", "late"):
            value = float(line["metrics"]["loss"])
            self.losses[line["trial_id"]] = value if math.isfinite(value) else math.inf

    def end(self, line: dict) -> None:
        trial, note = line["trial_id"], self.notes[line["trial_id"]]
        self.ended.add((trial, note["rung"]))
        level = note["bracket"] % len(PLAN.table) + note["rung"]
        loss = math.inf if line["status"] == "failed" else self.losses[trial]
        if math.isinf(loss):
            return
        population = self.levels[level]
        size = len(dehb().populations[level].places)
        if "target" in note:
            place, point = note["target"], tuple(note["point"])
        else:
            empty = [place for place in range(size) if place not in population]
            place = empty[0] if empty else max(population, key=lambda p: (population[p][0], -p))
            point = tuple(Coordinates(CONTINUOUS).encode(self.configs[trial]))
        if place not in population or loss <= population[place][0]:
            population[place] = (loss, trial, point)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 8), st.booleans())
def test_every_child_is_the_papers(seed: int, n_workers: int, fails: bool) -> None:
    scheduler = dehb(seed=seed, halving_brackets=1, unevaluated_parents=False)
    faults = FaultRates(fail=0.05, nan=0.05) if fails else FaultRates()
    simulator = SchedulerSimulator(
        scheduler, LOSS, max_resource=9, n_trials=60, n_workers=n_workers, faults=faults, seed=seed
    )
    simulator.play()
    naive = Naive(3)
    for line in simulator.journal():
        getattr(naive, line["kind"])(line)
    for level, population in enumerate(scheduler.populations):
        found = {
            place: (individual.loss, individual.trial_id, individual.point)
            for place, individual in enumerate(population.places)
            if individual is not None
        }
        assert found == naive.levels[level]
    n_evolved = sum("parents" in note for note in naive.notes.values())
    assert n_evolved > 20


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.booleans())
def test_all_brackets_of_the_first_iteration_promote(seed: int, fails: bool) -> None:
    faults = FaultRates(fail=0.05, nan=0.05) if fails else FaultRates()
    simulator = SchedulerSimulator(
        dehb(seed=seed, unevaluated_parents=False),
        LOSS,
        max_resource=9,
        n_trials=60,
        n_workers=1,
        faults=faults,
        seed=seed,
    )
    simulator.play()
    naive = Naive(3, n_halving=3)
    for line in simulator.journal():
        getattr(naive, line["kind"])(line)
    assert naive.n_promoted >= 1


def test_places_without_an_evaluated_individual_hold_random_parents(hand) -> None:
    for unevaluated, is_child in ((True, True), (False, False)):
        driver = hand(dehb(unevaluated_parents=unevaluated))
        for trial_id in range(9):
            driver.begin()
            driver.report(trial_id, 1, float(trial_id) if trial_id < 2 else math.nan)
            driver.end(trial_id)
        while (run := driver.begin()).attempt:
            driver.report(run.trial_id, run.until or 9, 1.0)
            driver.end(run.trial_id)
        note = driver.history.note(run.trial_id)
        assert note["bracket"] == 1
        assert ("parents" in note) is is_child


def test_the_first_bracket_is_successive_halving_of_random_configurations(hand) -> None:
    driver = hand(dehb())
    assert driver.begin().until == 1
    random = RandomSearcher(CONTINUOUS, seed=0)
    second = driver.suggest()
    assert second.config == random.suggest(driver.history).config
    driver.report(0, 1, 5.0)
    assert driver.end(0) is TrialStatus.PAUSED
    assert set(driver.scheduler.resumable(driver.history)) == {0}


def test_trials_that_are_not_promoted_stop_at_their_level(hand) -> None:
    driver = hand(dehb(halving_brackets=1))
    for _ in range(9):
        driver.begin()
    run = driver.begin()
    assert (run.trial_id, run.until) == (9, 3)
    assert driver.report(9, 2, 1.0).decision is Decision.CONTINUE
    assert driver.report(9, 3, 1.0).decision is Decision.STOP
    assert driver.end(9) is TrialStatus.STOPPED


def test_given_points_come_before_all_children() -> None:
    points = [{"x": float(i % 10), "y": float(i)} for i in range(15)]
    scheduler = dehb(points_to_evaluate=points)
    simulator = SchedulerSimulator(scheduler, LOSS, max_resource=9, n_trials=20, faults=ALL_FAULTS)
    simulator.play()
    assert [dict(simulator.history.trial(i).config) for i in range(15)] == points


def test_ask_and_tell_on_all_types_of_domains() -> None:
    tuning = AskTell(dehb(ALL_TYPES), [LOSS])
    for _ in range(50):
        asked = tuning.ask()
        assert asked is not None
        ALL_TYPES.validate(asked.config)
        for epoch in range(asked.resume_from + 1, 10):
            loss = float(asked.config["dropout"]) + 1 / epoch
            if tuning.tell(asked, {"loss": loss}, resource=epoch).decision is not Decision.CONTINUE:
                break
        else:
            tuning.complete(asked)
