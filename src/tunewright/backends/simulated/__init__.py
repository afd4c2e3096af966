"""Trials as Python functions on a simulated clock."""

from __future__ import annotations

from tunewright.backends.simulated.backend import SimulatedBackend
from tunewright.backends.simulated.config import Delays, SimulatedConfig

__all__ = ["Delays", "SimulatedBackend", "SimulatedConfig"]
