"""CMA-ES: constants of the tutorial, updates, and the margin of discrete columns."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm

from tunewright.models.cma import Constants, Evolution, default_size


def test_constants_are_those_of_the_tutorial() -> None:
    assert [default_size(d) for d in (2, 10, 40)] == [6, 10, 15]
    at = Constants(10, 10)
    raw = [math.log(5.5) - math.log(i) for i in range(1, 11)]
    mu_eff = sum(raw[:5]) ** 2 / sum(w * w for w in raw[:5])
    assert at.mu_eff == pytest.approx(mu_eff)
    assert at.weights[:5].sum() == pytest.approx(1.0)
    assert (at.weights[5:] < 0).all()
    assert at.c_1 == pytest.approx(2 / (11.3**2 + mu_eff))
    assert at.c_mu == pytest.approx(2 * (0.25 + mu_eff + 1 / mu_eff - 2) / (144 + mu_eff))
    # the sum of the negative weights keeps the covariance positive definite
    assert -at.weights[5:].sum() <= (1 - at.c_1 - at.c_mu) / (10 * at.c_mu) + 1e-12


def minimised(scales: np.ndarray, n_generations: int) -> Evolution:
    rng = np.random.default_rng(0)
    evolution = Evolution.start(np.full(len(scales), 0.7), 0.1, default_size(len(scales)))
    for _ in range(n_generations):
        points = evolution.draws(evolution.constants.size, rng)
        losses = ((points - 0.5) ** 2) @ scales
        evolution = evolution.updated(points, losses, np.zeros(len(points)))
    return evolution


def test_the_covariance_learns_the_scales_of_the_loss() -> None:
    scales = np.array([1.0, 1.0, 1e4, 1e4])
    evolution = minimised(scales, 150)
    assert np.abs(evolution.mean - 0.5).max() < 1e-4
    deviations = np.sqrt(evolution.covariance.diagonal())
    assert deviations[:2].min() > 20 * deviations[2:].max()


def test_it_converges_and_says_so() -> None:
    scales = np.ones(3)
    assert not minimised(scales, 20).has_converged
    assert minimised(scales, 400).has_converged


def test_without_a_finite_loss_the_distribution_stays() -> None:
    evolution = Evolution.start(np.full(2, 0.5), 0.3, 6)
    points = evolution.draws(6, np.random.default_rng(0))
    after = evolution.updated(points, np.full(6, np.inf), np.zeros(6))
    assert after.generation == 1
    assert after.sigma == evolution.sigma
    assert np.array_equal(after.mean, evolution.mean)
    assert np.array_equal(after.covariance, evolution.covariance)


def test_late_results_are_cut_to_a_plausible_step() -> None:
    evolution = Evolution.start(np.full(4, 0.5), 0.01, 8)
    points = evolution.draws(8, np.random.default_rng(0))
    points[0] = 0.9
    losses = np.arange(8.0)
    moved = evolution.updated(points, losses, np.zeros(8))
    late = evolution.updated(points, losses, np.array([1.0] + [0.0] * 7))
    assert np.abs(late.mean - 0.5).max() < 0.05 < np.abs(moved.mean - 0.5).max()


def test_draws_outside_are_evaluated_at_their_reflection() -> None:
    evolution = Evolution.start(np.full(3, 0.5), 0.3, 6)
    places = evolution.evaluated(np.array([[-0.2, 1.3, 0.4], [2.1, -1.1, 0.0]]))
    assert places == pytest.approx(np.array([[0.2, 0.7, 0.4], [0.1, 0.9, 0.0]]))


def test_clipped_draws_are_evaluated_at_the_nearest_point() -> None:
    evolution = Evolution.start(np.full(3, 0.5), 0.3, 6)
    points = np.array([[-0.2, 1.3, 0.4], [2.1, -1.1, 0.0]])
    nearest = np.array([[0.0, 1.0, 0.4], [1.0, 0.0, 0.0]])
    assert evolution.evaluated(evolution.clipped(points)) == pytest.approx(nearest)
    stretched = Evolution.start(np.full(3, 0.5), 1e-6, 6).with_margin({0: np.array([0.4, 0.6])})
    assert stretched.spread[0] > 10.0
    draws = np.array([[0.5 + 1.0 / stretched.spread[0], 0.5, 0.5]])
    assert stretched.evaluated(stretched.clipped(draws))[0, 0] == pytest.approx(1.0)


@pytest.mark.parametrize("mean", [0.05, 0.5, 0.95])
def test_a_margin_keeps_other_values_possible(mean: float) -> None:
    borders = np.array([0.2, 0.4, 0.6, 0.8])
    evolution = Evolution.start(np.array([mean, 0.5]), 1e-6, 6).with_margin({0: borders})
    deviation = evolution.sigma * evolution.spread[0]
    place = int(np.searchsorted(borders, mean))
    below = norm.cdf(borders[place - 1], evolution.mean[0], deviation) if place else 0.0
    above = norm.sf(borders[place], evolution.mean[0], deviation) if place < 4 else 0.0
    assert below + above >= 1 / (2 * 6) - 1e-9
    assert evolution.spread[1] == 1.0


def test_a_wide_distribution_needs_no_margin() -> None:
    evolution = Evolution.start(np.array([0.45]), 0.3, 6)
    same = evolution.with_margin({0: np.array([0.2, 0.4, 0.6, 0.8])})
    assert same.mean == pytest.approx(evolution.mean)
    assert same.spread == pytest.approx(evolution.spread)
