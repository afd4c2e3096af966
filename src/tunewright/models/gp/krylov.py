"""Linear systems and determinants by products with a matrix alone, for covariances that are never formed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, final

import numpy as np
from scipy.linalg import eigh_tridiagonal

from tunewright.models.arrays import Array

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
        Columns at most; fewer where nothing is left.

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
        Random signs (n, k): the estimate's deviation falls with the square root of k, and is small where A is near
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
        values, vectors = eigh_tridiagonal(on[:size, probe], beside[: size - 1, probe])
        total += float(vectors[0] ** 2 @ np.log(np.maximum(values, _NEGLIGIBLE)))
    return n * total / k
