"""Trials as jobs of a Ray cluster."""

from __future__ import annotations

from tunewright.backends.ray.backend import RayBackend
from tunewright.backends.ray.config import RayConfig

__all__ = ["RayBackend", "RayConfig"]
