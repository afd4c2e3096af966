"""Parzen mixtures: densities by their formula, that of draws equal to them, bandwidths from neighbours."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import truncnorm

from tunewright.models.kde import ParzenEstimator

COUNTS = np.array([0, 3])
LEAST = np.array([0.01, 0.01])
DATA = np.array([[0.1, 0.0], [0.7, 2.0], [0.4, 2.0]])
WEIGHTS = np.array([1.0, 3.0, 2.0])
WIDTHS = (0.3, 0.3, 0.3)
"""Each to the farther neighbour: 0.1 to 0.4, 0.4 to 0.7, 0.7 to 0.4 or to the end at 1."""


def by_formula(x: float, category: int, weights: np.ndarray) -> float:
    total = 0.0
    for (centre, own), width, weight in zip(DATA, WIDTHS, weights, strict=True):
        number = truncnorm.pdf(x, -centre / width, (1 - centre) / width, centre, width)
        total += weight * number * (1.25 if category == own else 0.25) / (1.25 + 2 * 0.25)
    total += weights.mean() * truncnorm.pdf(x, -0.5, 0.5, 0.5, 1.0) / 3
    return math.log(total / (weights.sum() + weights.mean()))


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_density_is_the_weighted_sum_of_kernels_and_the_prior(weights: np.ndarray | None) -> None:
    mixture = ParzenEstimator(DATA, COUNTS, LEAST, weights)
    used = np.ones(3) if weights is None else weights
    for point in ([0.3, 2.0], [0.0, 1.0], [0.99, 0.0]):
        found = mixture.log_density(np.array([point]))[0]
        assert found == pytest.approx(by_formula(point[0], int(point[1]), used), abs=1e-9)


def test_bandwidths_have_a_floor_that_falls_with_the_number_of_observations() -> None:
    """Two equal observations: the gap to the neighbour is 0, and to the end 0.5."""
    at = np.array([[0.5]])
    same = np.full((40, 1), 0.5)
    one = np.array([0])
    peak = [
        float(ParzenEstimator(same, one, np.array([least])).log_density(at)[0]) for least in (0.2, 0.05, 1e-4)
    ]
    assert peak[0] < peak[1] < peak[2]


def test_draws_have_the_density() -> None:
    mixture = ParzenEstimator(DATA, COUNTS, LEAST, WEIGHTS)
    draws = mixture.draw(40_000, np.random.default_rng(0))
    assert draws[:, 0].min() >= 0
    assert draws[:, 0].max() <= 1
    middles = (np.arange(10) + 0.5) / 10
    grid = np.array([[x, c] for x in middles for c in range(3)])
    expected = np.exp(mixture.log_density(grid)).reshape(10, 3) / 10
    cells = np.minimum((draws[:, 0] * 10).astype(int), 9) * 3 + draws[:, 1].astype(int)
    np.testing.assert_allclose(np.bincount(cells, minlength=30).reshape(10, 3) / 40_000, expected, atol=0.006)


def test_without_observations_it_is_the_prior() -> None:
    mixture = ParzenEstimator(np.empty((0, 2)), COUNTS, LEAST)
    density = np.exp(mixture.log_density(np.array([[0.5, 0.0], [0.0, 2.0]])))
    expected = truncnorm.pdf([0.5, 0.0], -0.5, 0.5, 0.5, 1.0) / 3
    np.testing.assert_allclose(density, expected)
    assert set(mixture.draw(100, np.random.default_rng(0))[:, 1]) == {0.0, 1.0, 2.0}
