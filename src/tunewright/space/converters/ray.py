"""Ray Tune's parameter spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from tunewright.exceptions import SpaceError
from tunewright.space.checks import as_config_value
from tunewright.space.converters.foreign import (
    Entry,
    choice,
    convert_each,
    is_a,
    no_counterpart,
    sampled_range,
)
from tunewright.space.search_space import SearchSpace


def from_ray(param_space: Mapping[str, Any]) -> SearchSpace:
    """Convert a Ray Tune ``param_space``: uniform, loguniform, randint, choice, their kin, grid_search, constants.

    Ray excludes the upper end of an integer range that is not quantised; it is left out here as well.

    Raises
    ------
    SpaceError
        For normal distributions, ``sample_from`` functions, and nested spaces.
    """
    return convert_each(param_space, _convert)


def _convert(entry: Any) -> Entry:
    if isinstance(entry, Mapping):
        table = cast("Mapping[str, Any]", entry)
        if set(table) == {"grid_search"}:
            return choice(table["grid_search"])
        raise SpaceError(
            "nested spaces are not supported: give each inner entry a name of its own at the top"
        )
    if not is_a(entry, "Domain"):
        return as_config_value(entry)
    if is_a(entry, "Float", "Integer"):
        return sampled_range(entry, upper_included=False)
    if is_a(entry, "Categorical"):
        return choice(entry.categories)
    raise no_counterpart(entry, "compute the value in the script")
