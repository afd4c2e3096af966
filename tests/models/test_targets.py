"""Targets: order, moments, and what is odd."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import boxcox, norm, skew, yeojohnson

from tunewright.models.targets import TargetTransform, standardised, transformed, winsorised

LOSSES = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=30).map(np.array)


@pytest.mark.parametrize("how", TargetTransform)
@given(losses=LOSSES)
def test_targets_are_finite_standard_and_in_order(how: TargetTransform, losses: np.ndarray) -> None:
    targets = transformed(losses, how)
    assert np.isfinite(targets).all()
    order = np.argsort(losses, kind="stable")
    assert (np.diff(targets[order]) >= -1e-9).all()
    if targets.any():
        assert targets.mean() == pytest.approx(0, abs=1e-9)
        assert targets.std() == pytest.approx(1, rel=1e-9)


def test_equal_losses_say_nothing() -> None:
    for how in TargetTransform:
        assert not transformed(np.full(5, 3.0), how).any()
    assert not standardised(np.zeros(3)).any()


def test_only_extreme_losses_are_cut_off() -> None:
    losses = np.random.default_rng(0).random(40)
    np.testing.assert_array_equal(winsorised(losses), losses)
    diverged = np.append(losses, [1e6, 1e12])
    targets = transformed(diverged, TargetTransform.WINSORIZE)
    assert winsorised(diverged)[-2:].max() < 10
    assert np.corrcoef(targets[:40], losses)[0, 1] > 0.99
    assert np.ptp(targets[:40]) > 0.5
    assert np.ptp(transformed(diverged, TargetTransform.STANDARDIZE)[:40]) < 1e-9


def test_a_search_that_has_converged_keeps_its_first_losses() -> None:
    first, near = np.random.default_rng(0).random(12), 1e-4 * np.random.default_rng(1).random(60)
    losses = np.concatenate([first, near])
    np.testing.assert_array_equal(winsorised(losses), losses)


def test_the_power_transform_makes_long_tails_short() -> None:
    losses = np.exp(2 * np.random.default_rng(0).standard_normal(200))
    plain = transformed(losses, TargetTransform.STANDARDIZE)
    bent = transformed(losses, TargetTransform.POWER)
    assert abs(skew(bent)) < 0.3 * abs(skew(plain))


def test_power_transforms_are_those_of_scipy() -> None:
    rng = np.random.default_rng(4)
    for sigma in (0.3, 1.0):
        losses = np.exp(sigma * rng.standard_normal(60)) + 0.2
        bent, power = boxcox(losses)
        assert abs(power) < 2
        ours = transformed(losses, TargetTransform.BOX_COX)
        np.testing.assert_allclose(ours, standardised(bent), atol=1e-3)
        bent, power = yeojohnson(standardised(losses))
        assert abs(power) < 2
        np.testing.assert_allclose(transformed(losses, TargetTransform.POWER), standardised(bent), atol=1e-3)


def test_box_cox_needs_no_unit_and_bends_the_values_of_a_maximised_metric() -> None:
    accuracies = 1 - np.exp(np.random.default_rng(5).standard_normal(40) - 3)
    ours = transformed(-accuracies, TargetTransform.BOX_COX)
    np.testing.assert_allclose(ours, -transformed(accuracies, TargetTransform.BOX_COX), atol=1e-12)
    np.testing.assert_allclose(ours, transformed(-100 * accuracies, TargetTransform.BOX_COX), atol=1e-3)


def test_losses_of_both_signs_have_the_other_power_transform() -> None:
    losses = np.array([0.0, 0.1, 0.2, 5.0, 30.0])
    expected = transformed(losses, TargetTransform.POWER)
    np.testing.assert_array_equal(transformed(losses, TargetTransform.BOX_COX), expected)


def test_ranks_heed_no_distance() -> None:
    losses = np.array([0.3, 0.1, 1e13, 0.2, 0.2])
    targets = transformed(losses, TargetTransform.RANK)
    np.testing.assert_allclose(targets, standardised(norm.ppf([0.7, 0.1, 0.9, 0.4, 0.4])))
    np.testing.assert_allclose(targets, transformed(np.minimum(losses, 5.0), TargetTransform.RANK))


def test_logarithms_of_distances_spread_the_good_and_cut_off_the_bad() -> None:
    losses = np.array([1.0, 1.1, 2.0, 4.0, 5.0, 9.0, 1e13, 1e15, 5.0])
    targets = transformed(losses, TargetTransform.LOG)
    # quartiles: 1, 5, 9; distances of 0, 0.1, 1, 3, 4 and 8, at most 12, and 0.8 for all
    expected = np.log(np.array([0.8, 0.9, 1.8, 3.8, 4.8, 8.8, 12.8, 12.8, 4.8]))
    np.testing.assert_allclose(targets, standardised(expected))


def test_where_most_losses_are_the_best_one_the_others_keep_their_distance() -> None:
    losses = np.array([1.0, 1.0, 1.0, 1.0, 1.0, 2.0])
    np.testing.assert_allclose(transformed(losses, TargetTransform.LOG), standardised(losses))
