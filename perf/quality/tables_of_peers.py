"""The peers' tables, and the seed of a repetition on one of their tasks."""

# pyright: basic
from __future__ import annotations

import importlib.util
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np


def load_tables(peers: Path) -> Any:
    """The peers' module that reads tables."""
    spec = importlib.util.spec_from_file_location("tables", peers / "tables.py")
    if spec is None or spec.loader is None:
        raise SystemExit(f"There is no tables.py in {peers}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["tables"] = module
    spec.loader.exec_module(module)
    return module


def task_seed(task: str, seed: int) -> int:
    """Seed of a repetition on a task, from 0 to 2**63 - 1.

    With the number of the repetition alone, a method draws the same configurations on every task of a space, and runs on different
    tasks are not independent.
    """
    (state,) = np.random.SeedSequence((seed, zlib.crc32(task.encode()))).generate_state(1, np.uint64)
    return int(state >> np.uint64(1))
