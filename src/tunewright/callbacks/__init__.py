"""Callbacks: progress on the screen, the table of results, TensorBoard, which checkpoints are removed.

The table for terminals is in `tunewright.callbacks.live`, so that ``rich`` is loaded only for it.
"""

from __future__ import annotations

from tunewright.callbacks.checkpoints import RemoveUnneededCheckpoints
from tunewright.callbacks.progress import PlainProgress
from tunewright.callbacks.results import ResultsTable, results_csv, write_results
from tunewright.callbacks.tensorboard import TensorBoardCallback
from tunewright.formatting import ProgressFacts
from tunewright.history import Incumbent

__all__ = [
    "Incumbent",
    "PlainProgress",
    "ProgressFacts",
    "RemoveUnneededCheckpoints",
    "ResultsTable",
    "TensorBoardCallback",
    "results_csv",
    "write_results",
]
