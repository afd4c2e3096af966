"""``syne_tune.report``: the Reporter."""

from __future__ import annotations

from tunewright.report import Reporter

__all__ = ["Reporter"]
