"""Mixtures of two searchers: shares follow what the trials of each have shown."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.metric import Metric
from tunewright.searchers.mixture import Arm, MixtureSearcher, Outcomes, Successes, probability_better
from tunewright.searchers.model_free import RandomSearcher, RestrictedSearcher
from tunewright.searchers.repeats import Repeats
from tunewright.state import State
from tunewright.testing.histories import add_result, begin_trial, end_run
from tunewright.testing.spaces import CONTINUOUS
from tunewright.trial import Result, Suggestion, TrialStatus

LOSS = Metric("loss")
LEVELS = (1, 3, 9)


def outcomes(elapsed: str | None = None) -> Outcomes:
    return Outcomes(LOSS, LEVELS, 3, elapsed)


def mixture(seed: int = 0, judge: Outcomes | None = None, **settings: float | None) -> MixtureSearcher:
    arms = [
        Arm(name, RandomSearcher(CONTINUOUS, seed=number, points_to_evaluate=[]), words)
        for number, (name, words) in enumerate([("model", "from the model"), ("random", "random")])
    ]
    return MixtureSearcher(*arms, judge or outcomes(), seed=seed, **settings)


def tried(state: State, arm: str, loss: float, *, until: int = 1, **others: float) -> int:
    """A trial that ends at its first rung."""
    config = {"x": state.n_trials / 1000, "y": 0.0}
    trial_id = begin_trial(state, config, until=until, note={"searcher": {"arm": arm}})
    add_result(state, trial_id, {"loss": loss, **others}, resource=until)
    end_run(state, trial_id, TrialStatus.PAUSED)
    return trial_id


def filled(model: float, random: float, n: int = 20) -> State:
    """``n`` trials of each arm, with losses around the given ones."""
    state = State()
    for number in range(n):
        tried(state, "model", model + number / 1000)
        tried(state, "random", random + number / 1000)
    return state


def share_of_random(searcher: Searcher, state: State, n: int = 60) -> float:
    """Among the next trials, none of which reports."""
    arms: list[object] = []
    for _ in range(n):
        suggestion = searcher.suggest(state)
        assert suggestion is not None
        arms.append(suggestion.note["arm"])
        begin_trial(state, suggestion.config, until=1, note={"searcher": dict(suggestion.note)})
    return arms.count("random") / n


@pytest.mark.parametrize(
    ("first", "second"), [((7, 10), (3, 10)), ((0, 0), (0, 0)), ((0, 5), (4, 6)), ((20, 50), (8, 50))]
)
def test_the_probability_to_be_better_is_that_of_two_posteriors(
    first: tuple[int, int], second: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    draws = [rng.beta(1 + good, 1 + n - good, 200_000) for good, n in (first, second)]
    expected = float(np.mean(draws[0] > draws[1]))
    assert probability_better(Successes(*first), Successes(*second)) == pytest.approx(expected, abs=0.01)


def test_a_trial_succeeds_among_the_best_third_of_its_first_rung() -> None:
    state = State()
    for loss in (3.0, 1.0, 2.0, 4.0, 5.0, 6.0):
        tried(state, "model" if loss < 4 else "random", loss)
    tried(state, "random", 0.0, until=3)  # alone at its rung: not judged, but it is at rung 1 as well
    tried(state, "model", float("nan"))
    failed = begin_trial(state, {"x": 0.9, "y": 1.0}, until=1, note={"searcher": {"arm": "random"}})
    end_run(state, failed, TrialStatus.FAILED)
    found = outcomes().of(state)
    assert found == {"model": Successes(1, 4), "random": Successes(0, 4)}


def test_places_are_taken_as_others_arrive_and_only_the_newest_trials_count() -> None:
    state, judge = State(), outcomes()
    for number in range(60):
        tried(state, "model", 100.0 - number)
    assert judge.of(state) == {"model": Successes(20, 50)}
    for number in range(30):
        tried(state, "random", -float(number))
    assert judge.of(state) == {"model": Successes(0, 50), "random": Successes(30, 30)}
    assert outcomes().of(state) == judge.of(state)


def test_a_repeated_report_is_a_failure_and_takes_no_place() -> None:
    state = State()
    for loss in (1.0, 2.0, 3.0):
        tried(state, "random", loss, seconds=loss)
    for _ in range(5):
        tried(state, "model", 1.0, seconds=1.0)
    assert outcomes("seconds").of(state) == {"random": Successes(1, 3), "model": Successes(0, 5)}
    assert outcomes().of(state)["model"] == Successes(5, 5)


def test_repeats_are_whole_reports_of_other_trials_with_their_time() -> None:
    repeats = Repeats("seconds")
    same = Result(metrics={"loss": 1.0, "seconds": 0.1}, resource=1, time=5.0)
    assert repeats.original(0, same) is None
    assert repeats.original(0, same) is None
    assert repeats.original(1, Result(metrics={"loss": 1.0, "seconds": 0.2}, resource=1, time=5.0)) is None
    assert repeats.original(2, Result(metrics=same.metrics, resource=2, time=5.0)) is None
    assert repeats.original(3, Result(metrics=dict(same.metrics), resource=1, time=9.0)) == 0
    diverged = Result(metrics={"loss": float("nan"), "seconds": 0.1}, resource=1, time=5.0)
    assert [repeats.original(6, diverged), repeats.original(7, diverged)] == [None, None]
    without = Result(metrics={"loss": 1.0}, resource=1, time=5.0)
    assert [repeats.original(4, without), repeats.original(5, without)] == [None, None]


def test_the_better_arm_gets_more_and_none_less_than_its_floor() -> None:
    good_model, bad_model = (share_of_random(mixture(), filled(*losses)) for losses in ((0, 9), (9, 0)))
    assert 0.05 < good_model < 0.35
    assert 0.65 < bad_model < 0.95
    assert share_of_random(mixture(share=0.0), filled(9, 0)) == 0.0
    assert share_of_random(mixture(share=1.0), filled(0, 9)) == 1.0
    assert share_of_random(mixture(least_share=0.0), filled(0, 9)) == 0.0


def test_changes_are_announced_once() -> None:
    state, searcher = filled(0.0, 9.0), mixture()
    first = searcher.suggest(state)
    assert first is not None
    assert first.note["share"] == 0.2
    assert first.note["message"] == (
        "New configurations: 20% random, 80% from the model; among the best at their first rung were 0 of 20 random and 13 of 20 from the model"
    )
    begin_trial(state, first.config, until=1, note={"searcher": dict(first.note)})
    for searching in (searcher, mixture()):  # a restart reads the announcement from the notes
        again = searching.suggest(state)
        assert again is not None
        assert again.note.keys() == {"arm"}
    for number in range(60):
        tried(state, "random", -1.0 - number)
    changed = searcher.suggest(state)
    assert changed is not None
    assert "80% random (20% before)" in str(changed.note["message"])


def test_the_other_arm_goes_on_if_one_is_exhausted() -> None:
    class Nothing(Searcher):
        def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
            return None

    listed = RestrictedSearcher([{"x": 1.0, "y": 1.0}], space=CONTINUOUS, seed=0)
    one = MixtureSearcher(
        Arm("model", Nothing(), "model"), Arm("random", listed, "random"), outcomes(), seed=0, share=0.0
    )
    state = State()
    found = one.suggest(state)
    assert found is not None
    assert found.note["arm"] == "random"
    begin_trial(state, found.config)
    assert one.suggest(state) is None


def test_first_trials_come_from_the_other_arm_and_given_ones_count_for_none() -> None:
    searcher, state = mixture(share=0.0, n_initial=3, n_given=1), State()
    arms: list[object] = []
    for _ in range(4):
        suggestion = searcher.suggest(state)
        assert suggestion is not None
        arms.append(suggestion.note.get("arm"))
        begin_trial(state, suggestion.config, note={"searcher": dict(suggestion.note)})
    assert arms == [None, "random", "random", "model"]


@pytest.mark.parametrize("settings", [{"share": 1.5}, {"share": -0.1}, {"least_share": 0.6}])
def test_shares_that_cannot_work_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match="share"):
        mixture(**settings)
