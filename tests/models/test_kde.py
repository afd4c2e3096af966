"""Density estimates: bandwidths and densities by their formulas, draws inside."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from tunewright.models.kde import KernelDensity

RNG = np.random.default_rng(0)
DATA = np.column_stack([RNG.random(20), RNG.integers(3, size=20), 0.2 * RNG.random(20)]).astype(float)
COUNTS = np.array([0, 3, 0])


def test_bandwidths_are_those_of_the_normal_reference() -> None:
    density = KernelDensity(DATA, COUNTS, 1e-3)
    expected = 1.06 * DATA.std(axis=0) * 20 ** (-1 / 7)
    np.testing.assert_allclose(density.bandwidths, np.minimum(expected, [np.inf, 2 / 3, np.inf]))
    constant = KernelDensity(np.full((5, 1), 0.4), np.array([0]), 0.05)
    assert constant.bandwidths == pytest.approx(0.05)


def test_the_density_is_the_mean_of_products_of_kernels() -> None:
    density = KernelDensity(DATA, COUNTS, 1e-3)
    widths = density.bandwidths
    point = np.array([0.3, 1.0, 0.1])
    total = 0.0
    for row in DATA:
        same = 1 - widths[1] if row[1] == 1 else widths[1] / 2
        total += norm.pdf(point[0], row[0], widths[0]) * same * norm.pdf(point[2], row[2], widths[2])
    assert density.log_density(point[np.newaxis])[0] == pytest.approx(math.log(total / 20), abs=1e-9)


def test_draws_stay_inside_and_near_the_data() -> None:
    density = KernelDensity(DATA, COUNTS, 1e-3)
    draws = density.draw(4000, 1.0, np.random.default_rng(1))
    assert draws.min() >= 0
    assert draws[:, [0, 2]].max() <= 1
    assert set(draws[:, 1]) == {0.0, 1.0, 2.0}
    assert draws[:, 2].mean() == pytest.approx(DATA[:, 2].mean(), abs=0.05)
    wide = density.draw(4000, 10.0, np.random.default_rng(1))
    assert wide[:, 2].std() > 2 * draws[:, 2].std()


def test_a_category_changes_as_often_as_its_bandwidth_says() -> None:
    data = np.concatenate([np.zeros((30, 1)), np.ones((30, 1))])
    density = KernelDensity(data[:30], np.array([2]), 0.2)
    draws = density.draw(5000, 3.0, np.random.default_rng(1))
    assert draws.mean() == pytest.approx(0.2, abs=0.02)
