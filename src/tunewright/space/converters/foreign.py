"""What the converters share: recognising classes by name, and degenerate ranges and lists, which are constants."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tunewright.exceptions import SpaceError
from tunewright.space.checks import as_config_value
from tunewright.space.discrete import Categorical
from tunewright.space.domain import MIDPOINT, Domain
from tunewright.space.numeric import Float, Integer
from tunewright.space.search_space import SearchSpace
from tunewright.types import ConfigValue

Entry = Domain | ConfigValue


def convert_each(entries: Mapping[str, Any], convert: Callable[[Any], Entry]) -> SearchSpace:
    """Build a space from converted entries.

    Raises
    ------
    SpaceError
        If an entry cannot be converted; the message names it.
    """
    space: dict[str, Entry] = {}
    for name, entry in entries.items():
        try:
            space[name] = convert(entry)
        except SpaceError as error:
            raise SpaceError(f"{name}: {error}") from None
    return SearchSpace(space)


def is_a(value: object, *names: str) -> bool:
    """Tell whether the class of ``value``, or one of its bases, has one of these names."""
    return not {base.__name__ for base in type(value).__mro__}.isdisjoint(names)


def no_counterpart(value: object, remedy: str) -> SpaceError:
    """Return the error for an object that cannot be converted."""
    return SpaceError(f"{type(value).__qualname__} has no counterpart here: {remedy}")


def float_range(low: float, high: float, *, default: float = MIDPOINT, **settings: Any) -> Entry:
    """Return a Float, or the constant that a range of one number is. ``settings`` are those of `Float`."""
    return float(low) if low == high else Float(low, high, default=default, **settings)


def integer_range(low: int, high: int, *, default: int = MIDPOINT, **settings: Any) -> Entry:
    """Return an Integer, or the constant that a range of one number is. ``settings`` are those of `Integer`."""
    return int(low) if low == high else Integer(low, high, default=default, **settings)


def choice(values: Sequence[Any], default: ConfigValue = MIDPOINT) -> Entry:
    """Return a Categorical, or the constant that a list of one value is."""
    return as_config_value(values[0]) if len(values) == 1 else Categorical(values, default=default)


_SCALES: Final[Mapping[str, Mapping[str, bool]]] = {
    "_Uniform": {},
    "_LogUniform": {"log": True},
    "_ReverseLogUniform": {"reverse_log": True},
}


def sampled_range(domain: Any, *, upper_included: bool) -> Entry:
    """Convert a Float or Integer of Ray Tune's form: ``lower``, ``upper``, and a sampler that may be quantised.

    Quantised values are the multiples of ``q`` in the range, with both bounds included. ``upper_included`` says
    whether integers that are not quantised reach ``upper``.

    Raises
    ------
    SpaceError
        If the sampler is none of uniform, log-uniform and reverse-log-uniform.
    """
    sampler, step = domain.get_sampler(), None
    if is_a(sampler, "Quantized"):
        sampler, step = sampler.sampler, sampler.q
    scale = _SCALES.get(type(sampler).__name__)
    if scale is None:
        raise no_counterpart(sampler, "use a uniform or log-uniform range")
    low, high = domain.lower, domain.upper
    is_integer = is_a(domain, "Integer")
    if is_integer and step in {None, 1}:
        return integer_range(low, high if upper_included else high - 1, **scale)
    if is_integer:
        return integer_range(math.ceil(low / step) * step, math.floor(high / step) * step, step=step, **scale)
    return float_range(low, high, step=step, **scale)
