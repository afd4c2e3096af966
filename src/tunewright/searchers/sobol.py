"""Sobol's points: a net that fills a cube more evenly than a Latin hypercube, in all pairs of columns too."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tunewright.models.arrays import Array

_Whole = NDArray[np.int64]

_BITS: Final = 30

_NUMBERS: Final = (
    (3, (1,)),
    (7, (1, 3)),
    (11, (1, 3, 1)),
    (13, (1, 1, 5)),
    (19, (1, 1, 7, 9)),
    (25, (1, 3, 7, 13)),
    (37, (1, 1, 5, 13, 5)),
    (41, (1, 1, 7, 1, 23)),
    (47, (1, 1, 3, 15, 11)),
    (55, (1, 1, 1, 11, 29)),
    (59, (1, 3, 7, 7, 29)),
    (61, (1, 3, 1, 7, 15)),
    (67, (1, 3, 5, 1, 9, 63)),
    (91, (1, 1, 3, 9, 3, 55)),
    (97, (1, 1, 1, 15, 11, 57)),
    (103, (1, 3, 5, 1, 29, 25)),
    (109, (1, 3, 5, 7, 3, 9)),
    (115, (1, 1, 1, 3, 5, 9)),
    (131, (1, 3, 3, 13, 27, 53, 121)),
    (137, (1, 1, 3, 7, 3, 49, 95)),
    (143, (1, 1, 7, 9, 31, 1, 13)),
    (145, (1, 3, 5, 7, 7, 1, 123)),
    (157, (1, 1, 7, 7, 7, 41, 117)),
    (167, (1, 3, 7, 15, 9, 33, 89)),
    (171, (1, 3, 3, 9, 17, 57, 13)),
    (185, (1, 3, 1, 7, 13, 41, 57)),
    (191, (1, 1, 7, 9, 13, 49, 93)),
    (193, (1, 3, 7, 11, 29, 41, 65)),
    (203, (1, 3, 5, 13, 19, 11, 107)),
    (211, (1, 3, 7, 13, 9, 43, 107)),
    (213, (1, 3, 5, 1, 23, 43, 31)),
)
"""For each column after the first: a primitive polynomial over {0, 1}, its highest coefficient first, and as many first
numbers as its degree. They were found by a random search for small squared t-values of all pairs of columns, at 2^4 to 2^10
points, one column after the other."""

MOST_COLUMNS: Final = len(_NUMBERS) + 1


def sobol(n: int, n_columns: int, rng: np.random.Generator | None) -> Array:
    """The first ``n`` points of Sobol's sequence ([Sobol1967]_).

    The first 2^m have one in each of 2^m equal parts of every column, and nearly so many in the boxes of each
    pair. Scrambled by a random matrix and a shift of the digits ([Matousek1998]_), each point is uniform and all of that
    remains.

    (SciPy has such points too, in a package whose import takes a second.)

    Parameters
    ----------
    n
        >= 1; best a power of 2.
    n_columns
        d, from 1 to `MOST_COLUMNS`.
    rng
        Scrambles; None: the plain sequence.

    Returns
    -------
    (n, d), in (0, 1) where scrambled, else in [0, 1)

    References
    ----------
    .. [Sobol1967] Sobol': On the Distribution of Points in a Cube and the Approximate Evaluation of Integrals. USSR
       Computational Mathematics and Mathematical Physics 7 (1967).
    .. [Matousek1998] Matousek: On the L2-Discrepancy for Anchored Boxes. Journal of Complexity 14 (1998).
    """
    m = max((n - 1).bit_length(), 1)
    digits = _digits(n_columns, m)
    weights = 1 << np.arange(_BITS - 1, -1, -1, dtype=np.int64)
    if rng is None:
        directions, shift, middle = weights[:m] @ digits, np.zeros(n_columns, dtype=np.int64), 0.0
    else:
        lower = np.tril(rng.integers(0, 2, size=(n_columns, _BITS, m)), -1)
        lower[:, np.arange(m), np.arange(m)] = 1
        directions = weights @ (lower @ digits % 2)
        shift, middle = rng.integers(0, 1 << _BITS, size=n_columns), 0.5
    points = shift[np.newaxis]
    for direction in directions.T:
        points = np.concatenate([points, points ^ direction])
    return (points[:n] + middle) / (1 << _BITS)


@lru_cache(maxsize=32)
def _digits(n_columns: int, m: int) -> _Whole:
    """(d, m, m): digit r of direction number k of each column is at [r, k]."""
    numbers = [[1] * m, *(_direction_numbers(*row, m) for row in _NUMBERS[: n_columns - 1])]
    places = np.arange(m)
    behind = places - places[:, np.newaxis]
    digits = np.array(numbers)[:, np.newaxis, :] >> np.maximum(behind, 0)
    return np.where(behind >= 0, digits & 1, 0).astype(np.int64)


def _direction_numbers(polynomial: int, first: tuple[int, ...], m: int) -> list[int]:
    """The odd whole numbers whose quotients by 2, 4, 8 and so on are the direction numbers."""
    degree, numbers = len(first), list(first)
    for k in range(degree, m):
        value = numbers[k - degree] ^ (numbers[k - degree] << degree)
        for i in range(1, degree):
            if polynomial >> (degree - i) & 1:
                value ^= numbers[k - i] << i
        numbers.append(value)
    return numbers[:m]
