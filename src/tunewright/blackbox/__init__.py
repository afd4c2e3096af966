"""Blackboxes: reports and durations of training a configuration, recorded or predicted."""

from __future__ import annotations

from tunewright.blackbox.repository import get_blackbox, table_names
from tunewright.blackbox.tables.blackbox import Blackbox, Description, FunctionBlackbox, Values, from_function
from tunewright.blackbox.tables.surrogate import SurrogateBlackbox, SurrogateKind
from tunewright.blackbox.tables.tabular import TabularBlackbox, repair_elapsed

__all__ = [
    "Blackbox",
    "Description",
    "FunctionBlackbox",
    "SurrogateBlackbox",
    "SurrogateKind",
    "TabularBlackbox",
    "Values",
    "from_function",
    "get_blackbox",
    "repair_elapsed",
    "table_names",
]
