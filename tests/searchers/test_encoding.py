"""History as arrays: what counts and what does not, in steps and at once."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tunewright.asktell import AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.journal import MemoryJournal
from tunewright.ledger import Ledger
from tunewright.methods import build_scheduler, method
from tunewright.metric import Goal, Metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.encoding import (
    Failures,
    Fit,
    Needed,
    Observations,
    Rows,
    Snapshot,
    Stopped,
    fits_note,
    limited,
)
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Categorical, Float, SearchSpace
from tunewright.testing.scheduler_simulator import ALL_FAULTS, SchedulerSimulator
from tunewright.testing.spaces import CONTINUOUS
from tunewright.trial import Decision, Ended, Reported, Start, TrialStatus

SCORE = Metric("score", Goal.MAXIMIZE)


class Story:
    """A history told event by event."""

    def __init__(self) -> None:
        scheduler = FIFO(RandomSearcher(CONTINUOUS, seed=0))
        self.ledger = Ledger(scheduler, MemoryJournal(), (SCORE,))
        self.seq: dict[int, int] = {}

    @property
    def history(self):
        return self.ledger.history

    def start(self, x: float, note: dict | None = None) -> int:
        start = Start(config={"x": x, "y": 0.0}, note={"searcher": note} if note else {})
        return self.ledger.begin(start, 0.0).trial_id

    def report(self, trial: int, epoch: int, score: float, **others: float) -> None:
        self.seq[trial] = self.seq.get(trial, 0) + 1
        metrics = {"score": score, **others}
        event = Reported(trial_id=trial, attempt=0, seq=self.seq[trial], resource=epoch, metrics=metrics)
        self.ledger.report(event, 0.0)

    def end(self, trial: int, exit_code: int = 0) -> None:
        self.ledger.end(Ended(trial_id=trial, attempt=0, exit=exit_code), 0.0)


def seen(snapshot: Snapshot) -> list[tuple[int, int, float]]:
    rows = snapshot.rows
    return list(zip(rows.trials.tolist(), rows.levels.tolist(), rows.losses.tolist(), strict=True))


def test_a_trial_counts_once_with_its_newest_loss_when_it_has_ended() -> None:
    story, observations = Story(), Observations(CONTINUOUS, SCORE)
    first, second, third, fourth = (story.start(float(x)) for x in range(4))
    story.report(first, 1, 0.1)
    story.report(second, 1, 0.2)
    story.report(first, 2, 0.3)
    story.report(third, 1, math.nan)
    story.report(fourth, 1, 0.9)
    assert seen(observations.read(story.history)) == []
    for trial in (first, third):
        story.end(trial)
    story.end(fourth, exit_code=1)
    snapshot = observations.read(story.history)
    assert seen(snapshot) == [(first, 0, -0.3)]
    assert snapshot.pending.tolist() == [second]
    story.end(second)
    assert seen(observations.read(story.history)) == [(second, 0, -0.2), (first, 0, -0.3)]


def test_at_levels_each_trial_counts_where_it_has_been() -> None:
    story, observations = Story(), Observations(CONTINUOUS, SCORE, (1, 3, 9))
    first, second, third = (story.start(float(x)) for x in range(3))
    story.report(first, 1, 0.1)
    story.report(first, 2, 0.2)
    story.report(first, 4, 0.4)
    story.report(second, 3, math.inf)
    story.report(third, 1, 0.5)
    snapshot = observations.read(story.history)
    assert seen(snapshot) == [(first, 0, -0.1), (first, 1, -0.4), (third, 0, -0.5)]
    pending = dict(zip(snapshot.pending.tolist(), snapshot.pending_levels.tolist(), strict=True))
    assert pending == {first: 2, second: 2, third: 1}
    story.report(first, 9, 0.9)
    story.end(third, exit_code=1)
    snapshot = observations.read(story.history)
    assert seen(snapshot) == [(first, 0, -0.1), (first, 1, -0.4), (first, 2, -0.9)]
    assert snapshot.pending.tolist() == [second]


def test_imputed_failures_count_with_the_worst_finite_loss() -> None:
    story, observations = Story(), Observations(CONTINUOUS, SCORE, failures=Failures.IMPUTE)
    good, bad, diverged, crashed, silent = (story.start(float(x)) for x in range(5))
    for trial, score in ((good, 0.9), (bad, 0.2), (diverged, math.nan), (crashed, 0.95)):
        story.report(trial, 1, score)
    for trial in (diverged, good):
        story.end(trial)
    for trial in (crashed, silent):
        story.end(trial, exit_code=1)
    snapshot = observations.read(story.history)
    losses = {trial: loss for trial, _, loss in seen(snapshot)}
    assert losses == {good: -0.9, diverged: -0.9, crashed: -0.9, silent: -0.9}
    assert snapshot.failed.tolist() == [diverged, crashed, silent]
    assert snapshot.succeeded.tolist() == [good]
    story.end(bad)
    losses = {trial: loss for trial, _, loss in seen(observations.read(story.history))}
    assert losses == {good: -0.9, bad: -0.2, diverged: -0.2, crashed: -0.2, silent: -0.2}


def test_imputed_failures_count_at_levels() -> None:
    story, observations = Story(), Observations(CONTINUOUS, SCORE, (1, 3, 9), failures=Failures.IMPUTE)
    good, late, silent, diverged = (story.start(float(x)) for x in range(4))
    for epoch, score in ((1, 0.1), (3, 0.3)):
        story.report(good, epoch, score)
    story.report(late, 1, 0.5)
    story.report(diverged, 1, 0.4)
    story.report(diverged, 3, math.nan)
    for trial in (late, silent):
        story.end(trial, exit_code=1)
    snapshot = observations.read(story.history)
    assert {(trial, level): loss for trial, level, loss in seen(snapshot)} == {
        (good, 0): -0.1,
        (good, 1): -0.3,
        (diverged, 0): -0.4,
        (diverged, 1): -0.3,
        (late, 0): -0.1,
        (late, 1): -0.3,
        (silent, 0): -0.1,
    }
    assert [snapshot.target_level(n) for n in (1, 2)] == [1, None]
    assert snapshot.succeeded_at(0).trials.tolist() == [good]
    assert observations.read(story.history) is snapshot


def test_stopped_trials_are_pending_if_their_final_loss_is_unknown() -> None:
    benchmark = RealBenchmarkDefinition(
        name="scores", script="none", space=CONTINUOUS, metrics=(SCORE,), max_resource=2
    )
    scheduler = build_scheduler(method("MedianStopping", grace_population=1), benchmark, 0, {})
    tuning = AskTell(scheduler, [SCORE])
    for score in (0.9, 0.8, 0.1):
        asked = tuning.ask()
        assert asked is not None
        tuning.tell(asked, {"score": score})
        if tuning.tell(asked, {"score": score}).decision is Decision.CONTINUE:
            tuning.complete(asked)
    stopped = list(tuning.history.ids(TrialStatus.STOPPED))
    assert stopped
    counted = Observations(CONTINUOUS, SCORE).read(tuning.history)
    assert len(counted.rows) == 3
    assert not len(counted.pending)
    awaited = Observations(CONTINUOUS, SCORE, stopped=Stopped.FANTASISE).read(tuning.history)
    assert awaited.pending.tolist() == stopped
    assert set(awaited.rows.trials) == set(tuning.history.ids(TrialStatus.COMPLETED))


def test_a_model_learns_from_one_result_more_than_there_are_hyperparameters() -> None:
    space = SearchSpace({f"op{i}": Categorical(tuple("abcde")) for i in range(6)})
    assert Needed.HYPERPARAMETERS.results(space) == 7
    assert Needed.COLUMNS.results(space) == 31
    wide = SearchSpace({f"x{i}": Float(0.0, 1.0) for i in range(40)})
    assert Needed.HYPERPARAMETERS.results(wide) == 10


@pytest.mark.parametrize("failures", Failures)
@pytest.mark.parametrize("levels", [(), (1, 3, 9)])
def test_reading_in_steps_is_reading_at_once(levels: tuple[int, ...], failures: Failures) -> None:
    scheduler = FIFO(RandomSearcher(CONTINUOUS, seed=0))
    simulator = SchedulerSimulator(scheduler, SCORE, max_resource=9, n_trials=30, faults=ALL_FAULTS)
    in_steps = Observations(CONTINUOUS, SCORE, levels, failures=failures)
    while simulator.step():
        got = in_steps.read(simulator.history)
        expected = Observations(CONTINUOUS, SCORE, levels, failures=failures).read(simulator.history)
        assert seen(got) == seen(expected)
        assert got.pending.tolist() == expected.pending.tolist()
        assert got.pending_levels.tolist() == expected.pending_levels.tolist()
        np.testing.assert_array_equal(got.points, expected.points)
    assert len(got.rows) > 10


def test_another_history_is_read_anew() -> None:
    observations = Observations(CONTINUOUS, SCORE)
    for x in (1.0, 2.0):
        story = Story()
        trial = story.start(x)
        story.report(trial, 1, x)
        story.end(trial)
        assert seen(observations.read(story.history)) == [(0, 0, -x)]


def test_the_newest_hyperparameters_of_each_model_come_back_from_the_notes() -> None:
    story = Story()
    theta = np.array([0.1, -1 / 3, 1e-17])
    story.start(0.0, fits_note({"a": Fit(3, theta), "b": Fit(3, theta)}))
    story.start(1.0)
    story.start(2.0, fits_note({"a": Fit(7, 2 * theta)}))
    fits = Observations(CONTINUOUS, SCORE).read(story.history).fits
    assert {name: fit.n_rows for name, fit in fits.items()} == {"a": 7, "b": 3}
    np.testing.assert_array_equal(fits["a"].theta, 2 * theta)
    np.testing.assert_array_equal(fits["b"].theta, theta)
    assert fits_note({}) == {}


def test_a_limit_keeps_high_levels_then_the_best_then_an_even_choice() -> None:
    levels = np.array([0] * 60 + [1] * 20 + [2] * 5)
    losses = np.random.default_rng(0).permutation(85).astype(float)
    rows = Rows(np.arange(85), levels, losses)
    kept = limited(rows, 45)
    assert len(kept) == 45
    assert np.count_nonzero(kept.levels == 2) == 5
    assert np.count_nonzero(kept.levels == 1) == 20
    best = np.sort(losses[:60])[:5]
    assert set(best) <= set(kept.losses[kept.levels == 0])
    assert (np.diff(kept.trials) > 0).all()
    at_lowest = kept.trials[kept.levels == 0]
    assert at_lowest.min() < 10
    assert at_lowest.max() > 50
    assert limited(rows, 85) is rows
    assert len(limited(rows, 5)) == 5


@pytest.mark.parametrize("levels", [(), (1, 3, 9)])
def test_with_further_metrics_a_result_counts_where_all_are_finite(levels: tuple[int, ...]) -> None:
    story = Story()
    observations = Observations(CONTINUOUS, SCORE, levels, [Metric("seconds")])
    trials = [story.start(float(x)) for x in range(4)]
    for trial, values in zip(trials, [(0.1, 5.0), (0.2, math.inf), (math.nan, 6.0), (0.4, 7.0)], strict=True):
        story.report(trial, 1, values[0], seconds=values[1])
        story.end(trial, exit_code=int(trial == trials[3]))
    story.report(story.start(9.0), 1, 0.5)
    snapshot = observations.read(story.history)
    assert snapshot.rows.trials.tolist() == [trials[0]]
    assert snapshot.objectives.tolist() == [[-0.1, 5.0]]
    assert snapshot.rows.losses.tolist() == [-0.1]
    one = Observations(CONTINUOUS, SCORE, levels).read(story.history)
    assert one.objectives.tolist() == [[loss] for loss in one.rows.losses.tolist()]
