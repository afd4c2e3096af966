from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.asktell import AskTell
from tunewright.interfaces import Scheduler
from tunewright.metric import Metric
from tunewright.schedulers.brackets import HyperbandSettings
from tunewright.schedulers.sync_hyperband import SyncHyperband
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.scheduler_simulator import FaultRates, SchedulerSimulator
from tunewright.testing.spaces import CONTINUOUS, SMALL
from tunewright.trial import Decision, Resume, Start, TrialStatus

LOSS = Metric("loss")


def sync(space: SearchSpace = CONTINUOUS, seed: int = 0, metric: Metric = LOSS, **changes) -> SyncHyperband:
    plan = HyperbandSettings(**{"max_resource": 9} | changes)
    return SyncHyperband(RandomSearcher(space, seed=seed), plan, metric=metric)


class TestContract(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return sync(space, seed, metric, max_resource=27)


class TestContractOfOneBracket(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return sync(space, seed, metric, max_resource=27, grace_period=2, eta=4, brackets=1)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 12), st.sampled_from([2, 3]))
def test_every_bracket_is_the_papers_whatever_the_order(seed: int, n_workers: int, eta: int) -> None:
    """Recomputed from the journal: sizes, levels, and the best of each rung by sorting anew."""
    plan = HyperbandSettings(max_resource=9, eta=eta)
    simulator = SchedulerSimulator(
        sync(seed=seed, eta=eta), LOSS, max_resource=9, n_trials=60, n_workers=n_workers, seed=seed
    )
    simulator.play()
    runs: dict[tuple[int, int], list[int]] = {}
    losses: dict[tuple[int, int], float] = {}
    untils: dict[tuple[int, int], set[int | None]] = {}
    for line in simulator.journal():
        if line["kind"] == "start":
            place = (line["note"]["bracket"], line["note"]["rung"])
            runs.setdefault(place, []).append(line["trial_id"])
            untils.setdefault(place, set()).add(line["until"])
        elif line["kind"] == "result":
            losses[line["trial_id"], line["resource"]] = line["metrics"]["loss"]
    last_begun = max(bracket for bracket, _ in runs)
    for (bracket, rung), trials in runs.items():
        stages = plan.table[bracket % len(plan.table)]
        level = stages[rung].level
        assert untils[bracket, rung] == {level if level < 9 else None}
        if rung > 0:
            below = runs[bracket, rung - 1]
            assert len(below) == stages[rung - 1].size
            ranked = sorted(below, key=lambda i: (losses[i, stages[rung - 1].level], i))
            assert trials == ranked[: stages[rung].size]
        elif bracket < last_begun:
            assert len(trials) == stages[0].size
    assert {bracket for bracket, _ in runs} == set(range(last_begun + 1))


def test_workers_are_never_idle() -> None:
    simulator = SchedulerSimulator(sync(), LOSS, max_resource=9, n_trials=40, n_workers=5)
    most = 0
    while simulator.step():
        running = len(simulator.history.ids(TrialStatus.RUNNING))
        most = max(most, running)
        if simulator.history.n_trials < 40:
            assert simulator.scheduler.suggest(simulator.history) is not None
    assert most == 5


def test_the_next_bracket_opens_while_the_last_of_a_rung_run(hand) -> None:
    driver = hand(sync(brackets=2))
    assert [driver.begin().until for _ in range(9)] == [1] * 9
    assert [driver.begin().until for _ in range(5)] == [3] * 5
    run = driver.begin()
    assert (run.trial_id, run.until, driver.history.note(14)) == (14, 1, {"bracket": 2, "rung": 0})


def test_promoted_trials_of_older_brackets_come_first(hand) -> None:
    driver = hand(sync())
    driver.pause_at(1, *[float(i) for i in range(9)])
    driver.begin()
    assert isinstance(driver.suggest(), Resume)
    assert [driver.begin().trial_id for _ in range(2)] == [1, 2]
    assert isinstance(driver.suggest(), Start)
    driver.report(0, 3, 1.0)
    driver.end(0)
    driver.end(1, exit_code=1)
    driver.report(2, 3, 0.5)
    driver.end(2)
    assert driver.suggest() == Resume(trial_id=2, until=None, note={"bracket": 0, "rung": 2})
    assert set(driver.scheduler.resumable(driver.history)) == {2}


def test_a_bracket_without_survivors_is_closed(hand) -> None:
    driver = hand(sync())
    for _ in range(9):
        driver.end(driver.begin().trial_id, exit_code=1)
    assert driver.begin().until == 3
    assert not driver.scheduler.resumable(driver.history)


def test_a_report_beyond_the_maximum_stops_the_trial(hand) -> None:
    driver = hand(sync())
    driver.begin()
    assert driver.report(0, 10, 1.0).decision is Decision.STOP
    driver.begin()
    assert driver.report(1, 9, 1.0).decision is Decision.CONTINUE
    assert driver.end(1) is TrialStatus.COMPLETED


def test_an_exhausted_space_ends_with_promotions() -> None:
    simulator = SchedulerSimulator(
        sync(SMALL), LOSS, max_resource=9, n_trials=40, faults=FaultRates(fail=0.01)
    )
    simulator.play()
    history = simulator.history
    assert history.n_trials == 6
    assert Counter(run.until for run in history.runs) == {1: 6, 3: 3, None: 1}


@pytest.mark.parametrize("n_open", [1, 4])
def test_ask_and_tell(n_open: int) -> None:
    tuning = AskTell(sync(), [LOSS])
    for _ in range(40):
        batch = [asked for _ in range(n_open) if (asked := tuning.ask()) is not None]
        for asked in batch:
            for epoch in range(asked.resume_from + 1, 10):
                loss = float(asked.config["y"]) + 1 / epoch
                if tuning.tell(asked, {"loss": loss}, resource=epoch).decision is not Decision.CONTINUE:
                    break
            else:
                tuning.complete(asked)
    best = tuning.best()
    assert best is not None
    assert best.resource == 9
