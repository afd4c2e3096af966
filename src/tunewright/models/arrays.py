"""The array types of the models."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
"""Double precision. Shapes are in the docstrings: n observations, m candidates, d columns, s fantasies."""
Indices: TypeAlias = NDArray[np.intp]
"""Positions in another array."""
