"""Gaussian processes: against scikit-learn, against differences, and against themselves computed otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from tunewright.models.gp.cross_validation import CrossValidation
from tunewright.models.gp.factor import cholesky
from tunewright.models.gp.kernels import Kernel, Matern52, Warped
from tunewright.models.gp.posterior import Posterior, factorise
from tunewright.models.gp.process import GaussianProcess, fit
from tunewright.models.gp.resource_kernels import ExponentialDecay, ResourceProduct, forgetting, log_resource

KERNELS: dict[str, tuple[Kernel, int]] = {
    "matern": (Matern52(3), 3),
    "matern of groups": (Matern52([1, 2]), 3),
    "warped": (Warped(Matern52(3), 2), 3),
    "product": (ResourceProduct(Matern52(3)), 4),
    "forgetting": (ResourceProduct(Matern52(3), forgetting()), 4),
    "product of groups": (ResourceProduct(Matern52([3])), 4),
    "rough product": (ResourceProduct(Matern52(3), log_resource(is_rough=True)), 4),
    "decay": (ExponentialDecay(Matern52(3)), 4),
    "damped decay of warped": (ExponentialDecay(Warped(Matern52(3), 3), delta=0.6), 4),
    "cross-validation": (CrossValidation(Matern52(3), 3), 4),
    "cross-validation of warped": (CrossValidation(Warped(Matern52(3), 3), 3), 4),
}
"""Kernels, and how many columns their points have; a fourth one is the resource."""


def points(n: int, n_columns: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.random((n, n_columns))
    if n_columns == 4:
        x[:, -1] = rng.choice([1, 3, 9, 27], n) / 27
    return x


def process_at(kernel: Kernel, seed: int = 0) -> tuple[GaussianProcess, np.ndarray]:
    process = GaussianProcess(kernel)
    mean = process.prior.mean
    return process, mean + 0.3 * np.random.default_rng(seed).standard_normal(len(mean))


def differences(function, at: np.ndarray, step: float = 1e-5) -> np.ndarray:
    return np.array(
        [(function(at + step * e) - function(at - step * e)) / (2 * step) for e in np.eye(len(at))]
    )


def posterior_of(process: GaussianProcess, theta: np.ndarray, x: np.ndarray, y: np.ndarray) -> Posterior:
    return Posterior(process, theta, x, factorise(process, theta, x, len(x)).lower, y[:, np.newaxis])


def test_values_of_a_category_are_equally_far_from_one_another() -> None:
    """Two categories of three and four values beside a number: the distance is the weighted Hamming distance."""
    kernel = Matern52([3, 1, 4])
    rng = np.random.default_rng(0)
    first, second, number = rng.integers(3, size=20), rng.integers(4, size=20), rng.random(20)
    x = np.hstack([np.eye(3)[first], number[:, None], np.eye(4)[second]])
    theta = np.array([0.3, -0.2, 0.9])
    squares = (
        (first[:, None] != first) * math.exp(-0.6)
        + (number[:, None] - number) ** 2 * math.exp(0.4)
        + (second[:, None] != second) * math.exp(-1.8)
    )
    r = math.sqrt(5) * np.sqrt(squares)
    expected = (1 + r + r * r / 3) * np.exp(-r)
    np.testing.assert_allclose(kernel.gram(theta, x)[0], expected, atol=1e-7)
    np.testing.assert_allclose(kernel.cross(theta, x[:5], x)[0], expected[:5], atol=1e-7)
    assert len(kernel.prior.mean) == 3


def test_it_is_that_of_scikit_learn() -> None:
    x, y = points(40, 3), np.random.default_rng(1).standard_normal(40)
    process, theta = process_at(Matern52(3))
    scale, noise, mean = math.exp(theta[-3]), math.exp(theta[-2]), theta[-1]
    kernel = ConstantKernel(scale) * Matern(np.exp(theta[:3]), nu=2.5) + WhiteKernel(noise)
    other = GaussianProcessRegressor(kernel, optimizer=None, alpha=0).fit(x, y - mean)
    value, gradient = process.log_likelihood(theta, x, y)
    expected, slopes = other.log_marginal_likelihood(other.kernel_.theta, eval_gradient=True)
    assert value == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(gradient[[3, 0, 1, 2, 4]], slopes, rtol=1e-8, atol=1e-8)
    a = points(7, 3, seed=2)
    means, covariance = posterior_of(process, theta, x, y).joint(a)
    other_means, other_covariance = other.predict(a, return_cov=True)
    np.testing.assert_allclose(means[:, 0], other_means + mean, atol=1e-8)
    np.testing.assert_allclose(covariance, other_covariance - noise * np.eye(7), atol=1e-8)


@pytest.mark.parametrize(("kernel", "n_columns"), KERNELS.values(), ids=KERNELS)
def test_the_gradient_of_the_posterior_density_is_its_slope(kernel: Kernel, n_columns: int) -> None:
    x, y = points(15, n_columns), np.random.default_rng(1).standard_normal(15)
    process, theta = process_at(kernel)
    _, gradient = process.log_posterior(theta, x, y)
    expected = differences(lambda t: process.log_posterior(t, x, y)[0], theta)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kernel", "n_columns"), KERNELS.values(), ids=KERNELS)
def test_all_ways_to_a_covariance_agree(kernel: Kernel, n_columns: int) -> None:
    _, theta = process_at(kernel)
    x = points(12, n_columns)
    gram, _ = kernel.gram(theta[:-3], x)
    cross, _ = kernel.cross(theta[:-3], x, x)
    np.testing.assert_allclose(gram, cross, atol=1e-12)
    np.testing.assert_allclose(gram.diagonal(), kernel.diagonal(theta[:-3], x), atol=1e-12)
    assert np.linalg.eigvalsh(gram).min() > -1e-9


@pytest.mark.parametrize(("kernel", "n_columns"), KERNELS.values(), ids=KERNELS)
def test_predictions_have_the_right_slopes(kernel: Kernel, n_columns: int) -> None:
    x, y = points(15, n_columns), np.random.default_rng(1).standard_normal(15)
    process, theta = process_at(kernel)
    posterior = posterior_of(process, theta, x, y).fantasised(
        points(2, n_columns, seed=5), np.random.default_rng(2).standard_normal((2, 3))
    )
    a = points(4, n_columns, seed=3)
    by_means, by_deviations = (
        np.random.default_rng(4).standard_normal((4, 3)),
        np.array([1.0, -2.0, 0.5, 3.0]),
    )

    def weighted(row: int, point: np.ndarray) -> float:
        means, deviations = posterior.predict(point[np.newaxis])
        return float(by_means[row] @ means[0] + by_deviations[row] * deviations[0])

    means, deviations, pullback = posterior.predict_with_pullback(a)
    plain_means, plain_deviations = posterior.predict(a)
    np.testing.assert_array_equal(means, plain_means)
    np.testing.assert_array_equal(deviations, plain_deviations)
    np.testing.assert_allclose(posterior.means(a), means, atol=1e-12)
    gradient = pullback(by_means, by_deviations)
    for row in range(4):
        expected = differences(lambda point, row=row: weighted(row, point), a[row], 1e-6)
        np.testing.assert_allclose(gradient[row, :3], expected[:3], rtol=1e-4, atol=1e-5)


def test_a_factor_that_grew_is_the_one_that_is_built_anew() -> None:
    process, theta = process_at(Matern52(3))
    x = points(30, 3)
    grown = factorise(process, theta, x[:14], 10)
    for n in (14, 15, 21, 30):
        grown = grown.extended(x[:n])
    anew = factorise(process, theta, x, 10)
    np.testing.assert_array_equal(grown.lower, anew.lower)
    np.testing.assert_allclose(anew.lower, factorise(process, theta, x, 30).lower, atol=1e-10)
    other = x[::-1].copy()
    np.testing.assert_array_equal(grown.extended(other).lower, factorise(process, theta, other, 10).lower)
    np.testing.assert_array_equal(grown.extended(x[:12]).lower, factorise(process, theta, x[:12], 10).lower)


def test_equal_points_and_singular_matrices_are_borne() -> None:
    ones = np.ones((6, 6))
    np.testing.assert_allclose(cholesky(ones) @ cholesky(ones).T, ones, atol=1e-6)
    np.testing.assert_allclose(cholesky(ones - 2 * np.eye(6)).diagonal() > 0, True)
    process, theta = process_at(Matern52(3))
    theta[-2] = math.log(1e-6)
    x = np.repeat(points(3, 3), 5, axis=0)
    assert np.isfinite(factorise(process, theta, x, 2).lower).all()


def test_no_pivot_of_a_point_that_is_added_is_below_the_noise() -> None:
    """As in exact arithmetic, where rounding of equal points would make it smaller, or negative."""
    process, theta = process_at(Matern52(3))
    theta[-3], theta[-2] = math.log(1e4), math.log(1e-12)
    x = np.repeat(points(10, 3), 4, axis=0)
    lower = factorise(process, theta, x, 2).lower
    assert (lower.diagonal()[2:] ** 2 >= 1e-12 * (1 - 1e-9)).all()


def test_fantasies_are_further_observations() -> None:
    x, y = points(15, 3), np.random.default_rng(1).standard_normal(15)
    process, theta = process_at(Matern52(3))
    posterior = posterior_of(process, theta, x, y)
    pending, a = points(3, 3, seed=5), points(4, 3, seed=6)
    still = posterior.fantasised(pending, np.zeros((3, 1)))  # each gives what is expected of it
    believed = np.concatenate([y, posterior.means(pending)[:, 0]])
    whole = posterior_of(process, theta, np.concatenate([x, pending]), believed)
    for got, expected in zip(still.predict(a), whole.predict(a), strict=True):
        np.testing.assert_allclose(got, expected, atol=1e-8)
    np.testing.assert_allclose(still.means(a), posterior.means(a), atol=1e-8)
    many = posterior.fantasised(pending, np.random.default_rng(0).standard_normal((3, 4000)))
    np.testing.assert_allclose(many.means(a).mean(axis=1), posterior.means(a)[:, 0], atol=0.1)


def test_left_out_predictions_are_those_without_the_observation() -> None:
    x, y = points(9, 3), np.random.default_rng(1).standard_normal(9)
    process, theta = process_at(Matern52(3))
    means, deviations = posterior_of(process, theta, x, y).left_out()
    noise = process.read(theta).noise
    for out in range(9):
        kept = np.arange(9) != out
        mean, deviation = posterior_of(process, theta, x[kept], y[kept]).predict(x[[out]])
        assert means[out] == pytest.approx(mean[0, 0], abs=1e-8)
        assert deviations[out] == pytest.approx(math.sqrt(deviation[0] ** 2 + noise), abs=1e-8)


def test_predictions_without_a_group_are_those_of_the_other_observations() -> None:
    x, y = points(9, 3), np.random.default_rng(1).standard_normal(9)
    process, theta = process_at(Matern52(3))
    posterior = posterior_of(process, theta, x, y)
    groups = np.array([0, 1, 0, 2, 1, 0, 3, 4, 4])
    means, deviations = posterior.groups_left_out(groups)
    noise = process.read(theta).noise
    for out in range(9):
        kept = groups != groups[out]
        mean, deviation = posterior_of(process, theta, x[kept], y[kept]).predict(x[[out]])
        assert means[out] == pytest.approx(mean[0, 0], abs=1e-8)
        assert deviations[out] == pytest.approx(math.sqrt(deviation[0] ** 2 + noise), abs=1e-8)


def test_the_first_observations_in_another_order_are_a_posterior_of_their_own() -> None:
    x, y = points(9, 3), np.random.default_rng(1).standard_normal(9)
    process, theta = process_at(Matern52(3))
    order = np.random.default_rng(2).permutation(9)
    some = posterior_of(process, theta, x, y).reordered(order).leading(5)
    expected = posterior_of(process, theta, x[order[:5]], y[order[:5]])
    a = points(4, 3, seed=6)
    for got, wanted in zip(some.predict(a), expected.predict(a), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-8)


def test_draws_have_the_moments_of_the_function() -> None:
    x, y = points(9, 3), np.random.default_rng(1).standard_normal(9)
    process, theta = process_at(Matern52(3))
    posterior, a = posterior_of(process, theta, x, y), points(3, 3, seed=6)
    draws = posterior.samples(a, np.random.default_rng(0).standard_normal((3, 20000)))
    means, covariance = posterior.joint(a)
    np.testing.assert_allclose(draws.mean(axis=1), means[:, 0], atol=0.03)
    np.testing.assert_allclose(np.cov(draws), covariance, atol=0.05)


def test_a_fit_finds_what_matters() -> None:
    x = points(60, 3)
    y = np.sin(6 * x[:, 0])
    y = (y - y.mean()) / y.std()
    process = GaussianProcess(Matern52(3))
    theta = fit(process, x, y, [])
    assert theta is not None
    scales = np.exp(theta[:3])
    assert scales[0] < 0.5 * scales[1:].min()
    assert process.log_posterior(theta, x, y)[0] > process.log_posterior(process.prior.mean, x, y)[0]
    again = fit(process, x, y, [theta])
    assert again is not None
    assert process.log_posterior(again, x, y)[0] >= process.log_posterior(theta, x, y)[0] - 1e-9


def test_a_hopeless_fit_gives_nothing() -> None:
    x = points(5, 3)
    x[2] = np.nan
    with np.errstate(invalid="ignore"):
        assert fit(GaussianProcess(Matern52(3)), x, np.zeros(5), []) is None


def test_averages_over_folds_are_those_of_the_folds_themselves() -> None:
    n_folds, n = 4, 6
    kernel = CrossValidation(Matern52(3), 3)
    theta = kernel.prior.mean + 0.2 * np.random.default_rng(3).standard_normal(5)
    configs, done = points(n, 3), np.array([1, 2, 3, 4, 2, 4])
    worth = Matern52(3).gram(theta[:3], configs)[0]
    preference = n_folds * math.exp(theta[3]) * Matern52(3).gram(np.repeat(theta[4], 3), configs)[0]
    one_by_one = np.kron(np.ones((n_folds, n_folds)), worth) + np.kron(np.eye(n_folds), preference)
    averaging = np.zeros((n, n_folds * n))
    for row, r in enumerate(done):
        averaging[row, [fold * n + row for fold in range(r)]] = 1 / r
    x = np.concatenate([configs, done[:, np.newaxis] / n_folds], axis=1)
    expected = averaging @ one_by_one @ averaging.T
    np.testing.assert_allclose(kernel.gram(theta, x)[0], expected, atol=1e-12)


def test_longer_averages_say_more_about_all_folds() -> None:
    kernel = CrossValidation(Matern52(3), 3)
    process = GaussianProcess(kernel)
    theta, config = process.prior.mean, points(1, 3)
    at = {r: np.concatenate([config, [[r / 5]]], axis=1) for r in (1, 3, 5)}
    doubts = [posterior_of(process, theta, at[r], np.zeros(1)).predict(at[5])[1][0] for r in (1, 3, 5)]
    assert doubts[0] > doubts[1] > doubts[2]
