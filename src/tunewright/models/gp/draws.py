"""Draws of whole functions from a Gaussian process, at a cost in proportion to the points at which they are read."""

from __future__ import annotations

import math
from typing import Final, final

import numpy as np

from tunewright.models.arrays import Array
from tunewright.models.gp.factor import Factor, solve_lower
from tunewright.models.gp.kernels import Matern52
from tunewright.models.gp.process import GaussianProcess

_N_FREQUENCIES: Final = 512


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
        normal = rng.standard_normal((_N_FREQUENCIES, len(inverse)))
        stretch = np.sqrt(rng.chisquare(5.0, size=(_N_FREQUENCIES, 1)) / 5.0)
        self._frequencies = normal / stretch * inverse
        self._shifts = rng.uniform(0.0, 2.0 * math.pi, _N_FREQUENCIES)
        self._weights = math.sqrt(2.0 * at.scale / _N_FREQUENCIES) * rng.standard_normal(_N_FREQUENCIES)
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
