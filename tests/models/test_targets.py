"""Targets: order, moments, and what is odd."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import skew

from tunewright.models.targets import TargetTransform, standardised, transformed

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


def test_the_power_transform_makes_long_tails_short() -> None:
    losses = np.exp(2 * np.random.default_rng(0).standard_normal(200))
    plain = transformed(losses, TargetTransform.STANDARDIZE)
    bent = transformed(losses, TargetTransform.POWER)
    assert abs(skew(bent)) < 0.3 * abs(skew(plain))
