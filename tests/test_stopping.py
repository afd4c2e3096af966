from __future__ import annotations

import math

import pytest

from tunewright.exceptions import SettingsError
from tunewright.interfaces import StopDecision
from tunewright.ledger import Book
from tunewright.metric import Goal, Metric
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
from tunewright.trial import Result, Run, TrialStatus

LOSS = Metric("loss")
ACCURACY = Metric("accuracy", Goal.MAXIMIZE)


def begin(book: Book, lr: float = 0.1) -> int:
    trial_id = book.n_trials
    book.begin_trial({"lr": lr})
    book.begin_run(Run(trial_id=trial_id, attempt=0), {}, 0.0)
    return trial_id


def report(book: Book, trial_id: int, **metrics: float) -> None:
    resource = len(book.results(trial_id)) + 1
    book.add_result(trial_id, Result(metrics=metrics, resource=resource, time=float(resource)))


def test_ten_trials_means_ten() -> None:
    book, criterion = Book(), MaxTrialsStarted(10)
    while criterion.check(book, 0.0) is StopDecision.CONTINUE:
        begin(book)
    assert book.n_trials == 10
    assert criterion.check(book, 0.0) is StopDecision.NO_NEW_TRIALS


def test_time_says_stop_at_its_deadline() -> None:
    criterion = MaxWallclockTime(60)
    assert criterion.check(Book(), 59.999) is StopDecision.CONTINUE
    assert criterion.check(Book(), 60.0) is StopDecision.STOP
    assert criterion.deadline() == 60.0


def test_completed_and_finished_count_different_ends() -> None:
    book = Book()
    for status in (TrialStatus.FAILED, TrialStatus.STOPPED, TrialStatus.COMPLETED, TrialStatus.PAUSED):
        book.move(begin(book), status)
    assert MaxTrialsCompleted(1).check(book, 0.0) is StopDecision.STOP
    assert MaxTrialsCompleted(2).check(book, 0.0) is StopDecision.CONTINUE
    assert MaxTrialsFinished(3).check(book, 0.0) is StopDecision.STOP
    assert MaxTrialsFinished(4).check(book, 0.0) is StopDecision.CONTINUE


def test_evaluations_and_cost() -> None:
    book = Book()
    trial_id = begin(book)
    report(book, trial_id, loss=1.0)
    book.add_cost(trial_id, 2.5)
    assert MaxEvaluations(1).check(book, 0.0) is StopDecision.STOP
    assert MaxEvaluations(2).check(book, 0.0) is StopDecision.CONTINUE
    assert MaxCost(2.5).check(book, 0.0) is StopDecision.STOP
    assert MaxCost(2.51).check(book, 0.0) is StopDecision.NO_NEW_TRIALS, "another run would be too much"
    assert MaxCost(5.01).check(book, 0.0) is StopDecision.CONTINUE
    assert MaxCost(5.01).check(Book(), 0.0) is StopDecision.CONTINUE


@pytest.mark.parametrize("limit", [7.5, 19.0, 41.0, 49.9])
@pytest.mark.parametrize("until", [10, None])
def test_cost_is_stopped_before_it_is_passed(limit: float, until: int | None) -> None:
    """Two runs at a time, ten steps each, a dollar a step."""
    book, criterion = Book(), MaxCost(limit)
    running: list[int] = []
    while criterion.check(book, 0.0) is not StopDecision.STOP:
        if len(running) < 2 and criterion.check(book, 0.0) is StopDecision.CONTINUE:
            running.append(book.n_trials)
            book.begin_trial({})
            book.begin_run(Run(trial_id=running[-1], attempt=0, until=until), {}, 0.0)
        elif running:
            trial_id = running.pop(0)
            report(book, trial_id, loss=1.0)
            n_done = len(book.results(trial_id))
            book.add_cost(trial_id, float(n_done))
            if n_done == 10:
                book.move(trial_id, TrialStatus.COMPLETED)
            else:
                running.append(trial_id)
        else:
            break
    assert limit - 12 <= book.cost <= limit


@pytest.mark.parametrize(
    ("metric", "name", "bad", "good"), [(LOSS, "loss", 0.3, 0.2), (ACCURACY, "accuracy", 0.8, 0.9)]
)
def test_a_reached_metric_stops(metric: Metric, name: str, bad: float, good: float) -> None:
    book, criterion = Book(), MetricReached(metric, good)
    trial_id = begin(book)
    report(book, trial_id, **{name: bad})
    report(book, trial_id, **{name: math.nan})
    assert criterion.check(book, 0.0) is StopDecision.CONTINUE
    report(book, trial_id, **{name: good})
    assert criterion.check(book, 0.0) is StopDecision.STOP
    assert criterion.check(Book(), 0.0) is StopDecision.CONTINUE, "another history begins anew"


def test_plateau_counts_results_without_improvement() -> None:
    book, criterion = Book(), Plateau(LOSS, 3, tolerance=0.1)
    trial_id = begin(book)
    said = []
    for loss in (math.nan, 1.0, 0.95, 0.8, 0.75, 0.79, 0.9, 0.1):
        report(book, trial_id, loss=loss)
        said.append(criterion.check(book, 0.0) is StopDecision.STOP)
    assert said == [False, False, False, False, False, False, True, False]
    assert Plateau(LOSS, 3, tolerance=0.1).check(book, 0.0) is StopDecision.CONTINUE, (
        "read at once or bit by bit"
    )


def test_or_is_the_strictest_and_and_the_mildest() -> None:
    book = Book()
    begin(book)
    trials, time = MaxTrialsStarted(1), MaxWallclockTime(10)
    assert (trials | time).check(book, 0.0) is StopDecision.NO_NEW_TRIALS
    assert (trials | time).check(book, 10.0) is StopDecision.STOP
    assert (trials & time).check(book, 0.0) is StopDecision.CONTINUE
    assert (trials & time).check(book, 10.0) is StopDecision.NO_NEW_TRIALS
    assert (trials | time).deadline() == 10.0
    assert (trials & time).deadline() == math.inf
    assert (time & MaxWallclockTime(20)).deadline() == 20.0
    assert Never().check(book, math.inf) is StopDecision.CONTINUE
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
