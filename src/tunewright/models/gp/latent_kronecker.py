"""A Gaussian process over learning curves: configurations x resources, of which a part was observed.

The kernel is a product, so the covariance of the whole grid of n configurations and m resources is the Kronecker product
of an (n, n) and an (m, m) matrix, and that of the observed cells a part of it. It is never formed: a product with it takes
O(n^2 m + n m^2) steps, and everything else follows by conjugate gradients ([Lin2024]_, section 3).

References
----------
.. [Lin2024] Lin, Ament, Balandat, Bakshy: Scaling Gaussian Processes for Learning Curve Prediction via Latent Kronecker
   Structure. arXiv 2410.09239.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, final

import numpy as np

from tunewright.models.arrays import Array, Indices
from tunewright.models.gp.kernels import Kernel
from tunewright.models.gp.krylov import LowRankRoot, conjugate_gradients, log_determinant, pivoted_cholesky
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.gp.resource_kernels import LogResource, ResourceProduct

_RANK: Final = 100
_LANCZOS_STEPS: Final = 30
_MOST_STEPS: Final = 2000


@final
@dataclass(frozen=True, slots=True)
class Cells:
    """Where a grid was observed."""

    x: Array
    """Configurations (n, d)."""
    resources: Array
    """Resources (m,) as parts of the largest, in (0, 1], strictly increasing."""
    rows: Indices
    """The configuration of each observation, (N,)."""
    columns: Indices
    """The resource of each observation, (N,). No cell comes twice."""

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def points(self) -> Array:
        """The observed points, the resource as last column, (N, d + 1)."""
        return np.concatenate([self.x[self.rows], self.resources[self.columns][:, np.newaxis]], axis=1)

    def spread(self, values: Array) -> Array:
        """Values (N, k) on the grid, (n, m, k), zero where nothing was observed."""
        grid = np.zeros((len(self.x), len(self.resources), values.shape[1]))
        grid[self.rows, self.columns] = values
        return grid

    def observed(self, grid: Array) -> Array:
        """Those (N, k) of a grid (n, m, k)."""
        return grid[self.rows, self.columns]

    def also(self, rows: Indices, columns: Indices) -> Cells:
        """These cells and further ones."""
        return Cells(
            self.x,
            self.resources,
            np.concatenate([self.rows, rows]),
            np.concatenate([self.columns, columns]),
        )


@final
class LatentKronecker:
    """The prior: a `GaussianProcess` with a `ResourceProduct`, of which it has the hyperparameters ``theta``.

    Over the logarithm of the resource the kernel is a Matern-1/2, as in the paper.

    Parameters
    ----------
    configs
        The kernel over configurations.
    """

    def __init__(self, configs: Kernel) -> None:
        self.configs = configs
        self.resources = LogResource(is_rough=True)
        self.process = GaussianProcess(ResourceProduct(configs, self.resources))
        """The same process, which forms its covariances."""
        self.prior = self.process.prior
        """Of ``theta``."""

    def log_likelihood(self, theta: Array, cells: Cells, y: Array, probes: Array) -> tuple[float, Array]:
        """Log marginal likelihood and its gradient, without forming a covariance.

        The quadratic term is exact up to the tolerance of conjugate gradients. The determinant is estimated by stochastic
        Lanczos quadrature, and the traces of its gradient from the same probes, both on the covariance that `LowRankRoot` has
        brought near the identity, which makes their deviation small ([Gardner2018]_, section 4).

        Parameters
        ----------
        theta
            (p,)
        cells, y
            What was observed: targets (N,), standardised.
        probes
            Random signs (N, k), k >= 1; a dozen will do.

        Returns
        -------
        value, gradient
            A number, and (p,).

        References
        ----------
        .. [Gardner2018] Gardner, Pleiss, Bindel, Weinberger, Wilson: GPyTorch: Blackbox Matrix-Matrix Gaussian Process
           Inference with GPU Acceleration. NeurIPS 2018.
        """
        at = self.process.read(theta)
        covariance = CurveCovariance(self, theta, cells)
        residual = y - at.mean
        solved = covariance.solve(residual[:, np.newaxis])
        alpha = solved[:, 0]
        steps = min(_LANCZOS_STEPS, len(cells))
        determinant = covariance.root.log_determinant + log_determinant(covariance.conditioned, probes, steps)
        value = -0.5 * (float(residual @ alpha) + determinant + len(cells) * math.log(2 * math.pi))
        left = np.concatenate([solved, covariance.solve_root(probes)], axis=1)
        right = np.concatenate([solved, covariance.root.times(probes)], axis=1)
        signs = np.concatenate([[0.5], np.full(probes.shape[1], -0.5 / probes.shape[1])])
        by_noise = at.noise * float(np.einsum("ik,ik,k->", left, right, signs))
        by_kernels, by_scale = covariance.pulled_back(left, right, signs)
        return value, np.concatenate([by_kernels, [by_scale, by_noise, float(alpha.sum())]])


@final
class CurveCovariance:
    """The covariance of observed cells at given hyperparameters, as what multiplies and solves.

    Parameters
    ----------
    prior, theta
        Whose.
    cells
        The observed ones.
    """

    def __init__(self, prior: LatentKronecker, theta: Array, cells: Cells) -> None:
        at = prior.process.read(theta)
        self._cells = cells
        self._scale, self._noise = at.scale, at.noise
        self.of_configs, self._configs_pullback = prior.configs.gram(at.kernel[:-1], cells.x)
        self.of_resources, self._resources_pullback = prior.resources.gram(
            at.kernel[-1:], cells.resources[:, np.newaxis]
        )
        rows, columns = cells.rows, cells.columns
        low_rank = pivoted_cholesky(
            lambda i: self._scale * self.of_configs[rows[i], rows] * self.of_resources[columns[i], columns],
            np.full(len(cells), self._scale),
            _RANK,
        )
        self.root = LowRankRoot(low_rank, self._noise)
        """Brings it near the identity."""

    def whole(self, grid: Array) -> Array:
        """The noise-free covariance of the whole grid times (n, m, k)."""
        n, m, k = grid.shape
        mixed = (self.of_configs @ grid.reshape(n, m * k)).reshape(n, m, k)
        return self._scale * np.matmul(self.of_resources, mixed)

    def product(self, block: Array) -> Array:
        """The covariance of the observations, noise included, times (N, k)."""
        return self._cells.observed(self.whole(self._cells.spread(block))) + self._noise * block

    def conditioned(self, block: Array) -> Array:
        """``M^-1/2 A M^-1/2`` times (N, k), for the covariance A and M near it."""
        return self.root.times(self.product(self.root.times(block)))

    def solve(self, right: Array, tolerance: float = 1e-10) -> Array:
        """``A^-1 B`` for (N, k)."""
        return self._solved(self.root.times(right), tolerance)

    def solve_root(self, right: Array, tolerance: float = 1e-10) -> Array:
        """``A^-1 M^1/2 B`` for (N, k)."""
        return self._solved(right, tolerance)

    def _solved(self, right: Array, tolerance: float) -> Array:
        inner = conjugate_gradients(self.conditioned, right, tolerance=tolerance, most=_MOST_STEPS)
        return self.root.times(inner)

    def pulled_back(self, left: Array, right: Array, weights: Array) -> tuple[Array, float]:
        """How ``sum_k w_k l_k' A r_k`` depends on the kernels' parameters and on the logarithm of the scale.

        Parameters
        ----------
        left, right, weights
            (N, K), (N, K) and (K,)
        """
        a = self._cells.spread(left * weights)
        b = self._cells.spread(right)
        by_configs = self._scale * np.einsum("imk,jmk->ij", a, np.matmul(self.of_resources, b), optimize=True)
        n, m, k = b.shape
        mixed = (self.of_configs @ b.reshape(n, m * k)).reshape(n, m, k)
        by_resources = self._scale * np.einsum("ipk,iqk->pq", a, mixed, optimize=True)
        of_configs, _ = self._configs_pullback((by_configs + by_configs.T) / 2)
        of_resources, _ = self._resources_pullback((by_resources + by_resources.T) / 2)
        return np.concatenate([of_configs, of_resources]), float(np.vdot(by_configs, self.of_configs))
