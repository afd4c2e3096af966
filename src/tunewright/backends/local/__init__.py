"""Trials as processes on this machine."""

from __future__ import annotations

from tunewright.backends.local.backend import LocalBackend
from tunewright.backends.local.config import LocalSettings

__all__ = ["LocalBackend", "LocalSettings"]
