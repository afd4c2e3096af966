"""Syne Tune's configuration spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tunewright.space.checks import as_config_value
from tunewright.space.converters.foreign import (
    Entry,
    choice,
    convert_each,
    is_a,
    no_counterpart,
    sampled_range,
)
from tunewright.space.discrete import Ordinal, OrdinalKind
from tunewright.space.finite_range import FiniteRange
from tunewright.space.search_space import SearchSpace


def from_syne_tune(config_space: Mapping[str, Any]) -> SearchSpace:
    """Convert a Syne Tune ``config_space``: uniform, randint, choice, ordinal, finrange, their kin, and constants.

    Raises
    ------
    SpaceError
        For normal distributions and domains of the user's own.
    """
    return convert_each(config_space, _convert)


def _convert(entry: Any) -> Entry:
    if not is_a(entry, "Domain"):
        return as_config_value(entry)
    if is_a(entry, "Float", "Integer"):
        return sampled_range(entry, upper_included=True)
    if is_a(entry, "FiniteRange"):
        if entry.size == 1:
            return as_config_value(entry.lower)
        return FiniteRange(entry.lower, entry.upper, entry.size, log=entry.log_scale, integer=entry.cast_int)
    if is_a(entry, "Ordinal") and len(entry.categories) > 1:
        return Ordinal(entry.categories, kind=_kind(entry))
    if is_a(entry, "Categorical"):
        return choice(entry.categories)
    raise no_counterpart(entry, "use a uniform, integer, choice, ordinal or finite range")


def _kind(ordinal: Any) -> OrdinalKind:
    if not is_a(ordinal, "OrdinalNearestNeighbor"):
        return "equal"
    return "nearest-log" if ordinal.log_scale else "nearest"
