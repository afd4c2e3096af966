"""Reports: a comparison as data, as one HTML page and as lines for the terminal; and the page of one experiment."""

from __future__ import annotations

from tunewright.analysis.report.page import build_page, build_single_page
from tunewright.analysis.report.summary import Comparison, compare

__all__ = ["Comparison", "build_page", "build_single_page", "compare"]
