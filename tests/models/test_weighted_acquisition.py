"""Weighted improvements: against closed forms, Monte Carlo, and finite differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from tunewright.models.acquisition import (
    Acquisition,
    LogConstrainedImprovement,
    LogExpectedImprovement,
    Weighted,
)
from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.posterior import Posterior, factorise
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.linear_cost import LogCost, LogLinearCost, lines, log_targets

RNG = np.random.default_rng(3)
PENDING = RNG.random((2, 2))


def posterior(seed: int, n_versions: int = 3) -> Posterior:
    rng = np.random.default_rng(seed)
    x = np.random.default_rng(9).random((6, 2))
    process = GaussianProcess(Matern52(2))
    theta = process.prior.mean
    lower = factorise(process, theta, x, len(x)).lower
    known = Posterior(process, theta, x, lower, rng.standard_normal((6, 1)))
    return known.fantasised(PENDING, rng.standard_normal((2, n_versions))) if n_versions > 1 else known


POINTS = RNG.random((4, 2))
LOSS, MEMORY, TIME = (posterior(seed) for seed in (0, 1, 2))
BEST = np.array([-0.3, -0.1, 0.2])
CONSTRAINTS = [(MEMORY, 0.2), (TIME, -0.4)]


def cost(deviation: float = 0.7) -> LogCost:
    return LogCost(posterior(5, 1), 2.0, deviation)


ALL: dict[str, Acquisition] = {
    "constrained": LogConstrainedImprovement((LOSS, BEST), CONSTRAINTS),
    "infeasible": LogConstrainedImprovement(None, CONSTRAINTS),
    "far out": LogConstrainedImprovement((LOSS, BEST - 30.0), [(MEMORY, -40.0)]),
    "per cost": Weighted(LogExpectedImprovement(LOSS, BEST), cost(), -1.0),
    "per linear cost": Weighted(
        LogExpectedImprovement(LOSS, BEST), LogLinearCost(cost(), LogCost(posterior(6), -1.0, 0.4), 9), -0.5
    ),
}


def expected_improvement(means: np.ndarray, deviations: np.ndarray, best: np.ndarray) -> np.ndarray:
    z = (best - means) / deviations[:, np.newaxis]
    density = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)
    return deviations[:, np.newaxis] * (z * ndtr(z) + density)


def test_the_constrained_improvement_is_the_closed_form() -> None:
    improvement = expected_improvement(*LOSS.predict(POINTS), BEST)
    for surrogate, bound in CONSTRAINTS:
        means, deviations = surrogate.predict(POINTS)
        improvement *= ndtr((bound - means) / deviations[:, np.newaxis])
    assert np.allclose(np.exp(ALL["constrained"].values(POINTS)), improvement.mean(axis=1), rtol=1e-9)


def test_the_constrained_improvement_is_what_draws_give() -> None:
    loss, memory = posterior(0, 1), posterior(1, 1)
    rng, total = np.random.default_rng(0), 400_000
    means, deviations = loss.predict(POINTS)
    losses = means[:, 0] + deviations * rng.standard_normal((total, len(POINTS)))
    means, deviations = memory.predict(POINTS)
    memories = means[:, 0] + deviations * rng.standard_normal((total, len(POINTS)))
    drawn = np.where(memories <= 0.2, np.maximum(0.1 - losses, 0.0), 0.0)
    exact = np.exp(LogConstrainedImprovement((loss, np.array([0.1])), [(memory, 0.2)]).values(POINTS))
    assert np.all(np.abs(drawn.mean(axis=0) - exact) < 5 * drawn.std(axis=0) / math.sqrt(total))


def test_without_a_feasible_point_the_probability_of_feasibility_is_left() -> None:
    expected = np.ones((len(POINTS), 3))
    for surrogate, bound in CONSTRAINTS:
        means, deviations = surrogate.predict(POINTS)
        expected *= ndtr((bound - means) / deviations[:, np.newaxis])
    assert np.allclose(np.exp(ALL["infeasible"].values(POINTS)), expected.mean(axis=1))


def test_improvement_per_cost_is_the_quotient() -> None:
    improvement = expected_improvement(*LOSS.predict(POINTS), BEST).mean(axis=1)
    costs = np.exp(2.0 + 0.7 * posterior(5, 1).means(POINTS)[:, 0])
    assert np.allclose(np.exp(ALL["per cost"].values(POINTS)), improvement / costs)


def test_the_linear_cost_is_an_offset_and_a_slope() -> None:
    offset = np.exp(2.0 + 0.7 * posterior(5, 1).means(POINTS)[:, 0])
    slope = np.exp(-1.0 + 0.4 * posterior(6).means(POINTS).mean(axis=1))
    logs = LogLinearCost(cost(), LogCost(posterior(6), -1.0, 0.4), 9)(POINTS)[0]
    assert np.allclose(np.exp(logs), offset + 9 * slope)


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_the_slopes(name: str) -> None:
    acquisition = ALL[name]
    values, gradient = acquisition.values_and_gradient(POINTS)
    assert np.isfinite(values).all()
    assert np.allclose(values, acquisition.values(POINTS), rtol=1e-9)
    for column in range(2):
        step = np.zeros(2)
        step[column] = 1e-6
        slopes = (acquisition.values(POINTS + step) - acquisition.values(POINTS - step)) / 2e-6
        assert np.allclose(gradient[:, column], slopes, rtol=2e-4, atol=1e-5)


def test_lines_are_least_squares_and_single_points_rates() -> None:
    groups = np.array([4, 4, 4, 7, 9, 9], dtype=np.intp)
    resources = np.array([1.0, 2.0, 4.0, 3.0, 1.0, 2.0])
    costs = np.array([5.0, 7.0, 11.0, 6.0, 8.0, 2.0])
    names, offsets, slopes = lines(groups, resources, costs)
    assert names.tolist() == [4, 7, 9]
    assert np.allclose(offsets[[0]], 3.0)
    assert np.isnan(offsets[1])
    assert np.allclose(slopes[:2], 2.0)
    assert 0 < slopes[2] < 0.01  # a cost that falls is a mistake, not an income


def test_costs_that_are_equal_or_not_positive_are_borne() -> None:
    y, mean, deviation = log_targets(np.array([3.0, 3.0]))
    assert (y.tolist(), deviation) == ([0.0, 0.0], 1.0)
    assert math.isclose(mean, math.log(3.0))
    assert np.isfinite(log_targets(np.array([0.0, -1.0, 5.0]))[0]).all()
    assert np.isfinite(log_targets(np.array([0.0, -1.0]))[0]).all()
    assert np.isfinite(log_targets(np.array([0.0, 5e-324]))[0]).all()
