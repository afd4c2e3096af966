"""Reports as data: a comparison, its page, and the page of one experiment."""

from __future__ import annotations

from tunewright.analysis.report.page import Page, comparison_page, single_page
from tunewright.analysis.report.summary import Comparison, compare

__all__ = ["Comparison", "Page", "compare", "comparison_page", "single_page"]
