"""Search spaces that are read off the recorded configurations, where no document gives them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tunewright.blackbox.columns import Columns
from tunewright.exceptions import TableError
from tunewright.space import Categorical, Domain, Float, Integer, SearchSpace
from tunewright.types import ConfigValue

_LOG_FROM: Final = 100.0
"""Positive numbers whose largest is at least so many times the smallest get a logarithmic scale."""


def space_of_columns(columns: Columns, known: Mapping[str, Domain] | None = None) -> SearchSpace:
    """A space that just holds all recorded configurations.

    Texts and truth values become categorical, whole numbers and others a range from the smallest to the largest. A
    column with one value is left out.

    Raises
    ------
    TableError
        No column has two values.
    """
    domains: dict[str, Domain | ConfigValue] = {}
    for name, values in columns.items():
        distinct = list(dict.fromkeys(values))
        if known and name in known:
            domains[name] = known[name]
        elif len(distinct) > 1:
            domains[name] = _domain(distinct)
    if not domains:
        raise TableError("The recorded configurations do not differ: there is nothing to tune")
    return SearchSpace(domains)


def _domain(values: list[ConfigValue]) -> Domain:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        return Categorical(sorted(values, key=str))
    low, high = min(numbers), max(numbers)
    log = low > 0 and high / low >= _LOG_FROM
    if all(isinstance(number, int) for number in numbers):
        return Integer(int(low), int(high), log=log)
    return Float(float(low), float(high), log=log)
