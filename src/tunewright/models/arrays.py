"""The array types of the models, and packages of SciPy that are imported at their first use."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
"""Double precision. Shapes are in the docstrings: n observations, m candidates, d columns, s fantasies."""
Indices: TypeAlias = NDArray[np.intp]
"""Positions in another array."""


def with_column(a: Array, value: float) -> Array:
    """``a`` (m, d) with one more column of equal values, (m, d + 1), in the order of ``a``; ``numpy.pad`` takes many times as long."""
    wider = np.full((a.shape[0], a.shape[1] + 1), value, a.dtype, order="F" if a.flags.fnc else "C")
    wider[:, :-1] = a
    return wider


@cache
def from_scipy(package: str, name: str) -> Any:
    """Import an object of a SciPy package at its first use, as in ``from_scipy("optimize", "minimize")``."""
    return getattr(importlib.import_module(f"scipy.{package}"), name)
