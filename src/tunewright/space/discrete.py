"""Finite sets of values: Categorical, Ordinal and FiniteRange."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from itertools import pairwise
from typing import Literal, final, get_args

from typing_extensions import override

from tunewright.exceptions import SpaceError, nearest_hint
from tunewright.space.checks import as_config_value, as_float, bound, distinct
from tunewright.space.domain import MIDPOINT, Domain, Prior, Spec, check_n_levels, check_weights, part, spread
from tunewright.space.scale import LINEAR, LOG, UnitScale, choose_warp, levels
from tunewright.types import ConfigValue

OrdinalKind = Literal["equal", "nearest", "nearest-log"]


@final
class _Choice:
    """A tuple of distinct values with their numbers, also by their text."""

    __slots__ = ("_by_text", "_numbers", "values")

    def __init__(self, values: tuple[ConfigValue, ...]) -> None:
        self.values = values
        self._numbers = {value: number for number, value in enumerate(values)}
        self._by_text = {str(value): number for number, value in enumerate(values)}

    def number(self, value: object) -> int:
        """Return the number of a value, of an equal number of another type, or of its text."""
        plain = as_config_value(value)
        number = self._numbers.get(plain)
        if number is not None and isinstance(plain, bool) == isinstance(self.values[number], bool):
            return number
        if isinstance(plain, str) and plain in self._by_text:
            return self._by_text[plain]
        raise SpaceError(f"{value!r} is not among the values.{nearest_hint(str(plain), self._by_text)}")


@final
@dataclass(frozen=True, slots=True, repr=False)
class Categorical(Domain):
    """Values without an order. The default is the first one.

    Encoded one-hot; two values take one column, 0 and 1. Decoding takes the largest entry, the first of equal ones.

    Raises
    ------
    SpaceError
        If there are fewer than two values, two are equal, or one is no text, int, float or bool.
    """

    values: Sequence[ConfigValue]
    _: KW_ONLY
    default: ConfigValue = MIDPOINT
    _choice: _Choice = field(init=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "values", distinct(self.values))
        put(self, "_choice", _Choice(tuple(self.values)))
        self._settle_prior()
        put(self, "default", self.values[0] if self.default is MIDPOINT else self.cast(self.default))

    @property
    @override
    def size(self) -> int:
        return len(self.values)

    @property
    @override
    def width(self) -> int:
        """Number of columns: one per value, but one for two values."""
        return 1 if len(self.values) == 2 else len(self.values)

    @override
    def quantile(self, u: float) -> ConfigValue:
        return self.values[part(u, len(self.values))]

    @override
    def cast(self, value: object) -> ConfigValue:
        """Return the value that is equal to ``value`` or has it as its text."""
        return self.values[self._choice.number(value)]

    @override
    def encode(self, value: ConfigValue) -> tuple[float, ...]:
        number = self._choice.number(value)
        if self.width == 1:
            return (float(number),)
        return tuple(float(i == number) for i in range(len(self.values)))

    @override
    def decode(self, point: Sequence[float]) -> ConfigValue:
        if self.width == 1:
            return self.values[int(point[0] >= 0.5)]
        return self.values[max(range(len(self.values)), key=point.__getitem__)]

    @override
    def at(self, index: int) -> ConfigValue:
        return self.values[index]

    @override
    def grid(self, n: int) -> list[ConfigValue]:
        """List all values, whatever ``n``: there is no order to thin them out by."""
        check_n_levels(n)
        return list(self.values)

    @override
    def to_json(self) -> Spec:
        return self._described({"type": "categorical", "values": list(self.values), "default": self.default})

    def _check_prior(self, prior: Prior) -> None:
        check_weights(prior, len(self.values))
        if prior.best is not None and prior.deviation >= 1:
            raise SpaceError(
                f"spread={prior.deviation} is what the other categories share: it must be below 1"
            )


@final
@dataclass(frozen=True, slots=True, repr=False)
class Ordinal(Domain):
    """Values in a meaningful order. All are drawn equally often; the default is the middle one (the upper of two).

    ``kind`` sets the positions of values on [0, 1]: ``"equal"`` gives each an equal share; ``"nearest"`` places numbers
    by their size and ``"nearest-log"`` by their logarithm, and a point decodes to the nearest number (beyond
    the outermost ones half a gap is added). The nearest kinds need ascending numbers.

    Raises
    ------
    SpaceError
        If the values are not distinct, or do not suit the kind.
    """

    values: Sequence[ConfigValue]
    _: KW_ONLY
    kind: OrdinalKind = "equal"
    default: ConfigValue = MIDPOINT
    _choice: _Choice = field(init=False, compare=False)
    _units: tuple[float, ...] = field(init=False, compare=False)
    _borders: tuple[float, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.kind not in get_args(OrdinalKind):
            raise SpaceError(
                f"unknown kind {self.kind!r}.{nearest_hint(str(self.kind), get_args(OrdinalKind))}"
            )
        put(self, "values", distinct(self.values))
        put(self, "_choice", _Choice(tuple(self.values)))
        places = self._places()
        gaps = [(places[0] - places[1]) / 2, (places[-1] - places[-2]) / 2]
        scale = UnitScale(places[0] + gaps[0], places[-1] + gaps[1], LINEAR)
        put(self, "_units", tuple(scale.to_unit(x) for x in places))
        put(self, "_borders", tuple((a + b) / 2 for a, b in pairwise(self._units)))
        self._settle_prior()
        middle = self.values[len(self.values) // 2]
        put(self, "default", middle if self.default is MIDPOINT else self.cast(self.default))

    def _places(self) -> list[float]:
        if self.kind == "equal":
            return [float(i) for i in range(len(self.values))]
        if any(isinstance(value, str | bool) for value in self.values):
            raise SpaceError(f"kind={self.kind!r} needs numbers, got {list(self.values)}: use kind='equal'")
        numbers = [as_float(value) for value in self.values]
        if any(a >= b for a, b in pairwise(numbers)):
            raise SpaceError(f"kind={self.kind!r} needs ascending values, got {numbers}: sort them")
        if self.kind == "nearest":
            return numbers
        if numbers[0] <= 0:
            raise SpaceError(
                f"kind='nearest-log' needs positive values, got {numbers[0]}: use kind='nearest'"
            )
        return [LOG.forward(number) for number in numbers]

    @property
    @override
    def size(self) -> int:
        return len(self.values)

    @override
    def quantile(self, u: float) -> ConfigValue:
        return self.values[part(u, len(self.values))]

    @override
    def cast(self, value: object) -> ConfigValue:
        """Return the value that is equal to ``value`` or has it as its text."""
        return self.values[self._choice.number(value)]

    @override
    def encode(self, value: ConfigValue) -> tuple[float]:
        return (self._units[self._choice.number(value)],)

    @override
    def decode(self, point: Sequence[float]) -> ConfigValue:
        return self.values[bisect_right(self._borders, point[0])]

    @override
    def at(self, index: int) -> ConfigValue:
        return self.values[index]

    @override
    def grid(self, n: int) -> list[ConfigValue]:
        if n == 1:
            return [self.default]
        return [self.values[index] for index in spread(len(self.values), n)]

    @override
    def to_json(self) -> Spec:
        return self._described(
            {"type": "ordinal", "values": list(self.values), "kind": self.kind, "default": self.default}
        )

    def _check_prior(self, prior: Prior) -> None:
        check_weights(prior, len(self.values))


@final
@dataclass(frozen=True, slots=True, repr=False)
class FiniteRange(Domain):
    """``size`` numbers from ``low`` to ``high``, both included, evenly spaced in value or (``log=True``) logarithm.

    All are drawn equally often, and each has an equal share of [0, 1]. ``integer=True`` rounds them to int. The
    default is the middle one (the upper of two).

    Raises
    ------
    SpaceError
        If the arguments do not describe a range, or rounding makes two numbers equal.
    """

    low: float
    high: float
    size: int  # pyright: ignore[reportIncompatibleMethodOverride]
    _: KW_ONLY
    log: bool = False
    integer: bool = False
    default: float = MIDPOINT
    _values: tuple[float, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        kind = int if self.integer else float
        put(self, "low", bound("low", self.low, kind))
        put(self, "high", bound("high", self.high, kind))
        put(self, "size", bound("size", self.size, int))
        if self.low >= self.high or self.size < 2:
            raise SpaceError(
                f"a range needs low < high and size >= 2, got low={self.low}, high={self.high}, size={self.size}: "
                "give a constant as the value itself"
            )
        put(self, "_values", self._spaced())
        self._settle_prior()
        put(
            self,
            "default",
            self._values[self.size // 2] if self.default is MIDPOINT else self.cast(self.default),
        )

    def _spaced(self) -> tuple[float, ...]:
        warp = choose_warp(self.low, self.high, log=self.log, reverse=False, pivot=0.0)
        inner = levels(self.low, self.high, warp, self.size)[1:-1]
        numbers = [self.low, *(round(x) if self.integer else x for x in inner), self.high]
        try:
            distinct(numbers)
        except SpaceError:
            raise SpaceError(
                f"size={self.size} is too large: rounding makes numbers equal, reduce it"
            ) from None
        return tuple(numbers)

    @override
    def quantile(self, u: float) -> float:
        return self._values[part(u, self.size)]

    @override
    def cast(self, value: object) -> float:
        x = as_float(value)
        nearest = min(self._values, key=lambda legal: abs(legal - x))
        if abs(nearest - x) > 1e-9 * abs(nearest):
            raise SpaceError(f"{value!r} is not in the finite range; the nearest value is {nearest}")
        return nearest

    @override
    def encode(self, value: ConfigValue) -> tuple[float]:
        return ((self._values.index(self.cast(value)) + 0.5) / self.size,)

    @override
    def decode(self, point: Sequence[float]) -> float:
        return self.quantile(point[0])

    @override
    def at(self, index: int) -> float:
        return self._values[index]

    @override
    def grid(self, n: int) -> list[ConfigValue]:
        if n == 1:
            return [self.default]
        return [self._values[index] for index in spread(self.size, n)]

    @override
    def to_json(self) -> Spec:
        spec: Spec = {"type": "finite_range", "low": self.low, "high": self.high, "size": self.size}
        if self.log:
            spec["log"] = True
        if self.integer:
            spec["integer"] = True
        spec["default"] = self.default
        return self._described(spec)
