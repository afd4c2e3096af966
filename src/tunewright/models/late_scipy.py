"""Packages of SciPy that are loaded at the first computation: importing them takes long, and most experiments need none."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any


@cache
def from_scipy(package: str, name: str) -> Any:
    """What a package of SciPy calls by a name, such as ``from_scipy("optimize", "minimize")``."""
    return getattr(importlib.import_module(f"scipy.{package}"), name)
