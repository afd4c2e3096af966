from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.exceptions import SettingsError
from tunewright.interfaces import Scheduler
from tunewright.methods import method
from tunewright.metric import Goal, Metric
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.fifo import FIFO
from tunewright.schedulers.median_stopping import MedianStopping, MedianStoppingSettings
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.scheduler_simulator import ALL_FAULTS, FaultRates, SchedulerSimulator
from tunewright.testing.spaces import CONTINUOUS
from tunewright.trial import Decision, TrialStatus

LOSS = Metric("loss")


def rule(metric: Metric = LOSS, seed: int = 0, **changes) -> MedianStopping:
    within = FIFO(RandomSearcher(CONTINUOUS, seed=seed))
    return MedianStopping(within, MedianStoppingSettings(**changes), metric=metric)


class TestContractAroundFIFO(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        within = FIFO(RandomSearcher(space, seed=seed))
        return MedianStopping(within, MedianStoppingSettings(), metric=metric)


class TestContractAroundASHA(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        settings = ASHASettings(max_resource=27, grace_period=3)
        within = ASHA(RandomSearcher(space, seed=seed), settings, metric=metric, seed=seed)
        return MedianStopping(within, MedianStoppingSettings(grace_population=3), metric=metric)


def run_until(driver, n_others: int, resource: int = 2) -> int:
    """Others report their ids at every resource; then one more trial begins."""
    for trial_id in range(n_others):
        driver.begin()
        for epoch in range(1, resource + 1):
            driver.report(trial_id, epoch, float(trial_id))
    return driver.begin().trial_id


def test_worse_than_the_median_stops(hand) -> None:
    driver = hand(rule())
    trial_id = run_until(driver, 5)
    assert driver.report(trial_id, 1, 9.0).decision is Decision.CONTINUE
    verdict = driver.report(trial_id, 2, 2.5)
    assert (verdict.decision, verdict.reason) == (Decision.STOP, "worse than 3 of 5 at resource 2")
    assert driver.end(trial_id) is TrialStatus.STOPPED


def test_as_good_as_the_median_goes_on(hand) -> None:
    driver = hand(rule())
    assert driver.report(run_until(driver, 5), 2, 2.0).decision is Decision.CONTINUE


def test_the_best_so_far_counts_not_the_last(hand) -> None:
    driver = hand(rule())
    trial_id = run_until(driver, 5)
    driver.report(trial_id, 1, 0.0)
    assert driver.report(trial_id, 2, math.nan).decision is Decision.CONTINUE


def test_grace_and_population(hand) -> None:
    driver = hand(rule(grace_population=6))
    assert driver.report(run_until(driver, 5), 2, 9.0).decision is Decision.CONTINUE
    driver = hand(rule(grace_period=2))
    assert driver.report(run_until(driver, 5), 2, 9.0).decision is Decision.CONTINUE


def test_maximised_metrics(hand) -> None:
    driver = hand(rule(metric=Metric("loss", Goal.MAXIMIZE)))
    trial_id = run_until(driver, 5)
    assert driver.report(trial_id, 2, 1.5).decision is Decision.STOP


def test_the_scheduler_within_comes_first(hand) -> None:
    within = ASHA(
        RandomSearcher(CONTINUOUS, seed=0), ASHASettings(max_resource=9, grace_period=2), metric=LOSS, seed=0
    )
    driver = hand(MedianStopping(within, MedianStoppingSettings(grace_population=1), metric=LOSS))
    driver.pause_at(2, 1.0, 2.0, 3.0)
    assert driver.begin().trial_id == 0
    assert set(driver.scheduler.resumable(driver.history)) == {1, 2}


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([FaultRates(), ALL_FAULTS]), st.sampled_from([0.2, 0.5]))
def test_the_rule_of_vizier_recomputed(seed: int, faults: FaultRates, cutoff: float) -> None:
    simulator = SchedulerSimulator(
        rule(seed=seed, grace_population=3, cutoff=cutoff),
        LOSS,
        max_resource=8,
        n_trials=30,
        faults=faults,
        seed=seed,
    )
    simulator.play()
    curves: dict[int, list[float]] = {}
    averages: dict[int, list[float]] = {}
    for line in simulator.journal():
        if line["kind"] != "result" or line["decision"] in ("repeat", "late"):
            continue
        value = float(line["metrics"]["loss"])
        curve = curves.setdefault(line["trial_id"], [])
        curve.append(value if math.isfinite(value) else math.inf)
        others = averages.setdefault(line["resource"], [])
        if len(others) >= 3 and line["resource"] > 1:
            worse = sum(other < min(curve) for other in others) > cutoff * len(others)
            if cutoff == 0.5:
                assert worse == (min(curve) > statistics.median_high(others))
            assert line["decision"] == ("stop" if worse else "continue")
        else:
            assert line["decision"] == "continue"
        others.append(sum(curve) / len(curve))


@pytest.mark.parametrize("wrong", [{"grace_period": -1}, {"grace_population": 0}, {"cutoff": 1.0}])
def test_settings_that_cannot_work(wrong: dict) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        rule(**wrong)
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        method("MedianStopping", **wrong)


def test_it_does_not_wrap_itself() -> None:
    with pytest.raises(SettingsError, match="itself"):
        method("MedianStopping", around="medianstopping")
