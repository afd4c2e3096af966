from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.exceptions import SettingsError
from tunewright.schedulers.brackets import Bracket, HyperbandSettings, Stage, Standing, hyperband_table

PLAN = (Stage(1, 9), Stage(3, 3), Stage(9, 1))


def paused(loss: float, trial_id: int, reached: int = 1) -> Standing:
    return Standing(loss, trial_id, reached, is_paused=True)


def full(*losses: float, held: dict[int, None] | None = None) -> Bracket:
    """A bracket of nine whose trials have ended their first runs."""
    bracket = Bracket(0, PLAN, {} if held is None else held)
    for trial_id in range(9):
        bracket.begin(trial_id, 0)
    for trial_id, loss in enumerate(losses):
        bracket.end(paused(loss, trial_id))
    return bracket


def test_the_table_of_the_paper() -> None:
    table = hyperband_table((1, 3, 9, 27, 81), 3)
    assert [[(stage.size, stage.level) for stage in stages] for stages in table] == [
        [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)],
        [(34, 3), (11, 9), (3, 27), (1, 81)],
        [(15, 9), (5, 27), (1, 81)],
        [(8, 27), (2, 81)],
        [(5, 81)],
    ]


@given(st.integers(2, 500), st.integers(1, 20), st.sampled_from([2, 2.5, 3, 4]))
def test_brackets_shrink_by_eta_and_end_with_the_maximum(most: int, grace: int, eta: float) -> None:
    settings = HyperbandSettings(max_resource=most + grace, grace_period=grace, eta=eta)
    for number, stages in enumerate(settings.table):
        assert [stage.level for stage in stages] == list(settings.levels[number:])
        assert stages[-1].level == most + grace
        for i, stage in enumerate(stages):
            assert stage.size >= 1
            assert stage.size <= stages[0].size / eta**i + 1e-6 or stage.size == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_resource": 1}, "grace_period=1"),
        ({"grace_period": 0}, "grace_period=0"),
        ({"eta": 1.5}, "eta"),
        ({"eta": float("inf")}, "eta=inf"),
        ({"eta": float("nan")}, "eta=nan"),
        ({"brackets": 5}, "between 1 and 4"),
        ({"brackets": 0}, "brackets=0 must be >= 1"),
    ],
)
def test_settings_that_cannot_work(settings: dict, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        HyperbandSettings(**{"max_resource": 27} | settings)


def test_a_number_of_brackets() -> None:
    assert len(HyperbandSettings(max_resource=27, brackets=2).table) == 2
    assert len(HyperbandSettings(max_resource=27).table) == 4


def test_nobody_is_promoted_before_the_last_has_ended() -> None:
    held: dict[int, None] = {}
    bracket = full(5.0, 4.0, 3.0, 2.0, 1.0, 0.0, 7.0, 8.0, held=held)
    assert bracket.due is None
    assert set(held) == {3, 4, 5}
    bracket.end(paused(2.5, 8))
    assert bracket.due == 5
    bracket.begin(5, 1)
    assert bracket.due == 4
    assert set(held) == {3, 4}


def test_equal_losses_go_by_age() -> None:
    assert full(*[1.0] * 9).due == 0


@given(st.permutations(range(9)))
def test_any_order_of_ends_promotes_the_same(order: list[int]) -> None:
    bracket = full()
    for trial_id in order:
        bracket.end(paused(float(trial_id % 4), trial_id))
    due = []
    while bracket.due is not None:
        due.append(bracket.due)
        bracket.begin(bracket.due, 1)
    assert due == [0, 4, 8]
    assert not bracket.is_over


def test_failed_and_diverged_trials_leave_their_places_to_others() -> None:
    bracket = full(math.inf, math.inf, math.inf, math.inf, math.inf, math.inf, math.inf, 3.0)
    bracket.end(Standing(1.0, 8, 1, is_paused=False))
    assert bracket.due == 7
    bracket.begin(7, 1)
    assert bracket.due is None
    bracket.end(Standing(math.inf, 7, 1, is_paused=False))
    assert bracket.is_over


def test_a_trial_that_jumped_to_the_next_level_is_there_already() -> None:
    held: dict[int, None] = {}
    bracket = full(1.0, 2.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, held=held)
    bracket.end(Standing(1.5, 8, 4, is_paused=True))
    assert set(held) == {0, 1, 8}
    for trial_id in (0, 1):
        assert bracket.due == trial_id
        bracket.begin(trial_id, 1)
    bracket.end(paused(3.0, 0, 3))
    bracket.end(paused(2.0, 1, 3))
    assert (bracket.due, bracket.rung, bracket.until(2)) == (8, 2, None)
    assert set(held) == {8}
    bracket.begin(8, 2)
    bracket.end(Standing(0.0, 8, 9, is_paused=False))
    assert bracket.is_over
    assert not held


def test_where_all_jumped_to_the_end_the_bracket_is_over() -> None:
    bracket = Bracket(0, (Stage(1, 2), Stage(3, 1)), {})
    for trial_id in range(2):
        bracket.begin(trial_id, 0)
    for trial_id in range(2):
        bracket.end(Standing(1.0, trial_id, 3, is_paused=False))
    assert bracket.is_over


def test_a_bracket_that_gets_no_more_trials_goes_on_with_what_it_has() -> None:
    held: dict[int, None] = {}
    bracket = Bracket(0, PLAN, held)
    assert bracket.due_if_full() is None
    for trial_id in range(5):
        bracket.begin(trial_id, 0)
    for trial_id in range(4):
        bracket.end(paused(-float(trial_id), trial_id))
    assert bracket.due_if_full() is None
    bracket.end(paused(9.0, 4))
    assert bracket.due_if_full() == (3, 1)
    bracket.begin(3, 1)
    assert not bracket.has_place
    assert bracket.due == 2
    assert set(held) == {1, 2}
    assert bracket.due_if_full() is None
