"""Aggregation over seeds, with its uncertainty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tunewright.analysis.columns import Floats

N_BOOTSTRAP: Final = 1000
_BLOCK: Final = 4_000_000  # resampled numbers in memory at the same time
_NORMAL_95: Final = 1.959964  # 97.5 % quantile of the normal distribution

Statistic: TypeAlias = Callable[[Floats], Floats]
"""From shape (..., n) to shape (...)."""


class Aggregate(StrEnum):
    """Aggregation of seeds to a curve."""

    IQM = "iqm"
    """Mean of the middle half, with a 95 % bootstrap interval (Agarwal et al., NeurIPS 2021)."""
    MEAN = "mean"
    """Mean, with a 95 % interval of its standard error."""
    MEDIAN = "median"
    """Median with the quartiles, which show the spread of seeds and not the uncertainty of the median."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A centre and an interval, at every time."""

    centre: Floats
    low: Floats
    high: Floats
    n: int
    """Seeds."""


def iqm(values: Floats) -> Floats:
    """Mean of the middle half along the last axis: a quarter of the values, rounded down, is cut at either end."""
    n = values.shape[-1]
    cut = n // 4
    return np.sort(values, axis=-1)[..., cut : n - cut].mean(axis=-1)


def aggregate(values: Floats, kind: Aggregate | str = Aggregate.IQM, *, seed: int = 0) -> Band:
    """Aggregate over seeds.

    Parameters
    ----------
    values
        Shape (seeds, times); NaN before the first result. The band starts when every seed has a value.
    kind
        Kind of aggregation.
    seed
        Seed of the bootstrap: the same values always give the same interval.

    Returns
    -------
    Band
        Arrays of shape (times,).
    """
    how = Aggregate(kind)
    centre, low, high = (np.full(values.shape[1], np.nan) for _ in range(3))
    whole = ~np.isnan(values).any(axis=0)
    data = values[:, whole].T
    if how is Aggregate.IQM:
        centre[whole] = iqm(data)
        low[whole], high[whole] = bootstrap(data, iqm, seed=seed)
    elif how is Aggregate.MEAN:
        n = data.shape[1]
        error = _NORMAL_95 * data.std(axis=1, ddof=1) / np.sqrt(n) if n > 1 else np.zeros(len(data))
        centre[whole] = data.mean(axis=1)
        low[whole], high[whole] = centre[whole] - error, centre[whole] + error
    else:
        low[whole], centre[whole], high[whole] = np.quantile(data, [0.25, 0.5, 0.75], axis=1)
    return Band(centre=centre, low=low, high=high, n=values.shape[0])


def bootstrap(
    values: Floats, statistic: Statistic, *, seed: int = 0, n_samples: int = N_BOOTSTRAP
) -> tuple[Floats, Floats]:
    """The 95 % percentile interval of a statistic (Efron and Tibshirani, 1993), resampling the last axis.

    Parameters
    ----------
    values
        Shape (rows, n); the same resamples are drawn for all rows.
    statistic
        From (..., n) to (...).
    seed
        Seed of the resamples.
    n_samples
        Number of resamples.

    Returns
    -------
    tuple of arrays of shape (rows,)
        Lower and upper end.
    """
    n_rows, n = values.shape
    picks = resamples(n, seed=seed, n_samples=n_samples)
    step = max(1, _BLOCK // (n_samples * max(1, n)))
    low, high = np.empty(n_rows), np.empty(n_rows)
    for begin in range(0, n_rows, step):
        block = statistic(values[begin : begin + step][:, picks])
        with np.errstate(invalid="ignore"):
            low[begin : begin + step], high[begin : begin + step] = np.quantile(block, [0.025, 0.975], axis=1)
    return low, high


def resamples(n: int, *, seed: int = 0, n_samples: int = N_BOOTSTRAP) -> NDArray[np.int64]:
    """Positions drawn with replacement, shape (n_samples, n)."""
    return np.random.default_rng(seed).integers(0, n, (n_samples, n))
