from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Scheduler
from tunewright.methods import build_scheduler, method
from tunewright.metric import Goal, Metric
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.fifo import FIFO
from tunewright.schedulers.stopping_rules import (
    MedianRule,
    MedianStoppingSettings,
    PatienceRule,
    PatienceSettings,
    RuleStopping,
    ThresholdRule,
    ThresholdSettings,
)
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.scheduler_simulator import ALL_FAULTS, FaultRates, SchedulerSimulator
from tunewright.testing.spaces import CONTINUOUS
from tunewright.trial import Decision, TrialStatus

LOSS = Metric("loss")


def rule(metric: Metric = LOSS, seed: int = 0, **changes) -> RuleStopping:
    within = FIFO(RandomSearcher(CONTINUOUS, seed=seed))
    return RuleStopping(within, MedianRule(MedianStoppingSettings(**changes), metric=metric))


class TestContractAroundFIFO(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        within = FIFO(RandomSearcher(space, seed=seed))
        return RuleStopping(within, MedianRule(MedianStoppingSettings(), metric=metric))


class TestContractAroundASHA(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        settings = ASHASettings(max_resource=27, grace_period=3)
        within = ASHA(RandomSearcher(space, seed=seed), settings, metric=metric, seed=seed)
        return RuleStopping(within, MedianRule(MedianStoppingSettings(grace_population=3), metric=metric))


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
    driver = hand(RuleStopping(within, MedianRule(MedianStoppingSettings(grace_population=1), metric=LOSS)))
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


def patience(metric: Metric = LOSS, **changes) -> RuleStopping:
    within = FIFO(RandomSearcher(CONTINUOUS, seed=0))
    return RuleStopping(within, PatienceRule(PatienceSettings(**changes), metric=metric))


def threshold(metric: Metric = LOSS, **changes) -> RuleStopping:
    within = FIFO(RandomSearcher(CONTINUOUS, seed=0))
    return RuleStopping(within, ThresholdRule(ThresholdSettings(**changes), metric=metric))


class TestContractOfPatience(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        within = FIFO(RandomSearcher(space, seed=seed))
        return RuleStopping(within, PatienceRule(PatienceSettings(patience=26), metric=metric))


class TestContractOfPatienceAroundASHA(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        settings = ASHASettings(max_resource=27, grace_period=3)
        within = ASHA(RandomSearcher(space, seed=seed), settings, metric=metric, seed=seed)
        return RuleStopping(within, PatienceRule(PatienceSettings(patience=26), metric=metric))


class TestContractOfThreshold(SchedulerContract):
    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        within = FIFO(RandomSearcher(space, seed=seed))
        return RuleStopping(within, ThresholdRule(ThresholdSettings(upper=3.0), metric=metric))


def decisions(driver, values: list[float]) -> str:
    """Report a new trial's values until it stops: a letter for each verdict."""
    trial_id = driver.begin().trial_id
    found = ""
    for resource, value in enumerate(values, start=1):
        verdict = driver.report(trial_id, resource, value)
        found += verdict.decision.value[0]
        if verdict.decision is Decision.STOP:
            break
    return found


@pytest.mark.parametrize(
    ("changes", "values", "expected"),
    [
        ({"patience": 2}, [5.0, 4.0, 4.5, 4.0], "cccs"),  # equal is no improvement
        ({"patience": 2}, [5.0, 4.0, 4.5, 3.9, 4.0, 4.0], "cccccs"),
        ({"patience": 2, "min_delta": 0.5}, [5.0, 4.6, 4.6], "ccs"),
        ({"patience": 2, "min_delta": 0.5}, [5.0, 4.6, 4.4, 4.4], "cccc"),
        ({"patience": 1}, [5.0, 5.0], "cs"),
        ({"patience": 1, "grace_period": 3}, [5.0, 5.0, 5.0, 5.0], "cccs"),
        ({"patience": 2}, [5.0, math.nan, math.nan], "ccs"),
        ({"patience": 3}, [math.nan, math.nan, 9.0, 9.0, 9.0, 9.0], "cccccs"),
        ({"patience": 2}, [math.nan, math.nan], "cs"),
    ],
)
def test_a_trial_that_no_longer_improves_stops(hand, changes: dict, values: list, expected: str) -> None:
    assert decisions(hand(patience(**changes)), values) == expected


def test_patience_is_counted_in_units_of_resource_and_says_since_when(hand) -> None:
    driver = hand(patience(patience=4))
    trial_id = driver.begin().trial_id
    assert driver.report(trial_id, 2, 1.0).decision is Decision.CONTINUE
    assert driver.report(trial_id, 5, 1.0).decision is Decision.CONTINUE
    verdict = driver.report(trial_id, 6, 1.0)
    assert (verdict.decision, verdict.reason) == (Decision.STOP, "no improvement since resource 2")


def test_patience_with_a_maximised_metric(hand) -> None:
    metric = Metric("loss", Goal.MAXIMIZE)
    assert decisions(hand(patience(metric, patience=2)), [1.0, 2.0, 1.5, 1.0]) == "cccs"


@pytest.mark.parametrize(
    ("changes", "values", "expected"),
    [
        ({"upper": 3.0}, [3.0, -9.0, 3.1], "ccs"),
        ({"lower": 0.1}, [3.0, 0.1, 0.05], "ccs"),
        ({"lower": 0.1, "upper": 3.0, "grace_period": 2}, [9.0, 0.0, 0.0], "ccs"),
        ({"upper": 3.0}, [math.nan], "s"),
        ({}, [1e300, -math.inf, math.inf, math.nan], "cccs"),
        ({"upper": 3.0, "grace_period": 1}, [math.nan, math.inf], "cs"),
    ],
)
def test_a_value_outside_the_interval_stops(hand, changes: dict, values: list, expected: str) -> None:
    assert decisions(hand(threshold(**changes)), values) == expected
    maximised = Metric("loss", Goal.MAXIMIZE)
    assert decisions(hand(threshold(maximised, **changes)), values) == expected


def test_the_reason_names_the_bound(hand) -> None:
    driver = hand(threshold(lower=0.5, upper=3.0))
    for value, reason in (
        (3.5, "loss=3.5 is above 3"),
        (0.25, "loss=0.25 is below 0.5"),
        (math.nan, "loss is not a number"),
    ):
        assert driver.report(driver.begin().trial_id, 1, value).reason == reason


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("PatienceStopping", {"patience": 0}),
        ("PatienceStopping", {"min_delta": -0.1}),
        ("PatienceStopping", {"grace_period": -1}),
        ("ThresholdStopping", {"lower": 3.0, "upper": 3.0}),
        ("ThresholdStopping", {"grace_period": -1}),
        ("PatienceStopping", {"around": "patiencestopping"}),
        ("ThresholdStopping", {"around": "ThresholdStopping"}),
    ],
)
def test_rules_that_cannot_work(name: str, wrong: dict) -> None:
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        method(name, **wrong)


def test_rules_are_built_around_any_method() -> None:
    benchmark = RealBenchmarkDefinition(
        name="ruled", script="none", space=CONTINUOUS, metrics=(LOSS,), max_resource=9
    )
    within = method("MedianStopping", around="ThresholdStopping")
    assert isinstance(build_scheduler(within, benchmark, 0, {}), RuleStopping)
    simulator = SchedulerSimulator(
        build_scheduler(method("PatienceStopping", around="ASHA", patience=1), benchmark, 0, {}),
        LOSS,
        max_resource=9,
        n_trials=20,
    )
    simulator.play()
    found = {line["decision"] for line in simulator.journal() if line["kind"] == "result"}
    assert {"pause", "stop"} <= found
