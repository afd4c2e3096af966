"""Checks and conversions of single values that the domains share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import numpy as np

from tunewright.exceptions import SpaceError
from tunewright.types import ConfigValue


def _plain(value: object) -> object:
    return cast("Any", value).item() if isinstance(value, np.generic) else value


def as_float(value: object) -> float:
    """Convert a number, a NumPy scalar or text to a finite float.

    Raises
    ------
    SpaceError
        If it is something else, a bool included.
    """
    value = _plain(value)
    try:
        number = (
            float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
        )
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise SpaceError(f"{value!r} is not a finite number")
    return number


def as_integer(value: object) -> int:
    """Convert an integer, a whole float, a NumPy scalar or text to an int.

    Raises
    ------
    SpaceError
        If it is something else, a bool included.
    """
    value = _plain(value)
    if type(value) is int:
        return value
    try:
        number = as_float(value)
    except SpaceError:
        raise SpaceError(f"{value!r} is not an integer") from None
    if not number.is_integer():
        raise SpaceError(f"{value!r} is not an integer")
    return int(number)


def bound(name: str, value: object, kind: type[int] | type[float]) -> Any:
    """Return the argument ``name`` of a range as ``kind``; text is refused.

    Raises
    ------
    SpaceError
        If it is not a finite number of that kind.
    """
    value = _plain(value)
    try:
        if kind is float and not isinstance(value, str):
            return as_float(value)
        if type(value) is int:
            return value
    except SpaceError:
        pass
    raise SpaceError(f"{name} must be {'an integer' if kind is int else 'a finite number'}, got {value!r}")


def as_config_value(value: object) -> ConfigValue:
    """Return ``value`` as text, int, finite float or bool, NumPy scalars converted.

    Raises
    ------
    SpaceError
        If it is something else.
    """
    value = _plain(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise SpaceError(f"{value!r} is not finite; give it as text if the script can read that")
    if isinstance(value, str | int | float):
        return value
    raise SpaceError(f"{value!r} is a {type(value).__name__}; a value is text, an int, a float or a bool")


def distinct(values: Iterable[object]) -> tuple[ConfigValue, ...]:
    """Return the values of a discrete domain, converted as by `as_config_value`.

    Raises
    ------
    SpaceError
        If there are fewer than two, or two are equal (as 1, 1.0 and True are).
    """
    if isinstance(values, str):
        raise SpaceError(f"values must be a list, got the text {values!r}")
    result = tuple(as_config_value(value) for value in values)
    if len(result) < 2:
        raise SpaceError(
            f"values needs at least two entries, got {list(result)}: give a constant as the value itself"
        )
    seen: set[ConfigValue] = set()
    for value in result:
        if value in seen:
            raise SpaceError(f"values holds {value!r} twice: remove the duplicate")
        seen.add(value)
    return result
