"""Losses of different tasks on one scale.

References
----------
.. [Salinas2020] Salinas, Shen, Perrone: A Quantile-based Approach for Hyperparameter Transfer Learning. ICML 2020.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtri

from tunewright.models.arrays import Array


def normal_scores(losses: Array) -> Array:
    """Losses (n,) of one task as quantiles of the standard normal distribution, n >= 1; equal ones stay equal.

    ``z = Phi^-1(F(y))`` with the empirical distribution F, winsorised by ``1 / (4 n^(1/4) sqrt(pi log n))`` at both
    ends ([Salinas2020]_, section 4).
    """
    shares = rank_shares(losses)
    n = max(len(losses), 2)
    cut = 1.0 / (4.0 * n**0.25 * math.sqrt(math.pi * math.log(n)))
    return np.asarray(ndtri(np.clip(shares, cut, 1.0 - cut)), dtype=np.float64)


def rank_shares(values: Array) -> Array:
    """The share of values below each one, half of the equal ones and itself included: (n,), in (0, 1)."""
    unique, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    del unique
    middle = np.cumsum(counts) - counts / 2.0
    return middle[places] / max(len(values), 1)
