from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewright.exceptions import SettingsError
from tunewright.schedulers.asha import ASHAKind, ASHASettings, RungSettings
from tunewright.schedulers.rungs import (
    Rung,
    bracket_weights,
    first_level,
    rung_levels,
    whole_number,
    with_max_resource,
    with_searchers_part,
)

LOSSES = st.lists(st.floats(-10, 10) | st.just(math.inf), min_size=1, max_size=40)


def filled(losses: list[float], eta: float = 3) -> Rung:
    rung = Rung(9, eta)
    for trial_id, loss in enumerate(losses):
        rung.record(trial_id, loss)
    return rung


@pytest.mark.parametrize(
    ("arguments", "levels"),
    [
        ({"max_resource": 81}, (1, 3, 9, 27)),
        ({"max_resource": 82}, (1, 3, 9, 27, 81)),
        ({"max_resource": 27, "grace_period": 2}, (2, 6, 18)),
        ({"max_resource": 50, "grace_period": 3, "eta": 2.5}, (3, 8, 19, 47)),
        ({"max_resource": 2, "eta": 4}, (1,)),
        ({"max_resource": 3, "grace_period": 3}, ()),
    ],
)
def test_levels_are_geometric_and_below_the_maximum(arguments: dict, levels: tuple[int, ...]) -> None:
    assert rung_levels(**arguments) == levels


@pytest.mark.parametrize(
    ("max_resource", "eta", "level"),
    [(2, 3, 1), (81, 3, 1), (82, 3, 2), (162, 3, 2), (163, 3, 3), (40, 2.5, 2), (16, 2, 1), (17, 2, 2)],
)
def test_four_rungs_at_most_lie_below_the_maximum(max_resource: int, eta: float, level: int) -> None:
    assert first_level(None, max_resource, eta) == level
    assert first_level(7, max_resource, eta) == 7


def test_brackets_have_the_budgets_of_hyperband() -> None:
    # Hyperband with R = 81, eta = 3 starts 81, 34, 15, 8, 5 trials; without its ceil the ratios are exact.
    exact = np.array([5 / (5 - s) * 3 ** (4 - s) for s in range(5)])
    np.testing.assert_allclose(bracket_weights((1, 3, 9, 27), 81, 5), exact / exact.sum())
    np.testing.assert_allclose(bracket_weights((1, 3, 9, 27), 81, 2), exact[:2] / exact[:2].sum())
    assert bracket_weights((1, 3), 9, 1) == (1.0,)


def test_the_top_third_is_promoted_best_first() -> None:
    rung = filled([5.0, 3.0, 4.0, 1.0, 2.0, 6.0])
    for trial_id in range(6):
        assert rung.admit(trial_id)
    assert rung.promotable() == 3
    rung.release(3)
    assert rung.promotable() == 4
    rung.release(4)
    assert rung.promotable() is None  # 2 of 6 are through
    for trial_id in range(6, 9):
        rung.record(trial_id, 7.0)
    assert rung.promotable() == 1  # 3 of 9


def test_a_trial_that_does_not_wait_ranks_and_is_passed_over() -> None:
    rung = filled([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    rung.admit(1)
    assert rung.promotable() == 1
    rung.release(1)
    rung.admit(2)
    assert rung.promotable() is None  # trial 0 holds its place though it is still running


def test_a_non_finite_loss_ranks_last_and_never_waits() -> None:
    rung = filled([math.inf, math.inf, 5.0])
    assert not rung.admit(0)
    assert rung.admit(2)
    assert rung.promotable() == 2
    assert [trial_id for _, trial_id in rung.entries] == [2, 0, 1]
    assert len(rung) == 3
    assert 1 in rung
    assert 7 not in rung


def test_the_first_in_a_rung_survives_whatever_it_has() -> None:
    assert filled([math.inf]).survives(0)
    assert filled([3.0]).survives(0)


def test_a_diverged_trial_does_not_survive_company() -> None:
    rung = filled([math.inf, math.inf, 1.0])
    assert not rung.survives(0)
    assert rung.survives(2)


@given(LOSSES, st.sampled_from([2, 2.5, 3, 4]))
def test_survival_is_numpys_quantile_where_all_is_finite(losses: list[float], eta: float) -> None:
    finite = [loss for loss in losses if math.isfinite(loss)]
    rung = filled(finite, eta)
    for trial_id, loss in enumerate(finite):
        quantile = float(np.quantile(finite, 1 / eta))
        if len(finite) >= 2 and not math.isclose(loss, quantile, rel_tol=1e-9, abs_tol=1e-9):
            assert rung.survives(trial_id) == (loss < quantile)


@given(LOSSES, st.sampled_from([2, 3, 4]))
def test_some_survive_and_better_ones_with_them(losses: list[float], eta: float) -> None:
    rung = filled(losses, eta)
    survivors = [losses[i] for i in range(len(losses)) if rung.survives(i)]
    stopped = [losses[i] for i in range(len(losses)) if not rung.survives(i)]
    if any(map(math.isfinite, losses)):
        assert survivors
    assert max(survivors, default=-math.inf) <= min(stopped, default=math.inf)


@given(LOSSES, st.sampled_from([2, 3, 4]))
def test_as_many_are_promoted_as_the_paper_says(losses: list[float], eta: int) -> None:
    rung = filled(losses, eta)
    for trial_id in range(len(losses)):
        rung.admit(trial_id)
    promoted = []
    while (trial_id := rung.promotable()) is not None:
        promoted.append(trial_id)
        rung.release(trial_id)
    order = sorted(range(len(losses)), key=lambda i: (losses[i], i))
    assert promoted == [i for i in order[: len(losses) // eta] if math.isfinite(losses[i])]


def by_sum(losses: Sequence[tuple[float, ...]]) -> list[float]:
    """Ranks several losses by their share of the total sum."""
    total = sum(map(sum, losses))
    return [sum(each) / total for each in losses]


def test_several_losses_are_ranked_anew_with_every_record() -> None:
    rung = Rung(3, 2, by_sum)
    assert rung.level == 3
    rung.record(0, 1.0, 3.0)
    rung.record(1, 2.0, 1.0)
    assert rung.admit(0)
    assert rung.admit(1)
    rung.record(2, 1.0, 0.0)
    rung.record(3, 4.0, 4.0)
    assert [(round(loss * 16), trial_id) for loss, trial_id in rung.entries] == [
        (1, 2),
        (3, 1),
        (4, 0),
        (8, 3),
    ]
    assert rung.loss(0) == 0.25
    assert list(rung.promotable_all()) == [(3 / 16, 1)]
    rung.release(1)
    assert rung.promotable() is None
    assert 2 in rung
    assert len(rung) == 4


def test_a_trial_has_one_loss_where_there_is_no_ranking() -> None:
    rung = filled([2.0, 1.0])
    assert (rung.level, rung.loss(0), rung.loss(1)) == (9, 2.0, 1.0)
    with pytest.raises(ValueError, match="too many values"):
        rung.record(2, 1.0, 2.0)


def test_a_ranking_that_leaves_trials_out_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Rung(3, 2, lambda losses: list(range(len(losses) - 1))).record(0, 1.0, 2.0)


@pytest.mark.parametrize(
    ("costs", "promoted"),
    [
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0], [0, 1]),  # as without costs
        ([3.0, 1.0, 1.0, 1.0, 1.0, 1.0], []),  # the best one alone costs more than a third
        ([1.0, 1.0, 1.0, 2.0, 2.0, 2.0], [0, 1, 2]),
        ([0.5, 0.5, 1.5, 1.0, 1.0, 1.5], [0, 1]),
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0, 1, 2, 3, 4, 5]),
    ],
)
def test_with_costs_the_best_ones_within_a_share_of_the_cost_are_promoted(
    costs: list[float], promoted: list[int]
) -> None:
    rung = Rung(1, 3)
    for trial_id, cost in enumerate(costs):
        rung.record(trial_id, float(trial_id), cost=cost)
        assert rung.admit(trial_id)
    assert [trial_id for _, trial_id in rung.promotable_all()] == promoted


def test_a_place_in_the_rung_counts_not_the_place_among_those_that_wait() -> None:
    rung = filled([1.0, 2.0, 3.0, 4.0], eta=2)
    assert list(rung.promotable_all()) == []
    for trial_id in (3, 1):
        rung.admit(trial_id)
    assert list(rung.promotable_all()) == [(2.0, 1)]


def test_the_quantile_is_interpolated() -> None:
    rung = Rung(1, 2)
    for trial_id, loss in enumerate([0.0, 1.0, 2.0, 10.0]):
        rung.record(trial_id, loss)
    assert [rung.survives(trial_id) for trial_id in range(4)] == [
        True,
        True,
        False,
        False,
    ]  # the quantile is 1.5
    rung = Rung(1, 3)
    for trial_id, loss in enumerate([0.0, 3.0, 3.0, 3.0, 3.0]):
        rung.record(trial_id, loss)  # position 4 / 3
    assert all(rung.survives(trial_id) for trial_id in range(5))
    rung = Rung(1, 4)
    for trial_id, loss in enumerate([0.0, 4.0, 0.8]):
        rung.record(trial_id, loss)  # position 1 / 2 of those in order: 0.4
    assert [rung.survives(trial_id) for trial_id in range(3)] == [True, False, False]
    rung.record(3, 0.3)  # position 3 / 4 of 0 and 0.3: 0.225
    assert not rung.survives(3)


def test_nothing_lies_between_a_finite_loss_and_an_infinite_one() -> None:
    rung = Rung(1, 2)
    for trial_id, loss in enumerate([1.0, math.inf]):
        rung.record(trial_id, loss)
    assert rung.survives(0)
    assert not rung.survives(1)


def test_a_loss_at_the_quantile_survives() -> None:
    rung = filled([0.0, 1.0, 2.0, 10.0])  # position 3 / 3
    assert [rung.survives(trial_id) for trial_id in range(4)] == [True, True, False, False]


def test_whole_numbers_of_notes() -> None:
    note = {"rung": 3, "name": "x", "share": 0.5}
    assert whole_number(note, "rung", 7) == 3
    assert [whole_number(note, key, 7) for key in ("name", "share", "absent")] == [7, 7, 7]
    assert whole_number(note, "absent") == 0


def test_the_searchers_part_of_a_note() -> None:
    assert with_searchers_part({"bracket": 1}, {"fits": [1]}) == {"bracket": 1, "searcher": {"fits": [1]}}
    assert with_searchers_part({"bracket": 1}, {}) == {"bracket": 1}


def test_settings_for_full_runs_of_a_length_keep_all_others() -> None:
    rungs = RungSettings(kind=ASHAKind.STOPPING, eta=4, grace_period=2)
    settings = with_max_resource(ASHASettings, rungs, 81, brackets=2)
    assert settings == ASHASettings(
        kind=ASHAKind.STOPPING, eta=4, grace_period=2, brackets=2, max_resource=81
    )
    with pytest.raises(SettingsError):
        with_max_resource(ASHASettings, rungs, 0)
