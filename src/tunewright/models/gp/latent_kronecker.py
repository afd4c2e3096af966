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
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias, cast, final

import numpy as np
from scipy.linalg import eigh_tridiagonal  # pyright: ignore[reportUnknownVariableType]

from tunewright.models.arrays import Array, Indices
from tunewright.models.gp.kernels import Kernel
from tunewright.models.gp.process import GaussianProcess
from tunewright.models.gp.resource_kernels import ResourceProduct, log_resource

Product: TypeAlias = Callable[[Array], Array]
"""A symmetric matrix times a block: (n, k) -> (n, k)."""

_NEGLIGIBLE: Final = 1e-12


@final
class LowRankRoot:
    """``M^-1/2`` for ``M = L L' + noise I``, which stands in for a covariance whose first pivots L holds.

    Parameters
    ----------
    low_rank
        L, (n, r).
    noise
        > 0.
    """

    def __init__(self, low_rank: Array, noise: float) -> None:
        self._noise = noise
        values, vectors = np.linalg.eigh(low_rank.T @ low_rank)
        kept = values > _NEGLIGIBLE * max(float(values[-1]), noise) if len(values) else values > 0
        self._basis = low_rank @ (vectors[:, kept] / np.sqrt(values[kept]))
        eigenvalues = values[kept] + noise
        self._gains = 1.0 / np.sqrt(eigenvalues) - noise**-0.5
        n_left = len(low_rank) - len(eigenvalues)
        self.log_determinant = float(np.log(eigenvalues).sum()) + n_left * float(np.log(noise))
        """Of M."""

    def times(self, block: Array) -> Array:
        """``M^-1/2 B`` of (n, k)."""
        along = self._gains[:, np.newaxis] * (self._basis.T @ block)
        return self._noise**-0.5 * block + self._basis @ along


def pivoted_cholesky(column: Callable[[int], Array], diagonal: Array, rank: int) -> Array:
    """The first columns of a Cholesky factorisation that takes the largest remaining pivot each time.

    Parameters
    ----------
    column
        Column number i of a positive semidefinite matrix, (n,).
    diagonal
        Its diagonal, (n,).
    rank
        Columns at most; fewer if nothing is left.

    Returns
    -------
    (n, r)
        ``L L'`` agrees with the matrix in the rows of the r pivots.

    References
    ----------
    .. [Harbrecht2012] Harbrecht, Peters, Schneider: On the Low-Rank Approximation by the Pivoted Cholesky
       Decomposition. Applied Numerical Mathematics 62 (2012).
    """
    left = diagonal.copy()
    smallest = _NEGLIGIBLE * float(left.max(initial=0.0))
    factor = np.zeros((len(left), min(rank, len(left))), order="F")
    for k in range(factor.shape[1]):
        pivot = int(np.argmax(left))
        if left[pivot] <= smallest:
            return factor[:, :k]
        known = factor[:, :k] @ factor[pivot, :k]
        factor[:, k] = (column(pivot) - known) / np.sqrt(left[pivot])
        left -= factor[:, k] ** 2
        left[pivot] = 0.0
    return factor


def conjugate_gradients(product: Product, right: Array, *, tolerance: float, most: int) -> Array:
    """Solve ``A X = B`` for a positive definite A, all columns at once.

    Parameters
    ----------
    product
        A times a block.
    right
        B, (n, k).
    tolerance
        A column is done once its residual is so many times smaller than it.
    most
        Steps at most.

    Returns
    -------
    (n, k)
    """
    solution = np.zeros_like(right)
    residual = right.copy()
    direction = residual.copy()
    squares = np.einsum("ij,ij->j", residual, residual)
    goal = tolerance**2 * squares
    for _ in range(most):
        if (squares <= goal).all():
            break
        image = product(direction)
        curvature = np.einsum("ij,ij->j", direction, image)
        step = np.divide(squares, curvature, out=np.zeros_like(squares), where=curvature > 0)
        solution += step * direction
        residual -= step * image
        new = np.einsum("ij,ij->j", residual, residual)
        direction *= np.divide(new, squares, out=np.zeros_like(new), where=squares > 0)
        direction += residual
        squares = new
    return solution


def log_determinant(product: Product, probes: Array, steps: int) -> float:
    """An estimate of ``log |A|`` by stochastic Lanczos quadrature ([Ubaru2017]_, Algorithm 1).

    Parameters
    ----------
    product
        A positive definite (n, n) times a block.
    probes
        Random signs (n, k): the estimate's deviation falls with the square root of k, and is small if A is near
        the identity.
    steps
        Of the Lanczos iteration, at most n.

    References
    ----------
    .. [Ubaru2017] Ubaru, Chen, Saad: Fast Estimation of tr(f(A)) via Stochastic Lanczos Quadrature. SIAM J. Matrix
       Analysis and Applications 38 (2017).
    """
    n, k = probes.shape
    basis = [probes / np.sqrt(n)]
    on, beside = np.zeros((steps, k)), np.zeros((steps, k))
    for step in range(steps):
        image = product(basis[-1])
        on[step] = np.einsum("ij,ij->j", basis[-1], image)
        for _ in range(2):  # once more, since rounding spoils the first orthogonalisation
            for known in basis:
                image = image - known * np.einsum("ij,ij->j", known, image)
        beside[step] = np.linalg.norm(image, axis=0)
        basis.append(np.divide(image, beside[step], out=np.zeros_like(image), where=beside[step] > 1e-10))
    total = 0.0
    for probe in range(k):
        ended = np.flatnonzero(beside[:, probe] <= 1e-10)
        size = int(ended[0]) + 1 if len(ended) else steps
        values, vectors = cast(
            "tuple[Array, Array]", eigh_tridiagonal(on[:size, probe], beside[: size - 1, probe])
        )
        total += float(vectors[0] ** 2 @ np.log(np.maximum(values, _NEGLIGIBLE)))
    return n * total / k


_RANK: Final = 100
_LANCZOS_STEPS: Final = 30
_MOST_STEPS: Final = 2000


@final
@dataclass(frozen=True, slots=True)
class Cells:
    """Observed cells of a grid."""

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
        """Select the observed cells (N, k) of a grid (n, m, k)."""
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
        self.resources = log_resource(is_rough=True)
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
        The process.
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
        product = float(cast("float", np.vdot(by_configs, self.of_configs)))
        return np.concatenate([of_configs, of_resources]), product
