"""A Gaussian process: kernel, scale, noise and mean; its likelihood, and the fit of its hyperparameters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from tunewright.models.arrays import Array, from_scipy
from tunewright.models.gp.factor import cholesky, inverse, solve
from tunewright.models.gp.kernels import CrossPullback, Kernel, Prior


@final
@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Hyperparameters of a process, by name."""

    kernel: Array
    scale: float
    """Variance of the function, > 0."""
    noise: float
    """Variance of the observations around it, > 0."""
    mean: float


@final
class GaussianProcess:
    """Normally distributed functions ``mean + sqrt(scale) f(x)``, observed with noise.

    Targets are expected to be standardised. The flat vector ``theta`` holds the kernel's parameters, log scale, log
    noise, and the mean. Priors: a scale around 1 (deviation 1 of the logarithm), a noise whose mode lies at
    exp(-5), a standard normal mean.

    Parameters
    ----------
    kernel
        Of unit scale.
    """

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        own = Prior(
            np.array([0.0, -5.0, 0.0]),
            np.ones(3),
            np.array([math.log(1e-2), math.log(1e-6), -3.0]),
            np.array([math.log(1e2), 0.0, 3.0]),
        )
        self.prior = kernel.prior.joined(own)
        """Of ``theta``, (p,)."""

    def read(self, theta: Array) -> Hyperparameters:
        """Take ``theta`` apart."""
        scale, noise = np.exp(theta[-3:-1]).tolist()
        return Hyperparameters(theta[:-3], scale, noise, float(theta[-1]))

    def covariance(self, theta: Array, a: Array, b: Array) -> Array:
        """Noise-free covariances (m, n) of points (m, d) and (n, d)."""
        return self.cross(theta, a, b)[0]

    def cross(self, theta: Array, a: Array, b: Array) -> tuple[Array, CrossPullback]:
        """Noise-free covariances (m, n), and their derivative with respect to the first points."""
        at = self.read(theta)
        covariances, pullback = self._kernel.cross(at.kernel, a, b)
        return at.scale * covariances, lambda weights: pullback(at.scale * weights)

    def variances(self, theta: Array, a: Array) -> Array:
        """Noise-free variances (m,)."""
        at = self.read(theta)
        return at.scale * self._kernel.diagonal(at.kernel, a)

    def log_likelihood(self, theta: Array, x: Array, y: Array) -> tuple[float, Array]:
        """Log marginal likelihood of observations, and its gradient.

        ``-1/2 r' K^-1 r - 1/2 log|K| - n/2 log(2 pi)`` with r = y - mean ([RW2006]_, 5.8 and 5.9).

        Parameters
        ----------
        theta
            (p,)
        x, y
            (n, d) and (n,)

        Returns
        -------
        value, gradient
            A number, and (p,).

        References
        ----------
        .. [RW2006] Rasmussen, Williams: Gaussian Processes for Machine Learning. MIT Press 2006.
        """
        at = self.read(theta)
        unscaled, pullback = self._kernel.gram(at.kernel, x)
        noise_free = at.scale * unscaled
        factor = cholesky(noise_free + at.noise * np.eye(len(x)))
        residual = y - at.mean
        alpha = solve(factor, residual)
        half_log_determinant = float(np.log(factor.diagonal()).sum())
        value = -0.5 * float(residual @ alpha) - half_log_determinant - len(x) / 2 * math.log(2 * math.pi)
        by_covariance = 0.5 * (np.outer(alpha, alpha) - inverse(factor))
        by_kernel, _ = pullback(at.scale * by_covariance)
        by_scale = float(np.vdot(by_covariance, noise_free))
        by_noise = at.noise * float(np.trace(by_covariance))
        return value, np.concatenate([by_kernel, [by_scale, by_noise, float(alpha.sum())]])

    def log_posterior(self, theta: Array, x: Array, y: Array) -> tuple[float, Array]:
        """Log likelihood plus log prior density, up to a constant, and its gradient."""
        value, gradient = self.log_likelihood(theta, x, y)
        z = (theta - self.prior.mean) / self.prior.deviation
        return value - 0.5 * float(z @ z), gradient - z / self.prior.deviation


_MAX_STEPS: Final = 50


def fit(process: GaussianProcess, x: Array, y: Array, starts: Sequence[Array]) -> Array | None:
    """The most probable hyperparameters, given observations.

    L-BFGS-B begins at the most probable of the starting points: at an earlier fit, unless new observations contradict it.

    Parameters
    ----------
    process
        The process to fit.
    x, y
        Observations (n, d) and standardised targets (n,).
    starts
        Vectors (p,); the prior's mean is always one of them.

    Returns
    -------
    (p,) or None
        None if no finite optimum was found.
    """
    prior = process.prior

    def objective(theta: Array) -> tuple[float, Array]:
        value, gradient = process.log_posterior(theta, x, y)
        return -value / len(x), -gradient / len(x)

    inside = [np.clip(start, prior.low, prior.high) for start in (*starts, prior.mean)]
    values = [objective(start)[0] for start in inside]
    begin = inside[int(np.nanargmin(values))] if np.isfinite(values).any() else prior.mean
    place, value, _ = from_scipy("optimize", "fmin_l_bfgs_b")(
        objective,
        begin,
        bounds=list(zip(prior.low.tolist(), prior.high.tolist(), strict=True)),
        maxiter=_MAX_STEPS,
        factr=1e-6 / np.finfo(np.float64).eps,
        pgtol=1e-4,
    )
    theta = np.asarray(place, dtype=np.float64)
    return theta if np.isfinite(value) and np.isfinite(theta).all() else None
