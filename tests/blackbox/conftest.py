"""Small tables, and the real files beside the checkout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tunewright.blackbox import Description, TabularBlackbox
from tunewright.space import Categorical, Float, SearchSpace

SHARED = Path(__file__).parents[3] / "shared" / "data"

SPACE = SearchSpace({"lr": Float(1e-4, 1.0, log=True), "kind": Categorical(["a", "b"])})
COLUMNS = {"lr": [0.001, 0.001, 0.1], "kind": ["a", "b", "a"]}
VALUES = np.arange(3 * 2 * 4 * 2, dtype=np.float32).reshape(3, 2, 4, 2) + 1.0
"""Configurations x seeds x levels x (loss, elapsed): every number is another one, and times ascend."""


def describe(**fields: object) -> Description:
    given: dict[str, object] = {
        "name": "small",
        "dataset": "d",
        "space": SPACE,
        "metrics": ("loss", "elapsed"),
        "elapsed": "elapsed",
        "levels": (1, 2, 3, 4),
        "n_seeds": 2,
    }
    return Description(**(given | fields))  # type: ignore[arg-type]


@pytest.fixture
def small_table() -> TabularBlackbox:
    """Three configurations, two seeds, four levels."""
    return TabularBlackbox(describe(), COLUMNS, VALUES)


@pytest.fixture
def make_description() -> Callable[..., Description]:
    """`describe`, with other fields."""
    return describe


@pytest.fixture
def shared() -> Callable[[str], Path]:
    """The path of a real file; the test is skipped where it is not there."""

    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"no ../shared/data/{name}")
        return path

    return find
