"""Ranges of numbers: Float and Integer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import final

from typing_extensions import override

from tunewright.exceptions import SpaceError
from tunewright.space.checks import as_float, as_integer, bound
from tunewright.space.domain import MIDPOINT, Domain, Spec, check_n_levels
from tunewright.space.scale import Lattice, UnitScale, Warp, choose_warp, levels, midpoint
from tunewright.types import ConfigValue


def _check_order(low: float, high: float) -> None:
    if low >= high:
        raise SpaceError(
            f"low must be below high, got low={low}, high={high}: give a constant as the value itself"
        )


def _describe(domain: Float | Integer, kind: str) -> Spec:
    spec: Spec = {"type": kind, "low": domain.low, "high": domain.high}
    if domain.log:
        spec["log"] = True
    if domain.reverse_log:
        spec["reverse_log"] = True
    if domain.step is not None:
        spec["step"] = domain.step
    spec["default"] = domain.default
    return spec


@final
@dataclass(frozen=True, slots=True, repr=False)
class Float(Domain):
    """The real numbers from ``low`` to ``high``, both included.

    ``log=True`` draws and encodes in the logarithm (needs ``low > 0``); ``reverse_log=True`` in the logarithm of
    the distance to 1 (needs ``high < 1``; for momenta such as 0.9, 0.99, 0.999). With a ``step`` only
    ``low + k * step`` are legal, the last of them at or below ``high``. The default is the middle along the scale.

    Raises
    ------
    SpaceError
        If the arguments do not describe a range.
    """

    low: float
    high: float
    _: KW_ONLY
    log: bool = False
    reverse_log: bool = False
    step: float | None = None
    default: float = MIDPOINT
    _warp: Warp = field(init=False, compare=False)
    _scale: UnitScale = field(init=False, compare=False)
    _lattice: Lattice | None = field(init=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "low", bound("low", self.low, float))
        put(self, "high", bound("high", self.high, float))
        _check_order(self.low, self.high)
        put(
            self, "_warp", choose_warp(self.low, self.high, log=self.log, reverse=self.reverse_log, pivot=1.0)
        )
        put(self, "_scale", UnitScale(self.low, self.high, self._warp))
        put(self, "_lattice", None)
        if self.step is not None:
            put(self, "step", bound("step", self.step, float))
            put(self, "_lattice", Lattice(self.low, self.high, self.step, self._warp))
        self._settle_prior()
        middle = self._snap(midpoint(self.low, self.high, self._warp))
        put(self, "default", middle if self.default is MIDPOINT else self.cast(self.default))

    @property
    @override
    def size(self) -> int | None:
        return None if self._lattice is None else self._lattice.size

    @override
    def quantile(self, u: float) -> float:
        if self._lattice is None:
            return self._scale.from_unit(u)
        return self.at(self._lattice.index_at(u))

    @override
    def cast(self, value: object) -> float:
        x = as_float(value)
        if not self.low <= x <= self.high:
            raise SpaceError(f"{value!r} is outside of the range from {self.low} to {self.high}")
        legal = self._snap(x)
        if self.step is not None and abs(legal - x) > 1e-6 * self.step:
            raise SpaceError(f"{value!r} is not {self.low} + k * {self.step}; the nearest is {legal}")
        return legal

    @override
    def encode(self, value: ConfigValue) -> tuple[float]:
        return ((self._lattice or self._scale).to_unit(float(value)),)

    @override
    def decode(self, point: Sequence[float]) -> float:
        return self.quantile(point[0])

    @override
    def at(self, index: int) -> float:
        """Return ``low + index * step``, free of rounding noise in the 15th digit."""
        if self.step is None:
            raise SpaceError("a continuous range has no value by number: give it a step")
        return min(max(float(f"{self.low + index * self.step:.15g}"), self.low), self.high)

    @override
    def grid(self, n: int) -> list[ConfigValue]:
        check_n_levels(n)
        if self._lattice is not None and n >= self._lattice.size:
            return [self.at(index) for index in range(self._lattice.size)]
        if n == 1:
            return [self.default]
        return list(dict.fromkeys(self._snap(x) for x in levels(self.low, self.high, self._warp, n)))

    @override
    def to_json(self) -> Spec:
        return self._described(_describe(self, "float"))

    def _snap(self, x: float) -> float:
        return x if self._lattice is None else self.at(self._lattice.index(x))


@final
@dataclass(frozen=True, slots=True, repr=False)
class Integer(Domain):
    """The integers from ``low`` to ``high``, both included.

    ``log=True`` draws and encodes in the logarithm (needs ``low >= 1``); ``reverse_log=True`` in the logarithm of
    the distance to ``high + 1``, so that values near ``high`` have the best resolution. With a ``step`` only
    ``low + k * step`` are legal. On the scale, integer i owns [i - 1/2, i + 1/2]. The default is the middle along
    the scale of low and high: the arithmetic or geometric mean, rounded.

    Raises
    ------
    SpaceError
        If the arguments do not describe a range.
    """

    low: int
    high: int
    _: KW_ONLY
    log: bool = False
    reverse_log: bool = False
    step: int | None = None
    default: int = MIDPOINT
    _warp: Warp = field(init=False, compare=False)
    _lattice: Lattice = field(init=False, compare=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "low", bound("low", self.low, int))
        put(self, "high", bound("high", self.high, int))
        _check_order(self.low, self.high)
        if self.step is not None:
            put(self, "step", bound("step", self.step, int))
        pivot = self.high + 1
        put(
            self,
            "_warp",
            choose_warp(self.low, self.high, log=self.log, reverse=self.reverse_log, pivot=pivot),
        )
        put(self, "_lattice", Lattice(self.low, self.high, 1 if self.step is None else self.step, self._warp))
        self._settle_prior()
        middle = self.at(self._lattice.index(midpoint(self.low, self.high, self._warp)))
        put(self, "default", middle if self.default is MIDPOINT else self.cast(self.default))

    @property
    @override
    def size(self) -> int:
        return self._lattice.size

    @override
    def quantile(self, u: float) -> int:
        return self.at(self._lattice.index_at(u))

    @override
    def cast(self, value: object) -> int:
        x = as_integer(value)
        if not self.low <= x <= self.high:
            raise SpaceError(f"{value!r} is outside of the range from {self.low} to {self.high}")
        legal = self.at(self._lattice.index(x))
        if legal != x:
            raise SpaceError(f"{value!r} is not {self.low} + k * {self.step}; the nearest is {legal}")
        return legal

    @override
    def encode(self, value: ConfigValue) -> tuple[float]:
        return (self._lattice.to_unit(float(value)),)

    @override
    def decode(self, point: Sequence[float]) -> int:
        return self.at(self._lattice.index_at(point[0]))

    @override
    def at(self, index: int) -> int:
        return self.low + index * (self.step or 1)

    @override
    def grid(self, n: int) -> list[ConfigValue]:
        check_n_levels(n)
        if n >= self.size:
            return [self.at(index) for index in range(self.size)]
        if n == 1:
            return [self.default]
        top = self.at(self.size - 1)
        numbers = levels(self.low, top, self._warp, n)
        return list(dict.fromkeys(self.at(self._lattice.index(x)) for x in numbers))

    @override
    def to_json(self) -> Spec:
        return self._described(_describe(self, "integer"))
