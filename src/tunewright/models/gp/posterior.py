"""Posterior of a Gaussian process, given observations and fantasies."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np
from typing_extensions import override

from tunewright.models.arrays import Array, Indices
from tunewright.models.gp.factor import Factor, cholesky, solve_lower
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.surrogate import Pullback, Surrogate

_SMALLEST_VARIANCE = 1e-12


def factorise(process: GaussianProcess, theta: Array, x: Array, base: int) -> Factor:
    """The factor of the observations' covariance at given hyperparameters; the first ``base`` at once."""
    return Factor(_covariance(process, theta), process.read(theta).noise, x, base)


def _covariance(process: GaussianProcess, theta: Array) -> Callable[[Array, Array], Array]:
    return lambda a, b: process.covariance(theta, a, b)


@final
class Posterior(Surrogate):
    """A Gaussian process given observations, in s versions that differ in their targets only.

    Parameters
    ----------
    process, theta
        The prior.
    x
        Observed points (n, d).
    lower
        The factor L (n, n) of their covariance, noise included.
    y
        Targets (n, s).
    """

    def __init__(self, process: GaussianProcess, theta: Array, x: Array, lower: Array, y: Array) -> None:
        self._process = process
        self._theta = theta
        self._at = process.read(theta)
        self._x = x
        self._lower = lower
        self._y = y
        half = solve_lower(lower, y - self._at.mean)
        self._alpha = solve_lower(lower, half, transposed=True)

    @override
    def means(self, a: Array) -> Array:
        return self._at.mean + self._process.covariance(self._theta, a, self._x) @ self._alpha

    @override
    def predict(self, a: Array) -> tuple[Array, Array]:
        covariances = self._process.covariance(self._theta, a, self._x)
        half = solve_lower(self._lower, covariances.T)
        variances = self._process.variances(self._theta, a) - np.einsum("ij,ij->j", half, half)
        return self._at.mean + covariances @ self._alpha, np.sqrt(np.maximum(variances, _SMALLEST_VARIANCE))

    @override
    def predict_with_pullback(self, a: Array) -> tuple[Array, Array, Pullback]:
        """As :meth:`predict`, and how a number that depends on both depends on the points."""
        covariances, pullback = self._process.cross(self._theta, a, self._x)
        half = solve_lower(self._lower, covariances.T)
        variances = self._process.variances(self._theta, a) - np.einsum("ij,ij->j", half, half)
        deviations = np.sqrt(np.maximum(variances, _SMALLEST_VARIANCE))
        whole = solve_lower(self._lower, half, transposed=True).T

        def back(by_means: Array, by_deviations: Array) -> Array:
            factor = np.where(variances > _SMALLEST_VARIANCE, by_deviations / deviations, 0.0)
            return pullback(by_means @ self._alpha.T - factor[:, np.newaxis] * whole)

        return self._at.mean + covariances @ self._alpha, deviations, back

    def joint(self, a: Array) -> tuple[Array, Array]:
        """Means (m, s) and covariance (m, m) of the function at points (m, d)."""
        covariances = self._process.covariance(self._theta, a, self._x)
        half = solve_lower(self._lower, covariances.T)
        prior = self._process.covariance(self._theta, a, a)
        return self._at.mean + covariances @ self._alpha, prior - half.T @ half

    @override
    def samples(self, a: Array, normal: Array) -> Array:
        means, covariance = self.joint(a)
        return means[:, :1] + cholesky(covariance) @ normal

    def fantasised(self, pending: Array, normal: Array) -> Posterior:
        """Return the posterior as if pending evaluations had given draws from their predictions.

        Parameters
        ----------
        pending
            Points (q, d).
        normal
            Standard normal numbers (q, k).

        Returns
        -------
        Posterior
            With k versions: each has the first version's targets and its own draw.
        """
        means, covariance = self.joint(pending)
        noisy = cholesky(covariance + self._at.noise * np.eye(len(pending)))
        draws = means[:, :1] + noisy @ normal
        side = solve_lower(self._lower, self._process.covariance(self._theta, self._x, pending))
        n, q = side.shape
        lower = np.zeros((n + q, n + q), order="F")
        lower[:n, :n], lower[n:, :n], lower[n:, n:] = self._lower, side.T, noisy
        repeated = np.repeat(self._y[:, :1], normal.shape[1], axis=1)
        points = np.concatenate([self._x, pending])
        return Posterior(self._process, self._theta, points, lower, np.concatenate([repeated, draws]))

    def left_out(self) -> tuple[Array, Array]:
        """Means (n,) and deviations (n,) at each observation, predicted from all others ([RW2006]_, 5.12).

        Deviations are those of the noisy observation. Of the first version.

        References
        ----------
        .. [RW2006] Rasmussen, Williams: Gaussian Processes for Machine Learning. MIT Press 2006.
        """
        half = solve_lower(self._lower, np.eye(len(self._x)))
        variances = 1.0 / np.einsum("ij,ij->j", half, half)
        return self._y[:, 0] - self._alpha[:, 0] * variances, np.sqrt(variances)

    def groups_left_out(self, groups: Indices) -> tuple[Array, Array]:
        """As :meth:`left_out`, each predicted from the observations of other groups only.

        With K the covariance, noise included, and G a group: the means are ``y_G - S (K^-1 (y - m))_G`` and the variances the
        diagonal of S, the inverse of the block ``(K^-1)_GG`` (block form of [RW2006]_, 5.12).

        Parameters
        ----------
        groups
            Number of each observation's group, (n,).
        """
        half = solve_lower(self._lower, np.eye(len(self._x)))
        means, variances = np.empty(len(groups)), np.empty(len(groups))
        order = np.argsort(groups, kind="stable")
        ends = np.flatnonzero(np.append(np.diff(groups[order]), 1)) + 1
        sizes = np.diff(ends, prepend=0)
        for size in np.unique(sizes):
            starts = (ends - sizes)[sizes == size]
            members = order[starts[:, np.newaxis] + np.arange(size)]
            columns = half.T[members]
            blocks = np.linalg.inv(columns @ columns.transpose(0, 2, 1))
            pulls = blocks @ self._alpha[members, :1]
            means[members] = self._y[members, 0] - pulls[:, :, 0]
            variances[members] = np.diagonal(blocks, axis1=1, axis2=2)
        return means, np.sqrt(variances)

    def reordered(self, order: Indices) -> Posterior:
        """The same posterior with its observations in another order, in one version."""
        x = self._x[order]
        lower = factorise(self._process, self._theta, x, len(x)).lower
        return Posterior(self._process, self._theta, x, lower, self._y[order, :1])

    def leading(self, n: int) -> Posterior:
        """The posterior of the first ``n`` observations, in one version."""
        return Posterior(self._process, self._theta, self._x[:n], self._lower[:n, :n], self._y[:n, :1])
