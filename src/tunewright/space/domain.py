"""The contract of a domain: the legal values of one hyperparameter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from tunewright.exceptions import SpaceError
from tunewright.types import ConfigValue

MIDPOINT: Final[Any] = None
"""Given as a domain's ``default``, it stands for the domain's midpoint, which replaces it at construction."""

Spec = dict[str, ConfigValue | list[ConfigValue]]
"""A domain as data: what one table of a space file holds."""


@dataclass(frozen=True, slots=True)
class Domain(ABC):
    """The legal values of one hyperparameter, and how they are drawn, encoded and listed.

    Domains are immutable and are checked when they are built: a wrong argument raises `SpaceError`.
    The unit cube has `width` columns for a domain. Every point of it decodes to a legal value, and
    ``decode(encode(value))`` is ``value`` (for a continuous range up to rounding).
    """

    default: ConfigValue = field(default=MIDPOINT, kw_only=True)
    """The value where the user says nothing: given, or else the domain's midpoint."""

    @property
    @abstractmethod
    def size(self) -> int | None:
        """Number of legal values; None for a continuous range."""

    @property
    def width(self) -> int:
        """Number of columns in the unit cube."""
        return 1

    @abstractmethod
    def quantile(self, u: float) -> ConfigValue:
        """Map a uniform number of [0, 1] to a value, such that values follow the domain's distribution."""

    @abstractmethod
    def cast(self, value: object) -> ConfigValue:
        """Convert text, NumPy scalars and whole floats to the legal value that they stand for.

        Raises
        ------
        SpaceError
            If ``value`` stands for no legal value.
        """

    @abstractmethod
    def encode(self, value: ConfigValue) -> Sequence[float]:
        """Map a legal value to `width` numbers in [0, 1]."""

    @abstractmethod
    def decode(self, point: Sequence[float]) -> ConfigValue:
        """Map `width` numbers to a legal value; numbers outside [0, 1] count as the nearer end."""

    @abstractmethod
    def at(self, index: int) -> ConfigValue:
        """Return the value number ``index``, ``0 <= index < size``, in ascending or given order.

        Raises
        ------
        SpaceError
            If the domain is continuous.
        """

    @abstractmethod
    def grid(self, n: int) -> list[ConfigValue]:
        """List at most ``n`` values, spread evenly over the domain's scale, both ends included.

        One value is the default. Categorical values have no order to thin out: all are listed.
        """

    @abstractmethod
    def to_json(self) -> Spec:
        """Describe the domain as data, as `tunewright.space.domain_from_json` reads it."""

    def __repr__(self) -> str:
        arguments = (f"{key}={value!r}" for key, value in self.to_json().items() if key != "type")
        return f"{type(self).__name__}({', '.join(arguments)})"

    def sample(self, rng: np.random.Generator) -> ConfigValue:
        """Draw a value from the domain's distribution."""
        return self.quantile(rng.random())

    def contains(self, value: object) -> bool:
        """Tell whether ``value`` is legal as it stands: `cast` leaves it alone (an int may stand for a float)."""
        try:
            legal = self.cast(value)
        except SpaceError:
            return False
        return legal == value and isinstance(value, int | float if isinstance(legal, float) else type(legal))


def check_n_levels(n: int) -> None:
    """Raise `SpaceError` if a grid cannot have ``n`` levels."""
    if n < 1:
        raise SpaceError(f"a grid needs at least 1 level per domain, got {n}")


def spread(size: int, n: int) -> list[int]:
    """List at most ``n`` of ``size`` indices, evenly spread, both ends included (so ``n >= 2`` where n < size).

    Raises
    ------
    SpaceError
        If ``n`` is below 1.
    """
    check_n_levels(n)
    if n >= size:
        return list(range(size))
    return [(2 * i * (size - 1) + n - 1) // (2 * (n - 1)) for i in range(n)]


def part(u: float, size: int) -> int:
    """Return which of ``size`` equal parts of [0, 1] holds ``u``."""
    return min(max(int(u * size), 0), size - 1)
