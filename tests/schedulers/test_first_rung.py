"""The first rung is dropped by evidence, and repeated trials are not promoted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import stats

from tunewright.metric import Metric
from tunewright.schedulers.asha import ASHA, RungSettings
from tunewright.schedulers.first_rung import FirstRung, upper_correlation
from tunewright.searchers.model_free import RandomSearcher
from tunewright.state import State
from tunewright.testing.histories import add_result, begin_trial, end_run, resume_trial
from tunewright.testing.spaces import CONTINUOUS
from tunewright.trial import Decision, Resume, Start, TrialStatus

LOSS = Metric("loss")


def evidence(first: np.ndarray, second: np.ndarray, looks: tuple[int, ...] = (100,)) -> FirstRung:
    rung = FirstRung(1, 3)
    for trial_id, (before, after) in enumerate(zip(first, second, strict=True)):
        rung.observe(trial_id, 1, float(before))
        rung.observe(trial_id, 2, -9.0)
        rung.observe(trial_id, 3, float(after))
    for look in looks:
        rung.look(look)
    return rung


@pytest.mark.parametrize("n", [15, 60])
def test_the_interval_is_that_of_spearmans_correlation(n: int) -> None:
    rng = np.random.default_rng(n)
    first = rng.integers(0, 8, n).astype(float)
    second = first + rng.integers(0, 8, n)
    rho = float(stats.spearmanr(first, second).statistic)
    expected = np.tanh(np.arctanh(rho) + 1.96 * np.sqrt(1.06 / (n - 3)))
    assert upper_correlation(first, second) == pytest.approx(expected)


def test_constant_values() -> None:
    ramp, flat = np.arange(30.0), np.zeros(30)
    assert upper_correlation(ramp, flat) == 1.0
    assert upper_correlation(flat, ramp) == pytest.approx(np.tanh(1.96 * np.sqrt(1.06 / 27)))
    assert upper_correlation(ramp, ramp) == pytest.approx(1.0)
    assert upper_correlation(ramp, -ramp) < 0


def test_a_rung_is_dropped_by_enough_trials_of_which_each_reported_at_both_levels() -> None:
    ramp = np.arange(40.0)
    assert evidence(ramp, -ramp).is_dropped
    assert not evidence(ramp, ramp).is_dropped
    assert not evidence(ramp[:14], -ramp[:14]).is_dropped
    holed = np.where(ramp < 26, np.nan, ramp)
    assert not evidence(holed, -ramp).is_dropped
    jumping = FirstRung(1, 3)
    for trial_id in range(40):
        jumping.observe(trial_id, 3, float(trial_id))
    jumping.look(100)
    assert jumping.n_trials == 0


def test_it_looks_again_every_50_trials() -> None:
    ramp = np.arange(20.0)
    rung = evidence(ramp, -ramp, looks=(20,))
    assert rung.is_dropped
    assert (rung.level, rung.n_trials) == (3, 20)
    for trial_id in range(20, 100):
        rung.observe(trial_id, 1, float(trial_id))
        rung.observe(trial_id, 3, float(trial_id))
    rung.look(69)
    assert rung.is_dropped
    rung.look(70)
    assert not rung.is_dropped
    assert rung.level == 1
    assert "resource 1: over 100 trials" in rung.text()


def scheduler(**settings: Any) -> ASHA:
    rungs = RungSettings(brackets=2).within(9, **settings)
    return ASHA(RandomSearcher(CONTINUOUS, seed=0), rungs, metric=LOSS, seed=0)


class Played:
    """Trials one after the other, each to its first rung."""

    def __init__(self, asha: ASHA) -> None:
        self.asha = asha
        self.state = State()
        self.brackets: list[int] = []
        self.messages: list[str] = []

    def play(self, n: int, sign: float) -> None:
        """Losses at resource 3 are ``sign`` times those at 1."""
        while n:
            suggestion = self.asha.suggest(self.state)
            if isinstance(suggestion, Resume):
                self._fail(suggestion.trial_id)
                continue
            assert isinstance(suggestion, Start)
            self._run(suggestion, sign)
            n -= 1

    def _fail(self, trial_id: int) -> None:
        resume_trial(self.state, trial_id)
        self.asha.on_trial_start(self.state, self.state.run(trial_id))
        end_run(self.state, trial_id, TrialStatus.FAILED)
        self.asha.on_trial_end(self.state, trial_id, TrialStatus.FAILED)

    def _run(self, start: Start, sign: float) -> None:
        state, asha = self.state, self.asha
        note = json.loads(json.dumps(dict(start.note)))
        trial_id = begin_trial(state, start.config, until=start.until, note=note)
        asha.on_trial_start(state, state.run(trial_id))
        self.brackets.append(note["bracket"])
        self.messages += [note["message"]] if "message" in note else []
        loss = float(start.config["x"])
        for resource in range(1, (start.until or 9) + 1):
            value = loss if resource == 1 else sign * loss
            add_result(state, trial_id, {"loss": value}, resource=resource)
            asha.on_trial_result(state, trial_id, state.results(trial_id)[-1])
        end_run(state, trial_id, TrialStatus.PAUSED, checkpoint=start.until)
        asha.on_trial_end(state, trial_id, TrialStatus.PAUSED)


def test_new_trials_start_at_the_second_rung_while_the_first_says_nothing() -> None:
    played = Played(scheduler(drop_first_rung=True))
    played.play(120, sign=-1.0)
    assert set(played.brackets[:30]) == {0, 1}
    assert set(played.brackets[-40:]) == {1}
    assert len(played.messages) == 1
    assert "first compared at resource 3" in played.messages[0]
    played.play(350, sign=1.0)
    assert set(played.brackets[-30:]) == {0, 1}
    assert "first compared at resource 1" in played.messages[-1]


@pytest.mark.parametrize(("drops", "sign"), [(False, -1.0), (True, 1.0)])
def test_it_stays_without_the_setting_and_if_it_ranks_right(drops: bool, sign: float) -> None:
    played = Played(scheduler(drop_first_rung=drops))
    played.play(120, sign)
    assert set(played.brackets[-30:]) == {0, 1}
    assert played.messages == []


@pytest.mark.parametrize("elapsed", ["seconds", None])
def test_a_repeat_is_stopped_and_takes_no_place(elapsed: str | None) -> None:
    rungs = RungSettings().within(9, elapsed=elapsed)
    asha, state = ASHA(RandomSearcher(CONTINUOUS, seed=0), rungs, metric=LOSS, seed=0), State()
    reports = [(5.0, 1.0), (1.0, 2.0), (1.0, 2.0), (1.0, 3.0), (7.0, 4.0), (8.0, 5.0)]
    decisions: list[Decision] = []
    for loss, seconds in reports:
        trial_id = begin_trial(state, {"x": state.n_trials / 9, "y": 0.0}, until=1, note={"bracket": 0})
        asha.on_trial_start(state, state.run(trial_id))
        add_result(state, trial_id, {"loss": loss, "seconds": seconds})
        verdict = asha.on_trial_result(state, trial_id, state.results(trial_id)[-1])
        decisions.append(verdict.decision)
        status = TrialStatus.STOPPED if verdict.decision is Decision.STOP else TrialStatus.PAUSED
        end_run(state, trial_id, status, checkpoint=1)
        asha.on_trial_end(state, trial_id, status)
    stopped = [trial_id for trial_id, one in enumerate(decisions) if one is Decision.STOP]
    assert stopped == ([2] if elapsed else [])
    assert set(asha.resumable(state)) == set(range(6)) - set(stopped)
    first = asha.suggest(state)
    assert isinstance(first, Resume)
    assert first.trial_id == 1
