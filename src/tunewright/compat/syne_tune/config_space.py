"""``syne_tune.config_space``: constructors that scripts may call when they are imported; a trial samples nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple


class Domain(NamedTuple):
    """A record of a constructor's arguments."""

    kind: str
    """Name of the constructor."""
    arguments: tuple[Any, ...]


def uniform(lower: float, upper: float) -> Domain:
    """Real numbers between two bounds."""
    return Domain("uniform", (lower, upper))


def loguniform(lower: float, upper: float) -> Domain:
    """Real numbers between two positive bounds, uniform in their logarithm."""
    return Domain("loguniform", (lower, upper))


def reverseloguniform(lower: float, upper: float) -> Domain:
    """Real numbers below 1, uniform in the logarithm of their distance from 1."""
    return Domain("reverseloguniform", (lower, upper))


def randint(lower: int, upper: int) -> Domain:
    """Whole numbers between two bounds, both included."""
    return Domain("randint", (lower, upper))


def lograndint(lower: int, upper: int) -> Domain:
    """Whole numbers between two bounds, uniform in their logarithm."""
    return Domain("lograndint", (lower, upper))


def choice(categories: Sequence[Any]) -> Domain:
    """One of several values."""
    return Domain("choice", (tuple(categories),))


def ordinal(categories: Sequence[Any], kind: str | None = None) -> Domain:
    """One of several ordered values."""
    return Domain("ordinal", (tuple(categories), kind))


def logordinal(categories: Sequence[Any]) -> Domain:
    """One of several ordered values, spaced by their logarithm."""
    return Domain("logordinal", (tuple(categories),))


def finrange(lower: float, upper: float, size: int, cast_int: bool = False) -> Domain:
    """Equally spaced values."""
    return Domain("finrange", (lower, upper, size, cast_int))


def logfinrange(lower: float, upper: float, size: int, cast_int: bool = False) -> Domain:
    """Values equally spaced in their logarithm."""
    return Domain("logfinrange", (lower, upper, size, cast_int))
