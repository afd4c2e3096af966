"""Optuna's distributions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewright.space.converters.foreign import (
    Entry,
    choice,
    convert_each,
    float_range,
    integer_range,
    is_a,
    no_counterpart,
)
from tunewright.space.search_space import SearchSpace


def from_optuna(distributions: Mapping[str, Any]) -> SearchSpace:
    """Convert Optuna distributions by name, such as ``trial.distributions``.

    A distribution of a single value becomes a constant.

    Raises
    ------
    SpaceError
        If an object is no float, int or categorical distribution, or a choice is None.
    """
    return convert_each(distributions, _convert)


def _convert(distribution: Any) -> Entry:
    if is_a(distribution, "FloatDistribution"):
        return float_range(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
    if is_a(distribution, "IntDistribution"):
        step = None if distribution.step == 1 else distribution.step
        return integer_range(distribution.low, distribution.high, log=distribution.log, step=step)
    if is_a(distribution, "CategoricalDistribution"):
        return choice(distribution.choices)
    raise no_counterpart(distribution, "give FloatDistribution, IntDistribution or CategoricalDistribution")
