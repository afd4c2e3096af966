"""Draws of whole functions: of a Gaussian process, and of a process over learning curves, whose posterior they give."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, final

import numpy as np
from typing_extensions import override

from tunewright.models.arrays import Array, Indices
from tunewright.models.gp.factor import Factor, cholesky, solve_lower
from tunewright.models.gp.kernels import CrossPullback, Matern52
from tunewright.models.gp.latent_kronecker import Cells, CurveCovariance, LatentKronecker
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.surrogate import Pullback, Surrogate

_N_FREQUENCIES: Final = 256
_N_FEATURES: Final = 512
_DRAW_TOLERANCE: Final = 1e-3
_SMALLEST_VARIANCE: Final = 1e-12


@final
class CurvePosterior:
    """A process over learning curves given observations, and joint draws of it.

    Draws follow Matheron's rule ([Wilson2020]_, equation 13): a draw of the prior, plus what the observations say about its
    error, ``f(.) + k(., X) A^-1 (y - f(X) - noise)``. The prior's draws are sums of Fourier features over configurations
    (equation 15 there; exact in the limit of many) and exact over resources. The mean and :meth:`variances` are exact.

    Parameters
    ----------
    prior, theta
        The prior; its kernel over configurations is a `Matern52`.
    cells, y
        What was observed, N >= 1 targets (N,).
    pending
        Rows and columns of cells that are being observed. They change no mean; in draws they are known, so that what is
        said of points near them is more certain. That is what evaluations that give the predicted values would do.
    rng, n_draws
        Draw the functions.

    References
    ----------
    .. [Wilson2020] Wilson, Borovitskiy, Terenin, Mostowsky, Deisenroth: Efficiently Sampling Functions from Gaussian
       Process Posteriors. ICML 2020.
    """

    def __init__(
        self,
        prior: LatentKronecker,
        theta: Array,
        cells: Cells,
        y: Array,
        *,
        pending: tuple[Indices, Indices] | None = None,
        rng: np.random.Generator,
        n_draws: int = 32,
    ) -> None:
        self._prior, self._theta = prior, theta
        self._at = prior.process.read(theta)
        self._cells = cells
        self._covariance = CurveCovariance(prior, theta, cells)
        self._weights = self._covariance.solve((y - self._at.mean)[:, np.newaxis])
        known, covariance = cells, self._covariance
        if pending is not None and len(pending[0]):
            known = cells.also(*pending)
            covariance = CurveCovariance(prior, theta, known)
        self._features = _Features(self._at.kernel[:-1], rng)
        columns = cholesky(self._covariance.of_resources)
        raw = rng.standard_normal((2 * _N_FREQUENCIES, len(cells.resources), n_draws))
        self._prior_weights = np.sqrt(self._at.scale) * np.matmul(columns, raw)
        flat = self._prior_weights.reshape(2 * _N_FREQUENCIES, -1)
        drawn = (self._features.values(cells.x) @ flat).reshape(len(cells.x), -1, n_draws)
        errors = known.observed(drawn)
        errors += np.sqrt(self._at.noise) * rng.standard_normal(errors.shape)
        self._corrections = known.spread(covariance.solve(-errors, _DRAW_TOLERANCE))

    def variances(self, x: Array, column: int) -> Array:
        """Exact variances (q,) of the function of configurations (q, d) at one resource; one solution for each."""
        beside = self._prior.configs.cross(self._at.kernel[:-1], self._cells.x, x)[0][self._cells.rows]
        along = self._covariance.of_resources[self._cells.columns, column]
        right = self._at.scale * beside * along[:, np.newaxis]
        return self._at.scale - np.einsum("ik,ik->k", right, self._covariance.solve(right))

    def at_column(self, column: int) -> CurvesAtResource:
        """The function of configurations at one resource of the grid."""
        along = self._covariance.of_resources[:, column]
        weights = self._cells.spread(self._weights)
        kernel, theta = self._prior.configs, self._at.kernel[:-1]
        return CurvesAtResource(
            lambda a: kernel.cross(theta, a, self._cells.x),
            self._features,
            mean=self._at.mean,
            weights=self._at.scale * np.einsum("nmk,m->nk", weights, along)[:, 0],
            feature_weights=self._prior_weights[:, column],
            corrections=self._at.scale * np.einsum("nmk,m->nk", self._corrections, along),
        )


@final
class _Features:
    """Random Fourier features of `Matern52`: cosines and sines whose products have its covariance in expectation.

    The frequencies have the kernel's spectral density, a multivariate t with five degrees of freedom ([RW2006]_, 4.15).
    """

    def __init__(self, log_scales: Array, rng: np.random.Generator) -> None:
        normal = rng.standard_normal((_N_FREQUENCIES, len(log_scales)))
        spread = np.sqrt(rng.chisquare(5.0, size=(_N_FREQUENCIES, 1)) / 5.0)
        self._frequencies = normal / spread * np.exp(-log_scales)

    def values(self, x: Array) -> Array:
        """Features (q, f) of points (q, d)."""
        angles = x @ self._frequencies.T
        return np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * _N_FREQUENCIES**-0.5

    def pulled_back(self, x: Array, by_features: Array) -> Array:
        """dF/dx (q, d) from dF/dfeatures (q, f)."""
        angles = x @ self._frequencies.T
        by_cosines, by_sines = np.split(by_features * _N_FREQUENCIES**-0.5, 2, axis=1)
        return (np.cos(angles) * by_sines - np.sin(angles) * by_cosines) @ self._frequencies


@final
class CurvesAtResource(Surrogate):
    """Learning curves at one resource: exact means, deviations over the draws.

    Made by :meth:`CurvePosterior.at_column`.
    """

    def __init__(
        self,
        cross: Callable[[Array], tuple[Array, CrossPullback]],
        features: _Features,
        *,
        mean: float,
        weights: Array,
        feature_weights: Array,
        corrections: Array,
    ) -> None:
        self._cross, self._features = cross, features
        self._mean, self._weights = mean, weights
        self._feature_weights, self._corrections = feature_weights, corrections

    @override
    def means(self, a: Array) -> Array:
        return self._mean + (self._cross(a)[0] @ self._weights)[:, np.newaxis]

    @override
    def predict(self, a: Array) -> tuple[Array, Array]:
        means, deviations, _ = self.predict_with_pullback(a)
        return means, deviations

    @override
    def predict_with_pullback(self, a: Array) -> tuple[Array, Array, Pullback]:
        covariances, pullback = self._cross(a)
        means = self._mean + (covariances @ self._weights)[:, np.newaxis]
        errors = self._features.values(a) @ self._feature_weights + covariances @ self._corrections
        variances = np.mean(errors**2, axis=1)
        deviations = np.sqrt(np.maximum(variances, _SMALLEST_VARIANCE))

        def back(by_means: Array, by_deviations: Array) -> Array:
            share = np.where(variances > _SMALLEST_VARIANCE, by_deviations / deviations, 0.0)
            by_errors = share[:, np.newaxis] * errors / errors.shape[1]
            by_covariances = by_means * self._weights + by_errors @ self._corrections.T
            through_features = self._features.pulled_back(a, by_errors @ self._feature_weights.T)
            return pullback(by_covariances) + through_features

        return means, deviations, back

    @override
    def samples(self, a: Array, normal: Array) -> Array:
        covariances = self._cross(a)[0]
        errors = self._features.values(a) @ self._feature_weights + covariances @ self._corrections
        n_draws = errors.shape[1]
        mixing = np.resize(normal, (n_draws, normal.shape[1])) * n_draws**-0.5
        return self.means(a) + errors @ mixing


@final
class FunctionDraw:
    """One function of a process with a `Matern52` kernel, given observations.

    Matheron's rule ([Wilson2020]_, equation 13): a draw of the prior, plus the prediction of its error at the observations,
    ``f(.) + k(., X) K^-1 (y - f(X) - noise)``. The prior's draw is a sum of Fourier features (equation 15 there), whose frequencies have the
    kernel's spectral density, a multivariate t with five degrees of freedom ([RW2006]_, 4.15).

    Parameters
    ----------
    kernel
        The kernel of the process.
    process, theta
        The process and its hyperparameters.
    factor
        Of the covariance of the observations, n points.
    y
        Targets (n,).
    rng
        Draws the function.

    References
    ----------
    .. [Wilson2020] Wilson, Borovitskiy, Terenin, Mostowsky, Deisenroth: Efficiently Sampling Functions from Gaussian
       Process Posteriors. ICML 2020.
    .. [RW2006] Rasmussen, Williams: Gaussian Processes for Machine Learning. MIT Press 2006.
    """

    def __init__(
        self,
        kernel: Matern52,
        process: GaussianProcess,
        theta: Array,
        factor: Factor,
        y: Array,
        rng: np.random.Generator,
    ) -> None:
        at = process.read(theta)
        inverse = kernel.inverse_scales(at.kernel)
        normal = rng.standard_normal((_N_FEATURES, len(inverse)))
        stretch = np.sqrt(rng.chisquare(5.0, size=(_N_FEATURES, 1)) / 5.0)
        self._frequencies = normal / stretch * inverse
        self._shifts = rng.uniform(0.0, 2.0 * math.pi, _N_FEATURES)
        self._weights = math.sqrt(2.0 * at.scale / _N_FEATURES) * rng.standard_normal(_N_FEATURES)
        self._process, self._theta, self._x, self._mean = process, theta, factor.x, at.mean
        noise = math.sqrt(at.noise) * rng.standard_normal(len(y))
        errors = (y - self._prior(self._x) - noise)[:, np.newaxis]
        half = solve_lower(factor.lower, errors)
        self._corrections = solve_lower(factor.lower, half, transposed=True)[:, 0]

    def values(self, a: Array) -> Array:
        """The function at points (m, d): (m,)."""
        return self._prior(a) + self._process.covariance(self._theta, a, self._x) @ self._corrections

    def _prior(self, a: Array) -> Array:
        return self._mean + np.cos(a @ self._frequencies.T + self._shifts) @ self._weights
