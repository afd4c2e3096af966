from __future__ import annotations

import math

import pytest

from tunewright.exceptions import SettingsError
from tunewright.interfaces import StopDecision
from tunewright.metric import Goal, Metric
from tunewright.state import State
from tunewright.stopping import (
    MaxCost,
    MaxEvaluations,
    MaxTrialsCompleted,
    MaxTrialsFinished,
    MaxTrialsStarted,
    MaxWallclockTime,
    MetricReached,
    Never,
    Plateau,
)
from tunewright.testing.histories import add_result, begin_trial, end_run
from tunewright.trial import TrialStatus

LOSS = Metric("loss")
ACCURACY = Metric("accuracy", Goal.MAXIMIZE)


def begin(history: State, lr: float = 0.1) -> int:
    return begin_trial(history, {"lr": lr})


def report(history: State, trial_id: int, **metrics: float) -> None:
    add_result(history, trial_id, metrics)


def test_ten_trials_means_ten() -> None:
    history, criterion = State(), MaxTrialsStarted(10)
    while criterion.check(history, 0.0) is StopDecision.CONTINUE:
        begin(history)
    assert history.n_trials == 10
    assert criterion.check(history, 0.0) is StopDecision.NO_NEW_TRIALS


def test_time_says_stop_at_its_deadline() -> None:
    criterion = MaxWallclockTime(60)
    assert criterion.check(State(), 59.999) is StopDecision.CONTINUE
    assert criterion.check(State(), 60.0) is StopDecision.STOP
    assert criterion.deadline() == 60.0


def test_completed_and_finished_count_different_ends() -> None:
    history = State()
    for status in (TrialStatus.FAILED, TrialStatus.STOPPED, TrialStatus.COMPLETED, TrialStatus.PAUSED):
        end_run(history, begin(history), status)
    assert MaxTrialsCompleted(1).check(history, 0.0) is StopDecision.STOP
    assert MaxTrialsCompleted(2).check(history, 0.0) is StopDecision.CONTINUE
    assert MaxTrialsFinished(3).check(history, 0.0) is StopDecision.STOP
    assert MaxTrialsFinished(4).check(history, 0.0) is StopDecision.CONTINUE


def test_evaluations_and_cost() -> None:
    history = State()
    trial_id = begin(history)
    add_result(history, trial_id, {"loss": 1.0}, cost=2.5)
    assert MaxEvaluations(1).check(history, 0.0) is StopDecision.STOP
    assert MaxEvaluations(2).check(history, 0.0) is StopDecision.CONTINUE
    assert MaxCost(2.5).check(history, 0.0) is StopDecision.STOP
    assert MaxCost(2.51).check(history, 0.0) is StopDecision.NO_NEW_TRIALS, "another run would be too much"
    assert MaxCost(5.01).check(history, 0.0) is StopDecision.CONTINUE
    assert MaxCost(5.01).check(State(), 0.0) is StopDecision.CONTINUE


@pytest.mark.parametrize("limit", [7.5, 19.0, 41.0, 49.9])
@pytest.mark.parametrize("until", [10, None])
def test_cost_is_stopped_before_it_is_passed(limit: float, until: int | None) -> None:
    """Two runs at a time, ten steps each, a dollar a step."""
    history, criterion = State(), MaxCost(limit)
    running: list[int] = []
    while criterion.check(history, 0.0) is not StopDecision.STOP:
        if len(running) < 2 and criterion.check(history, 0.0) is StopDecision.CONTINUE:
            running.append(history.n_trials)
            begin_trial(history, {}, until=until)
        elif running:
            trial_id = running.pop(0)
            n_done = len(history.results(trial_id)) + 1
            add_result(history, trial_id, {"loss": 1.0}, cost=float(n_done))
            if n_done == 10:
                end_run(history, trial_id, TrialStatus.COMPLETED, cost=float(n_done))
            else:
                running.append(trial_id)
        else:
            break
    assert limit - 12 <= history.cost <= limit


@pytest.mark.parametrize(
    ("metric", "name", "bad", "good"), [(LOSS, "loss", 0.3, 0.2), (ACCURACY, "accuracy", 0.8, 0.9)]
)
def test_a_reached_metric_stops(metric: Metric, name: str, bad: float, good: float) -> None:
    history, criterion = State(), MetricReached(metric, good)
    trial_id = begin(history)
    report(history, trial_id, **{name: bad})
    report(history, trial_id, **{name: math.nan})
    assert criterion.check(history, 0.0) is StopDecision.CONTINUE
    report(history, trial_id, **{name: good})
    assert criterion.check(history, 0.0) is StopDecision.STOP
    assert criterion.check(State(), 0.0) is StopDecision.CONTINUE, "another history begins anew"


def test_plateau_counts_results_without_improvement() -> None:
    history, criterion = State(), Plateau(LOSS, 3, tolerance=0.1)
    trial_id = begin(history)
    said = []
    for loss in (math.nan, 1.0, 0.95, 0.8, 0.75, 0.79, 0.9, 0.1):
        report(history, trial_id, loss=loss)
        said.append(criterion.check(history, 0.0) is StopDecision.STOP)
    assert said == [False, False, False, False, False, False, True, False]
    assert Plateau(LOSS, 3, tolerance=0.1).check(history, 0.0) is StopDecision.CONTINUE, (
        "read at once or bit by bit"
    )


def test_or_is_the_strictest_and_and_the_mildest() -> None:
    history = State()
    begin(history)
    trials, time = MaxTrialsStarted(1), MaxWallclockTime(10)
    assert (trials | time).check(history, 0.0) is StopDecision.NO_NEW_TRIALS
    assert (trials | time).check(history, 10.0) is StopDecision.STOP
    assert (trials & time).check(history, 0.0) is StopDecision.CONTINUE
    assert (trials & time).check(history, 10.0) is StopDecision.NO_NEW_TRIALS
    assert (trials | time).deadline() == 10.0
    assert (trials & time).deadline() == math.inf
    assert (time & MaxWallclockTime(20)).deadline() == 20.0
    assert Never().check(history, math.inf) is StopDecision.CONTINUE
    assert Never().deadline() == math.inf


@pytest.mark.parametrize(
    "build",
    [MaxWallclockTime, MaxTrialsStarted, MaxTrialsCompleted, MaxTrialsFinished, MaxEvaluations, MaxCost],
)
@pytest.mark.parametrize("value", [0, -1, math.nan])
def test_limits_are_positive(build: type, value: float) -> None:
    with pytest.raises(SettingsError, match="positive"):
        build(value)


def test_plateau_settings_are_checked() -> None:
    with pytest.raises(SettingsError, match="positive"):
        Plateau(LOSS, 0)
    with pytest.raises(SettingsError, match="tolerance"):
        Plateau(LOSS, 1, tolerance=-1)
