"""Rank correlation between the first and the last level of a data set: whether early losses say something about late ones.

Methods with rungs compare trials at the first level and drop most of them. If the order there is unrelated to the order at
the last level, for example because the first level was recorded before training, they drop trials by chance.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

import numpy as np

from tunewright.blackbox.tables.blackbox import Array, Blackbox
from tunewright.blackbox.tables.tabular import TabularBlackbox
from tunewright.models.ranks import spearman

LEAST_CORRELATION: Final = 0.2
"""Spearman's coefficient below which the first level counts as uninformative."""
_LEAST_CONFIGS: Final = 10
_SAMPLED: Final = 400  # configurations of a network

_log = logging.getLogger(__name__)


def first_level_correlation(blackbox: Blackbox) -> dict[str, float]:
    """Spearman's rank correlation over the configurations between the first and the last level.

    Recorded configurations count with the mean over their seeds; of others, 400 random ones are taken.

    Returns
    -------
    dict
        By metric, from -1 to 1, without the elapsed time. 0 if the metric is constant at the first level only. Metrics without a
        statement are missing: there is one level, the metric is constant at the last, or fewer than 10 configurations have
        finite values at both levels.
    """
    if len(blackbox.levels) == 1:
        return {}
    first, last = _ends(blackbox)
    found = {
        name: _correlation(first[:, index], last[:, index])
        for index, name in enumerate(blackbox.metrics)
        if index != blackbox.elapsed_index
    }
    return {name: value for name, value in found.items() if value is not None}


def warn_of_first_level(blackbox: Blackbox) -> None:
    """Log a warning if a metric's correlation is below `LEAST_CORRELATION`."""
    found = first_level_correlation(blackbox)
    low = {name: value for name, value in found.items() if value < LEAST_CORRELATION}
    if low:
        _log.warning("%s", _text(blackbox, low))


def _text(blackbox: Blackbox, low: Mapping[str, float]) -> str:
    described = blackbox.description
    metrics = ", ".join(f"{name} {value:.2f}" for name, value in low.items())
    return (
        f"{described.full_name}: the order of configurations at {described.resource} {blackbox.levels[0]} says little about "
        f"{described.resource} {blackbox.levels[-1]} (rank correlation of {metrics}), so that methods with rungs drop trials by "
        "chance. Was the first level recorded before training? If not, set grace_period to a later one"
    )


def _ends(blackbox: Blackbox) -> tuple[Array, Array]:
    """Values at the first and the last level, both of shape (configurations, metrics)."""
    if isinstance(blackbox, TabularBlackbox):
        values = blackbox.values
        return values[:, :, 0].mean(axis=1), values[:, :, -1].mean(axis=1)
    rng = np.random.default_rng(0)
    curves = np.array([blackbox.curve(blackbox.space.sample(rng)) for _ in range(_SAMPLED)])
    return curves[:, 0], curves[:, -1]


def _correlation(first: Array, last: Array) -> float | None:
    known = np.isfinite(first) & np.isfinite(last)
    if known.sum() < _LEAST_CONFIGS:
        return None
    return spearman(first[known].astype(np.float64), last[known].astype(np.float64))
