"""Reports: everything that a comparison may say, as data, as one HTML page, and as lines for the terminal."""

from __future__ import annotations

from tunewright.analysis.report.page import build_page
from tunewright.analysis.report.summary import Comparison, compare

__all__ = ["Comparison", "build_page", "compare"]
