"""Aggregation over seeds and benchmarks, with its uncertainty.

References
----------
.. [Owen2007] Owen: The pigeonhole bootstrap. Annals of Applied Statistics 1(2), 2007.
"""

# Adapter of scipy.stats, which has no stubs.
# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from tunewright.analysis.columns import Floats
from tunewright.models.arrays import from_scipy

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
    """Runs."""


def iqm(values: Floats) -> Floats:
    """Mean of the middle half along the last axis: a quarter of the values, rounded down, is cut at either end."""
    return np.asarray(from_scipy("stats", "trim_mean")(values, 0.25, axis=-1), dtype=np.float64)


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
        Lower and upper end; both are the value itself if n is 1.
    """
    if values.shape[1] == 1 or not len(values):
        return statistic(values), statistic(values)
    with np.errstate(invalid="ignore"):  # runs without results are inf
        found: Any = from_scipy("stats", "bootstrap")(
            (values,),
            lambda sample, axis: statistic(sample),  # pyright: ignore[reportUnknownLambdaType] # noqa: ARG005
            axis=1,
            method="percentile",
            n_resamples=n_samples,
            batch=max(1, _BLOCK // values.size),
            rng=np.random.default_rng(seed),
        )
    return found.confidence_interval.low, found.confidence_interval.high


def resamples(n: int, *, seed: int = 0, n_samples: int = N_BOOTSTRAP) -> NDArray[np.int64]:
    """Positions drawn with replacement, shape (n_samples, n)."""
    return np.random.default_rng(seed).integers(0, n, (n_samples, n))


def crossed_draws(
    n_benchmarks: int, n_seeds: Collection[int], *, seed: int = 0, n_samples: int = N_BOOTSTRAP
) -> tuple[Floats, Mapping[int, Floats]]:
    """Draw benchmarks, and then seeds, as crossed factors: the pigeonhole bootstrap ([Owen2007]_).

    Both are drawn with replacement, independently of each other. Runs on one benchmark are alike: if all runs were drawn as
    if they were independent, intervals would be too short for a statement about benchmarks. This bootstrap is right or
    somewhat conservative whichever factor matters.

    Parameters
    ----------
    n_benchmarks
        Number of benchmarks.
    n_seeds
        Numbers of seeds that benchmarks have.
    seed
        Seed of the draws.
    n_samples
        Number of resamples.

    Returns
    -------
    array of shape (n_samples, n_benchmarks)
        Weight of each benchmark; rows sum to 1.
    mapping from n to an array of shape (n_samples, n)
        Weight of each seed of a benchmark with n seeds; rows sum to 1.
    """
    rng = np.random.default_rng(seed)
    benchmarks, *seeds = (
        rng.multinomial(n, np.full(n, 1 / n), n_samples) / n for n in (n_benchmarks, *sorted(set(n_seeds)))
    )
    return benchmarks, dict(zip(sorted(set(n_seeds)), seeds, strict=True))


def crossed_weights(sizes: Sequence[int], *, seed: int = 0, n_samples: int = N_BOOTSTRAP) -> Floats:
    """Weights of all runs in the resamples of `crossed_draws`.

    Parameters
    ----------
    sizes
        Number of seeds of each benchmark.
    seed, n_samples
        As `crossed_draws`.

    Returns
    -------
    array of shape (n_samples, sum of sizes)
        Benchmark after benchmark; rows sum to 1.
    """
    benchmarks, seeds = crossed_draws(len(sizes), sizes, seed=seed, n_samples=n_samples)
    return np.concatenate([benchmarks[:, [i]] * seeds[n] for i, n in enumerate(sizes)], axis=1)


def crossed_mean(parts: Sequence[Floats], *, seed: int = 0) -> Band:
    """Mean over benchmarks of the mean over seeds, with the 95 % percentile interval of `crossed_draws`.

    Parameters
    ----------
    parts
        Values of each benchmark, shape (seeds, times).
    seed
        Seed of the draws.

    Returns
    -------
    Band
        Arrays of shape (times,).
    """
    drawn = crossed_weights([len(part) for part in parts], seed=seed) @ np.concatenate(parts)
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    centre = np.mean([part.mean(axis=0) for part in parts], axis=0)
    return Band(centre=centre, low=low, high=high, n=sum(map(len, parts)))
