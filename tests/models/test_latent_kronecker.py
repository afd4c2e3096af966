"""Learning curves with a Kronecker structure: against the dense process, and against differences."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.latent_kronecker import (
    Cells,
    CurveCovariance,
    LatentKronecker,
    LowRankRoot,
    conjugate_gradients,
    log_determinant,
    pivoted_cholesky,
)
from tunewright.models.gp.pathwise import CurvePosterior
from tunewright.models.gp.posterior import Posterior, factorise

PRIOR = LatentKronecker(Matern52(3))
THETA = PRIOR.prior.mean + 0.3 * np.random.default_rng(1).standard_normal(len(PRIOR.prior.mean))
N_CONFIGS = 40


def curves(seed: int = 0) -> tuple[Cells, np.ndarray]:
    """Curves that were left at different places, one with a gap, and a configuration without any observation."""
    rng = np.random.default_rng(seed)
    resources = np.array([1, 2, 3, 5, 9, 15, 27]) / 27
    ends = rng.integers(1, len(resources) + 1, N_CONFIGS)
    ends[3], ends[7] = 0, 7
    rows = np.repeat(np.arange(N_CONFIGS), ends)
    columns = np.concatenate([np.arange(end) for end in ends])
    kept = ~((rows == 7) & (columns == 2))
    cells = Cells(rng.random((N_CONFIGS, 3)), resources, rows[kept], columns[kept])
    order = rng.permutation(len(cells))
    return Cells(cells.x, resources, cells.rows[order], cells.columns[order]), rng.standard_normal(len(cells))


def dense_posterior(cells: Cells, y: np.ndarray) -> Posterior:
    lower = factorise(PRIOR.process, THETA, cells.points, len(cells)).lower
    return Posterior(PRIOR.process, THETA, cells.points, lower, y[:, np.newaxis])


def dense_covariance(cells: Cells) -> np.ndarray:
    noise = PRIOR.process.read(THETA).noise
    return PRIOR.process.covariance(THETA, cells.points, cells.points) + noise * np.eye(len(cells))


def at_resource(x: np.ndarray, resource: float) -> np.ndarray:
    return np.pad(x, ((0, 0), (0, 1)), constant_values=resource)


def test_products_and_solutions_are_those_of_the_dense_covariance() -> None:
    cells, y = curves()
    covariance, dense = CurveCovariance(PRIOR, THETA, cells), dense_covariance(cells)
    block = np.stack([y, y**2], axis=1)
    np.testing.assert_allclose(covariance.product(block), dense @ block, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(covariance.solve(block), np.linalg.solve(dense, block), rtol=1e-6, atol=1e-6)


def test_the_likelihood_and_its_gradient_are_those_of_the_dense_process() -> None:
    """Exactly with as many orthogonal probes as observations, nearly with a few random ones."""
    cells, y = curves()
    expected, slopes = PRIOR.process.log_likelihood(THETA, cells.points, y)
    value, gradient = PRIOR.log_likelihood(THETA, cells, y, np.sqrt(len(cells)) * np.eye(len(cells)))
    assert value == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-6)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(len(cells), 16))
    value, gradient = PRIOR.log_likelihood(THETA, cells, y, signs)
    assert value == pytest.approx(expected, rel=1e-3)
    np.testing.assert_allclose(gradient, slopes, rtol=0.02, atol=1.0)


def test_means_and_variances_are_those_of_the_dense_process() -> None:
    cells, y = curves()
    dense = dense_posterior(cells, y)
    posterior = CurvePosterior(PRIOR, THETA, cells, y, rng=np.random.default_rng(0))
    a = np.concatenate([np.random.default_rng(2).random((5, 3)), cells.x[:4]])
    for column in (0, 4, 6):
        means, deviations = dense.predict(at_resource(a, cells.resources[column]))
        np.testing.assert_allclose(posterior.at_column(column).means(a), means, rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(posterior.variances(a, column), deviations**2, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("has_pending", [False, True])
def test_draws_have_the_posteriors_deviations(has_pending: bool) -> None:
    """With pending cells, those that it would have once they are known."""
    cells, y = curves()
    pending = (np.array([3, 0]), np.array([6, 6])) if has_pending else None
    posterior = CurvePosterior(
        PRIOR, THETA, cells, y, pending=pending, rng=np.random.default_rng(0), n_draws=1500
    )
    known = cells.also(*pending) if pending else cells
    dense = dense_posterior(known, np.concatenate([y, np.zeros(len(known) - len(cells))]))
    a = np.concatenate([np.random.default_rng(2).random((20, 3)), cells.x[:4]])
    _, expected = dense.predict(at_resource(a, 1.0))
    means, deviations = posterior.at_column(6).predict(a)
    np.testing.assert_allclose(deviations, expected, rtol=0.25, atol=0.02)
    assert np.mean(deviations / expected) == pytest.approx(1.0, abs=0.08)
    np.testing.assert_allclose(means, dense_posterior(cells, y).predict(at_resource(a, 1.0))[0], atol=1e-6)
    draws = posterior.at_column(6).samples(a, np.random.default_rng(3).standard_normal((1500, 400)))
    np.testing.assert_allclose(draws.std(axis=1), deviations, rtol=0.2)


def test_the_derivative_of_a_prediction_is_its_slope() -> None:
    cells, y = curves()
    surrogate = CurvePosterior(PRIOR, THETA, cells, y, rng=np.random.default_rng(0)).at_column(6)
    a = np.random.default_rng(2).random((4, 3))
    means, deviations, pullback = surrogate.predict_with_pullback(a)
    weights = np.random.default_rng(4).standard_normal((4, 2))

    def number(at: np.ndarray) -> float:
        found = surrogate.predict(at)
        return float(weights[:, 0] @ found[0][:, 0] + weights[:, 1] @ found[1])

    gradient = pullback(weights[:, :1], weights[:, 1])
    step = 1e-6
    for i in range(4):
        for j in range(3):
            moved = np.zeros_like(a)
            moved[i, j] = step
            slope = (number(a + moved) - number(a - moved)) / (2 * step)
            assert gradient[i, j] == pytest.approx(slope, rel=1e-4, abs=1e-6)
    assert means.shape == (4, 1)
    assert (deviations > 0).all()


def test_a_root_of_low_rank() -> None:
    rng = np.random.default_rng(0)
    low_rank = rng.standard_normal((12, 3))
    low_rank = np.concatenate([low_rank, low_rank[:, :1]], axis=1)  # one column says nothing new
    root = LowRankRoot(low_rank, 0.1)
    whole = low_rank @ low_rank.T + 0.1 * np.eye(12)
    np.testing.assert_allclose(root.times(root.times(whole)), np.eye(12), atol=1e-8)
    assert root.log_determinant == pytest.approx(np.linalg.slogdet(whole)[1])


def test_pivoted_columns_rebuild_a_matrix_of_their_rank() -> None:
    wide = np.random.default_rng(0).standard_normal((9, 4))
    matrix = wide @ wide.T
    factor = pivoted_cholesky(lambda i: matrix[:, i], matrix.diagonal().copy(), 9)
    assert factor.shape[1] == 4
    np.testing.assert_allclose(factor @ factor.T, matrix, atol=1e-10)


def test_krylov_methods_on_matrices_with_few_eigenvalues() -> None:
    """Both are exact then, also with a column of zeros."""
    rotation = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0]
    values = np.array([1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 5.0, 5.0])
    matrix = rotation @ np.diag(values) @ rotation.T
    right = np.stack([np.ones(8), np.zeros(8)], axis=1)
    found = conjugate_gradients(lambda block: matrix @ block, right, tolerance=1e-12, most=10)
    np.testing.assert_allclose(matrix @ found, right, atol=1e-10)
    signs = np.array([[1.0 if (i >> bit) & 1 else -1.0 for i in range(256)] for bit in range(8)])
    estimate = log_determinant(lambda block: matrix @ block, signs, 8)
    assert estimate == pytest.approx(
        float(np.log(values).sum()), rel=1e-6
    )  # the mean over all signs is exact
