"""A given number of evenly spaced numbers: FiniteRange."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import final

from tunewright.exceptions import SpaceError
from tunewright.space.checks import as_float, bound, distinct
from tunewright.space.domain import MIDPOINT, Domain, Spec, part, spread
from tunewright.space.scale import choose_warp, levels
from tunewright.types import ConfigValue


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

    def quantile(self, u: float) -> float:
        """Map a uniform number of [0, 1] to a value; all are equally likely."""
        return self._values[part(u, self.size)]

    def cast(self, value: object) -> float:
        """Convert a number or text to the legal value from which only rounding parts it."""
        x = as_float(value)
        nearest = min(self._values, key=lambda legal: abs(legal - x))
        if abs(nearest - x) > 1e-9 * abs(nearest):
            raise SpaceError(f"{value!r} is not in the finite range; the nearest value is {nearest}")
        return nearest

    def encode(self, value: ConfigValue) -> tuple[float]:
        """Map a legal value to one number in [0, 1]."""
        return ((self._values.index(self.cast(value)) + 0.5) / self.size,)

    def decode(self, point: Sequence[float]) -> float:
        """Map one number to a legal value."""
        return self.quantile(point[0])

    def at(self, index: int) -> float:
        """Return the value number ``index``."""
        return self._values[index]

    def grid(self, n: int) -> list[ConfigValue]:
        """List at most ``n`` values, evenly spread."""
        if n == 1:
            return [self.default]
        return [self._values[index] for index in spread(self.size, n)]

    def to_json(self) -> Spec:
        """Describe the domain as data."""
        spec: Spec = {"type": "finite_range", "low": self.low, "high": self.high, "size": self.size}
        if self.log:
            spec["log"] = True
        if self.integer:
            spec["integer"] = True
        spec["default"] = self.default
        return self._described(spec)
