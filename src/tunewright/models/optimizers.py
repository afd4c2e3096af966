"""SciPy's optimizers, loaded at the first fit: their import takes a tenth of a second, and most methods fit nothing."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any


@cache
def scipy_optimizer(name: str) -> Callable[..., Any]:
    """A function of ``scipy.optimize``, such as ``"minimize"``; it gives an ``OptimizeResult``."""
    return getattr(importlib.import_module("scipy.optimize"), name)
