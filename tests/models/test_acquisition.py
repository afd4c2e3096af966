"""Acquisition functions: against their definitions, far out in the tail, and their slopes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import ndtr

from tunewright.models.acquisition import (
    Acquisition,
    LogExpectedImprovement,
    LowerConfidenceBound,
    log_h,
)
from tunewright.models.surrogate import AtResource, Pullback, Surrogate, WeightedSum


class Bowl(Surrogate):
    """Means |a - centre|^2 + a number per version, deviations 0.3 + |a|^2."""

    def __init__(self, centre: float, shifts: tuple[float, ...]) -> None:
        self.centre = centre
        self.shifts = np.array(shifts)

    def means(self, a: np.ndarray) -> np.ndarray:
        return ((a - self.centre) ** 2).sum(axis=1, keepdims=True) + self.shifts

    def predict(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.means(a), 0.3 + (a**2).sum(axis=1)

    def predict_with_pullback(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, Pullback]:
        def pullback(by_means: np.ndarray, by_deviations: np.ndarray) -> np.ndarray:
            slope = by_means.sum(axis=1, keepdims=True) * 2 * (a - self.centre)
            return slope + 2 * a * by_deviations[:, np.newaxis]

        return *self.predict(a), pullback

    def samples(self, a: np.ndarray, normal: np.ndarray) -> np.ndarray:
        means, deviations = self.predict(a)
        return means[:, :1] + deviations[:, np.newaxis] * normal


BOWL = Bowl(0.4, (0.0, 0.5, -0.2))
POINTS = np.random.default_rng(0).random((5, 2))
ALL: dict[str, Acquisition] = {
    "log_ei": LogExpectedImprovement(BOWL, np.array([0.1, 0.2, -1.0])),
    "log_ei far away": LogExpectedImprovement(BOWL, np.array([-9.0, -10.0, -11.0])),
    "lcb": LowerConfidenceBound(BOWL, 2.0),
    "one resource": LowerConfidenceBound(AtResource(BOWL, 0.7), 2.0),
    "sum": LogExpectedImprovement(
        WeightedSum([(BOWL, 0.3), (Bowl(0.9, (0.1,)), 0.6), (Bowl(0.1, (0.0, 1.0)), 0.1)]), np.zeros(3)
    ),
}


def test_the_logarithm_is_that_of_the_plain_formula_where_that_works() -> None:
    z = np.linspace(-6, 6, 241)
    h = np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi) + z * ndtr(z)
    np.testing.assert_allclose(log_h(z), np.log(h), atol=1e-8)


def test_the_logarithm_is_exact_far_out() -> None:
    """h(z) = phi(z) / z^2 (1 - 3 / z^2 + 15 / z^4 - ...)."""
    z = -np.array([30.0, 100.0, 1e3, 1e5, 2e6, 1e9])
    series = (
        -0.5 * z * z
        - math.log(2 * math.pi) / 2
        - 2 * np.log(-z)
        + np.log1p(-3 / z**2 + 15 / z**4 - 105 / z**6 + 945 / z**8)
    )
    np.testing.assert_allclose(log_h(z), series, rtol=1e-12)


def test_it_rises_everywhere() -> None:
    z = np.concatenate([-np.geomspace(1e8, 1e-3, 2001), np.geomspace(1e-3, 1e3, 100)])
    assert (np.diff(log_h(z)) > 0).all()


def test_expected_improvement_is_the_mean_of_improvements() -> None:
    best = np.array([0.1, 0.2, -1.0])
    means, deviations = BOWL.predict(POINTS)
    normal = np.random.default_rng(1).standard_normal(200_000)
    values = np.exp(LogExpectedImprovement(BOWL, best).values(POINTS))
    for row in range(len(POINTS)):
        losses = means[row][:, np.newaxis] + deviations[row] * normal
        expected = np.maximum(best[:, np.newaxis] - losses, 0).mean()
        assert values[row] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("acquisition", ALL.values(), ids=ALL)
def test_gradients_are_slopes(acquisition: Acquisition) -> None:
    values, gradient = acquisition.values_and_gradient(POINTS)
    np.testing.assert_allclose(values, acquisition.values(POINTS), rtol=1e-12)
    for column in range(2):
        step = 1e-6 * np.eye(2)[column]
        slope = (acquisition.values(POINTS + step) - acquisition.values(POINTS - step)) / 2e-6
        np.testing.assert_allclose(gradient[:, column], slope, rtol=1e-4, atol=1e-6)


def test_a_weighted_sum_has_the_moments_of_its_parts() -> None:
    first, second = Bowl(0.0, (1.0,)), Bowl(1.0, (2.0, 3.0))
    both = WeightedSum([(first, 0.25), (second, 0.75)])
    means, deviations = both.predict(POINTS)
    np.testing.assert_allclose(means, 0.25 * first.means(POINTS) + 0.75 * second.means(POINTS))
    np.testing.assert_allclose(both.means(POINTS), means)
    draws = both.samples(POINTS, np.random.default_rng(0).standard_normal((5, 40_000)))
    np.testing.assert_allclose(draws.std(axis=1), deviations, rtol=0.03)
    np.testing.assert_allclose(draws.mean(axis=1), means[:, 0], atol=0.05)


@pytest.mark.parametrize("whole", [BOWL, AtResource(BOWL, 1.0)], ids=["plain", "at a resource"])
def test_few_draws_of_a_weighted_sum_have_its_deviation(whole: Surrogate) -> None:
    nested = WeightedSum([(WeightedSum([(whole, 0.5), (whole, 0.5)]), 0.6), (whole, 0.4)])
    assert nested.n_parts == 3
    rng = np.random.default_rng(0)
    points = POINTS[:2]
    draws = [nested.samples(points, rng.standard_normal((2, nested.n_parts)))[:, 0] for _ in range(4000)]
    np.testing.assert_allclose(np.std(draws, axis=0), nested.predict(points)[1], rtol=0.05)
