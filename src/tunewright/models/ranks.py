"""Ranks: rank correlation, and the distribution of signed ranks. SciPy's ``stats``, slow to import, has no exact test with ties."""

from __future__ import annotations

import numpy as np

from tunewright.models.arrays import Array


def mean_ranks(values: Array) -> Array:
    """Ranks (n,) from 1; equal values share the mean of theirs."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[places]


def spearman(first: Array, second: Array) -> float | None:
    """Spearman's rank correlation of two arrays (n,) of finite values.

    0 if the first alone is constant; None if the second is, so that there is nothing to predict.
    """
    centred = [ranks - ranks.mean() for ranks in (mean_ranks(first), mean_ranks(second))]
    spread, top = (float(np.linalg.norm(part)) for part in centred)
    if top == 0.0:
        return None
    return float(centred[0] @ centred[1]) / (spread * top) if spread else 0.0


def signed_rank_p(differences: Array) -> float:
    """Return the exact one-sided p-value of the signed-rank test (Wilcoxon, 1945) that differences (n,) tend to be positive.

    This is the share of the ``2**n`` assignments of signs to the ranks of ``|differences|`` whose sum of positive ranks is
    at least the observed one. Zeros are left out, and equal values share their mean rank. Shares are exact up to 50 differences.
    """
    some = differences[differences != 0.0]
    ranks = (2 * mean_ranks(np.abs(some))).astype(np.int64)  # tied ranks are halves
    shares = np.zeros(ranks.sum() + 1)  # of the assignments, by the sum of twice the positive ranks
    shares[0] = 1.0
    for rank in ranks:
        shares[rank:] += shares[:-rank].copy()
        shares /= 2.0
    return float(shares[ranks[some > 0.0].sum() :].sum())
