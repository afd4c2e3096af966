"""Scales: how the numbers of a range are laid out on [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, final

from tunewright.exceptions import SpaceError


class Warp(NamedTuple):
    """An increasing function of a number, and its inverse."""

    forward: Callable[[float], float]
    inverse: Callable[[float], float]


def _identity(x: float) -> float:
    return x


LINEAR = Warp(_identity, _identity)
LOG = Warp(math.log, math.exp)


def reverse_log(pivot: float) -> Warp:
    """Return the warp that is logarithmic in the distance to ``pivot``, which lies above the range."""

    def forward(x: float) -> float:
        return -math.log(pivot - x)

    def inverse(y: float) -> float:
        return pivot - math.exp(-y)

    return Warp(forward, inverse)


def choose_warp(low: float, high: float, *, log: bool, reverse: bool, pivot: float) -> Warp:
    """Return the warp of the range [low, high].

    Raises
    ------
    SpaceError
        If both kinds are requested, or the logarithm is not defined on the range.
    """
    if log and reverse:
        raise SpaceError("log and reverse_log exclude each other: keep one")
    if log:
        if low <= 0:
            raise SpaceError(f"log=True needs low > 0, got low={low}: raise low or drop log")
        return LOG
    if reverse:
        if high >= pivot:
            raise SpaceError(f"reverse_log=True needs high < {pivot}, got high={high}: lower high or drop it")
        return reverse_log(pivot)
    return LINEAR


@final
class UnitScale:
    """An increasing map of [low, high] onto [0, 1] along a warp. Arguments outside count as the nearer end."""

    __slots__ = ("_high", "_inverse", "_low", "_span", "_start", "_warp")

    def __init__(self, low: float, high: float, warp: Warp) -> None:
        self._low = low
        self._high = high
        self._warp = warp
        self._inverse = warp.inverse
        self._start = warp.forward(low)
        self._span = warp.forward(high) - self._start
        if not 0 < self._span < math.inf:
            raise SpaceError(f"the range from {low} to {high} is too narrow or too wide: change low or high")

    def to_unit(self, x: float) -> float:
        """Map a number of [low, high] to [0, 1]."""
        if x <= self._low:
            return 0.0
        if x >= self._high:
            return 1.0
        return min(max((self._warp.forward(x) - self._start) / self._span, 0.0), 1.0)

    def from_unit(self, u: float) -> float:
        """Map a number of [0, 1] to [low, high]; the ends are exact."""
        if u <= 0.0:
            return self._low
        if u >= 1.0:
            return self._high
        x = self._inverse(self._start + u * self._span)
        return self._low if x < self._low else min(x, self._high)


@final
class Lattice:
    """The numbers ``low + k * step`` up to ``high``, each with its share of [0, 1].

    A number's share reaches half a step to both sides (an integer i owns [i - 1/2, i + 1/2]) along the warp; where
    the logarithm does not reach so far, the outermost share ends at the number itself.

    Raises
    ------
    SpaceError
        If the step is not positive, leaves a single number, or is too fine for double precision.
    """

    __slots__ = ("_low", "_scale", "_step", "size")

    size: int
    """How many numbers there are."""

    def __init__(self, low: float, high: float, step: float, warp: Warp) -> None:
        if not 0 < step <= high - low:
            raise SpaceError(f"step must be > 0 and at most high - low = {high - low}, got {step}")
        if max(high - low, abs(low), abs(high)) > _MAX_STEPS * step:
            raise SpaceError(
                f"the range from {low} to {high} is too large for step {step}: take a larger step"
            )
        self._low = low
        self._step = step
        n_steps = (high - low) / step
        nearest = round(n_steps)
        overshoot = low + nearest * step - high  # may be rounding noise only, as in 0.1 + 2 * 0.1 - 0.3
        self.size = (nearest if overshoot <= 1e-6 * step else math.floor(n_steps)) + 1
        self._scale = UnitScale(*self._edges(warp), warp)

    def _edges(self, warp: Warp) -> tuple[float, float]:
        top = self._low + (self.size - 1) * self._step
        return _edge(self._low, -self._step / 2, warp), _edge(top, self._step / 2, warp)

    def index(self, x: float) -> int:
        """Return k of the nearest number."""
        k = round((x - self._low) / self._step)
        return 0 if k < 0 else min(k, self.size - 1)

    def to_unit(self, x: float) -> float:
        """Map a number of the lattice into its share of [0, 1]."""
        return self._scale.to_unit(x)

    def index_at(self, u: float) -> int:
        """Return k of the number whose share holds ``u``."""
        return self.index(self._scale.from_unit(u))


_MAX_STEPS = 2**40
"""Beyond, encoding in double precision would no longer tell neighbours apart on every scale."""


def _edge(x: float, offset: float, warp: Warp) -> float:
    try:
        warp.forward(x + offset)
    except ValueError:
        return x
    return x + offset


def midpoint(low: float, high: float, warp: Warp) -> float:
    """Return the middle of [low, high] along the warp (the arithmetic or a geometric mean), in 12 digits."""
    return _tidy(UnitScale(low, high, warp).from_unit(0.5), low, high)


def levels(low: float, high: float, warp: Warp, n: int) -> list[float]:
    """List ``n >= 2`` numbers of [low, high], evenly spaced along the warp, the ends exact, the others in 12 digits."""
    scale = UnitScale(low, high, warp)
    return [low, *(_tidy(scale.from_unit(i / (n - 1)), low, high) for i in range(1, n - 1)), high]


def _tidy(x: float, low: float, high: float) -> float:
    return min(max(float(f"{x:.12g}"), low), high)
