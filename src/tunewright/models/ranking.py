"""How well functions rank observations."""

from __future__ import annotations

import numpy as np

from tunewright.models.arrays import Array


def misranked(observed: Array, draws: Array) -> Array:
    """Pairs of observations (n,) that each of k draws (n, k) of a function ranks wrongly, (k,).

    A pair is wrong where the lower observation has not the lower value.
    """
    is_less = observed[:, np.newaxis] < observed
    is_wrong = is_less[:, :, np.newaxis] & (draws[:, np.newaxis] >= draws[np.newaxis])
    return np.count_nonzero(is_wrong, axis=(0, 1)).astype(np.float64)


def shares_of_wins(errors: Array) -> Array:
    """The share of draws in which each function has the fewest errors; of equal ones the last wins.

    Parameters
    ----------
    errors
        (functions, draws)

    Returns
    -------
    (functions,)
        Sum 1.
    """
    winners = len(errors) - 1 - np.argmin(errors[::-1], axis=0)
    return np.bincount(winners, minlength=len(errors)) / errors.shape[1]
