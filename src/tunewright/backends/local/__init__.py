"""Trials as processes on this machine."""

from __future__ import annotations

from tunewright.backends.local.backend import LocalBackend
from tunewright.backends.local.config import LocalConfig

__all__ = ["LocalBackend", "LocalConfig"]
