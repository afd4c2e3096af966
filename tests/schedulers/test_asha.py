from __future__ import annotations

import math
from collections import Counter

import pytest

from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.metric import Goal, Metric
from tunewright.schedulers.asha import ASHA, ASHAKind, ASHASettings
from tunewright.schedulers.rungs import bracket_weights
from tunewright.searchers.model_free import RandomSearcher
from tunewright.testing.spaces import CONTINUOUS, SMALL
from tunewright.trial import Decision, Resume, Start, Suggestion, TrialStatus


def asha(**settings) -> ASHA:
    settings = {"max_resource": 27} | settings
    return ASHA(RandomSearcher(CONTINUOUS, seed=0), ASHASettings(**settings), metric=Metric("loss"), seed=0)


def resumed(suggestion: Start | Resume | None) -> tuple[int, int | None] | None:
    return (suggestion.trial_id, suggestion.until) if isinstance(suggestion, Resume) else None


class Listening(Searcher):
    def __init__(self) -> None:
        self.until: list[int | None] = []

    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        self.until.append(until)
        return Suggestion(config={"x": history.n_trials}, note={"fit": 1})


# --- settings


def test_defaults() -> None:
    settings = ASHASettings(max_resource=81)
    assert settings.kind is ASHAKind.PROMOTION
    assert settings.levels == (1, 3, 9, 27)
    assert ASHASettings(max_resource=10, rung_levels=(2, 5), kind="stopping").levels == (2, 5)
    assert ASHASettings(max_resource=81, brackets=5).brackets == 5


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"max_resource": 1}, "max_resource=1"),
        ({"eta": 1.5}, "eta=1.5"),
        ({"eta": float("inf")}, "eta=inf"),
        ({"eta": float("nan")}, "eta=nan"),
        ({"grace_period": 0}, "grace_period=0"),
        ({"grace_period": 27}, "grace_period=27"),
        ({"brackets": 0}, "brackets=0"),
        ({"brackets": 5}, "between 1 and 4"),
        ({"rung_levels": ()}, "rung_levels="),
        ({"rung_levels": (3, 3)}, "rung_levels="),
        ({"rung_levels": (3, 27)}, "rung_levels="),
        ({"rung_levels": (0, 3)}, "rung_levels="),
        ({"kind": "halving"}, "'halving'"),
    ],
)
def test_settings_that_cannot_work_are_refused(wrong: dict, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        ASHASettings(**({"max_resource": 27} | wrong))


# --- promotion


def test_a_new_trial_runs_to_the_first_rung_and_pauses_there(hand) -> None:
    driver = hand(asha(grace_period=2))
    run = driver.begin()
    assert run.until == 2
    assert driver.history.note(0) == {"bracket": 0}
    assert driver.report(0, 1, 1.0).decision is Decision.CONTINUE
    verdict = driver.report(0, 2, 1.0)
    assert verdict.decision is Decision.PAUSE
    assert "2" in verdict.reason


def test_promotions_look_from_the_top_down_and_end_at_the_maximum(hand) -> None:
    driver = hand(asha(max_resource=9))
    driver.pause_at(1, *[float(i) for i in range(12)])
    for trial_id in range(3):
        assert driver.begin().trial_id == trial_id
    for trial_id, loss in ((1, 1.5), (2, 0.5), (0, 2.5)):
        assert driver.report(trial_id, 3, loss).decision is Decision.PAUSE
        driver.end(trial_id)
    assert resumed(driver.suggest()) == (2, None)  # one of three at level 3, before trial 3 at level 1
    run = driver.begin()
    assert (run.resume_from, run.until) == (3, None)
    assert driver.report(2, 9, 0.1).decision is Decision.CONTINUE
    assert driver.end(2) is TrialStatus.COMPLETED
    assert 2 not in driver.scheduler.resumable(driver.history)
    assert resumed(driver.suggest()) == (3, 3)


def test_two_in_a_rung_promote_nobody(hand) -> None:
    driver = hand(asha())
    driver.pause_at(1, 1.0, 2.0)
    assert isinstance(driver.suggest(), Start)


def test_a_trial_is_promoted_only_after_its_run_has_ended(hand) -> None:
    driver = hand(asha())
    driver.begin()
    driver.report(0, 1, 0.1)
    driver.pause_at(1, 1.0, 2.0)
    assert isinstance(driver.suggest(), Start)  # trial 0 is best but still running
    assert 0 not in driver.scheduler.resumable(driver.history)
    driver.end(0)
    assert resumed(driver.suggest()) == (0, 3)
    assert 0 in driver.scheduler.resumable(driver.history)


def test_maximised_metrics(hand) -> None:
    settings = ASHASettings(max_resource=9)
    searcher = RandomSearcher(CONTINUOUS, seed=0)
    driver = hand(ASHA(searcher, settings, metric=Metric("loss", Goal.MAXIMIZE), seed=0))
    driver.pause_at(1, 3.0, 1.0, 2.0)
    assert resumed(driver.suggest()) == (0, 3)


def test_nan_ranks_last_and_is_given_up(hand) -> None:
    driver = hand(asha())
    driver.pause_at(1, math.nan, math.inf, -math.inf, 5.0)
    assert resumed(driver.suggest()) == (3, 3)
    assert set(driver.scheduler.resumable(driver.history)) == {3}


def test_a_report_that_jumps_counts_for_all_rungs_that_it_reached(hand) -> None:
    driver = hand(asha())
    driver.pause_at(1, 5.0, 6.0)
    driver.begin()
    assert driver.report(2, 4, 1.0).decision is Decision.PAUSE  # over 1 and 3
    driver.end(2)
    assert isinstance(driver.suggest(), Start)  # best of rung 1, but it is through; alone in rung 3
    driver.pause_at(4, 7.0, 8.0)
    assert resumed(driver.suggest()) == (2, 9)


def test_a_jump_to_the_end_is_an_end(hand) -> None:
    driver = hand(asha())
    driver.begin()
    assert driver.report(0, 27, 1.0).decision is Decision.CONTINUE
    assert driver.end(0) is TrialStatus.COMPLETED
    assert not driver.scheduler.resumable(driver.history)


def test_a_script_that_runs_past_the_maximum_is_stopped(hand) -> None:
    for kind in ASHAKind:
        driver = hand(asha(kind=kind))
        driver.begin()
        assert driver.report(0, 28, 1.0).decision is Decision.STOP


def test_a_completed_trial_counts_for_the_rung_that_it_was_running_to(hand) -> None:
    driver = hand(asha(grace_period=3))
    for loss in (1.0, 2.0, 3.0):
        trial_id = driver.begin().trial_id
        driver.report(trial_id, 1, loss)
        assert driver.end(trial_id) is TrialStatus.COMPLETED
    driver.pause_at(3, 2.5, 4.0, 5.0)
    assert isinstance(driver.suggest(), Start)  # two of six would go on: the completed 1.0 and 2.0
    driver.pause_at(3, 6.0, 7.0, 8.0)
    assert resumed(driver.suggest()) == (3, 9)  # the third of nine


def test_a_failed_trial_keeps_its_places_and_is_not_resumed(hand) -> None:
    driver = hand(asha())
    driver.pause_at(1, 1.0, 2.0, 3.0)
    assert driver.begin().trial_id == 0
    driver.end(0, exit_code=1)
    assert driver.history.status(0) is TrialStatus.FAILED
    driver.pause_at(1, 4.0, 5.0)
    assert isinstance(driver.suggest(), Start)  # the failed one holds the only place of five
    driver.pause_at(1, 6.0)
    assert resumed(driver.suggest()) == (1, 3)


def test_a_trial_that_fails_before_its_first_rung_leaves_no_value(hand) -> None:
    driver = hand(asha())
    for _ in range(3):
        driver.end(driver.begin().trial_id, exit_code=1)
    driver.pause_at(1, 1.0, 2.0)
    assert isinstance(driver.suggest(), Start)


def test_a_script_that_begins_from_scratch_repeats_without_effect(hand) -> None:
    driver = hand(asha())
    driver.pause_at(1, 1.0, 2.0, 3.0)
    driver.begin()
    assert driver.report(0, 1, 9.0).decision is Decision.CONTINUE
    assert driver.report(0, 2, 9.0).decision is Decision.CONTINUE
    assert driver.report(0, 3, 0.5).decision is Decision.PAUSE
    assert [r.resource for r in driver.history.results(0)] == [1, 2, 3]


def test_when_the_space_is_exhausted_promotions_go_on(hand) -> None:
    settings = ASHASettings(max_resource=9)
    driver = hand(ASHA(RandomSearcher(SMALL, seed=0), settings, metric=Metric("loss"), seed=0))
    for _ in range(6):
        driver.begin()
    assert driver.suggest() is None
    for trial_id in range(6):
        driver.report(trial_id, 1, float(trial_id))
        driver.end(trial_id)
    assert [driver.begin().trial_id for _ in range(2)] == [0, 1]
    assert driver.suggest() is None


# --- stopping


def test_stopping_compares_at_rungs_only(hand) -> None:
    driver = hand(asha(kind="stopping", grace_period=2))
    for _ in range(3):
        assert driver.begin().until is None
    assert driver.report(0, 2, 1.0).decision is Decision.CONTINUE  # the first of a rung
    assert driver.report(1, 1, 9.0).decision is Decision.CONTINUE  # below it
    assert driver.report(1, 2, 9.0).decision is Decision.STOP
    assert driver.report(0, 3, 9.0).decision is Decision.CONTINUE  # between two
    assert driver.report(2, 2, 0.5).decision is Decision.CONTINUE
    assert not driver.scheduler.resumable(driver.history)


def test_stopping_never_keeps_nan_in_company(hand) -> None:
    driver = hand(asha(kind="stopping"))
    for _ in range(4):
        driver.begin()
    assert driver.report(0, 1, math.nan).decision is Decision.CONTINUE
    assert driver.report(1, 1, math.nan).decision is Decision.STOP
    assert driver.report(2, 1, 7.0).decision is Decision.CONTINUE
    assert driver.report(3, 1, math.inf).decision is Decision.STOP


def test_stopping_at_a_jump_needs_to_survive_every_rung(hand) -> None:
    driver = hand(asha(kind="stopping"))
    for _ in range(2):
        driver.begin()
    driver.report(0, 1, 1.0)
    verdict = driver.report(1, 3, 2.0)  # first at level 3, worst at level 1
    assert verdict.decision is Decision.STOP
    assert verdict.reason.startswith("rung 1")


def test_stopping_lets_the_last_stretch_end_by_itself(hand) -> None:
    driver = hand(asha(kind="stopping"))
    driver.begin()
    assert driver.report(0, 27, 1.0).decision is Decision.CONTINUE
    assert driver.end(0) is TrialStatus.COMPLETED


# --- brackets


def test_brackets_are_drawn_like_hyperbands(hand) -> None:
    driver = hand(asha(brackets=3))
    n_trials = 600
    for _ in range(n_trials):
        run = driver.begin()
        assert run.until == (1, 3, 9)[driver.history.note(run.trial_id)["bracket"]]
    counts = Counter(driver.history.note(i)["bracket"] for i in range(n_trials))
    for bracket, weight in enumerate(bracket_weights((1, 3, 9), 27, 3)):
        deviation = math.sqrt(n_trials * weight * (1 - weight))
        assert abs(counts[bracket] - n_trials * weight) < 5 * deviation


def test_the_last_bracket_runs_to_the_end_without_comparison(hand) -> None:
    driver = hand(asha(max_resource=3, brackets=2))  # levels: 1
    runs = [driver.begin() for _ in range(30)]
    brackets = {run.until: driver.history.note(run.trial_id)["bracket"] for run in runs}
    assert brackets == {1: 0, None: 1}
    last = next(run.trial_id for run in runs if run.until is None)
    assert driver.report(last, 1, 9.0).decision is Decision.CONTINUE
    assert driver.report(last, 3, 9.0).decision is Decision.CONTINUE


def bracket_pauses(driver, n_trials: int) -> dict[int, list[int]]:
    """Start trials in brackets 0 and 1; each pauses at its first rung, with its id as the loss."""
    ids: dict[int, list[int]] = {0: [], 1: []}
    runs = [driver.begin() for _ in range(n_trials)]
    for run in runs:
        ids[driver.history.note(run.trial_id)["bracket"]].append(run.trial_id)
        driver.report(run.trial_id, run.until, float(run.trial_id))
        driver.end(run.trial_id)
    return ids


@pytest.mark.parametrize("shared", [True, False])
def test_brackets_are_compared_only_where_rungs_are_shared(hand, shared: bool) -> None:
    driver = hand(asha(brackets=2, shared_rungs=shared))
    ids = bracket_pauses(driver, 24)
    assert len(ids[1]) >= 3
    best_of_bracket_1 = ids[1][: len(ids[1]) // 3]
    for trial_id in best_of_bracket_1:  # level 3 holds trials of bracket 1 only
        run = driver.begin()
        assert (run.trial_id, run.until) == (trial_id, 9)
        driver.end(run.trial_id, exit_code=1)
    promoted = [driver.begin() for _ in range(len(ids[0]) // 3)]
    assert [run.trial_id for run in promoted] == ids[0][: len(ids[0]) // 3]
    assert {run.until for run in promoted} == {3}
    first = promoted[0].trial_id
    driver.report(first, 3, -1.0)
    driver.end(first)
    goes_on = resumed(driver.suggest()) == (first, 9)
    assert goes_on == shared  # alone at level 3 of its own bracket, or the best of many


def test_the_searcher_hears_how_far_the_trial_will_run(hand) -> None:
    searcher = Listening()
    driver = hand(ASHA(searcher, ASHASettings(max_resource=9), metric=Metric("loss"), seed=0))
    assert driver.suggest() == Start(config={"x": 0}, until=1, note={"bracket": 0, "searcher": {"fit": 1}})
    settings = ASHASettings(max_resource=9, kind=ASHAKind.STOPPING)
    hand(ASHA(searcher, settings, metric=Metric("loss"), seed=0)).suggest()
    assert searcher.until == [1, None]
