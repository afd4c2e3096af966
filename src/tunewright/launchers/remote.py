"""Options of ``launch_remote``; new folders import them from :mod:`tunewright.cli.slices`."""

from __future__ import annotations

from tunewright.cli.slices import RemoteOptions

__all__ = ["RemoteOptions"]
