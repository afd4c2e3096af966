"""SciPy's packages that take long to import are loaded by one module, when something is computed with them."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from scipy.optimize import rosen

from tunewright.models.arrays import from_scipy, with_column

SRC = Path(__file__).resolve().parents[2] / "src"
ONE_PLACE = Path("tunewright", "models", "arrays.py")


def test_it_gives_what_scipy_has() -> None:
    assert from_scipy("optimize", "rosen") is rosen
    assert from_scipy("spatial", "cKDTree")(np.zeros((1, 2))).n == 1
    assert from_scipy("special", "gammaln")(3.0) == pytest.approx(np.log(2.0))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", [(3, 2), (0, 2), (3, 0)])
def test_a_column_is_added_as_by_padding(shape: tuple[int, int], order: Literal["C", "F"]) -> None:
    a = np.array(np.random.default_rng(0).random(shape), order=order)
    wider, padded = with_column(a, 2.5), np.pad(a, ((0, 0), (0, 1)), constant_values=2.5)
    assert np.array_equal(wider, padded)
    assert wider.flags.fnc is padded.flags.fnc


def test_no_other_module_loads_scipy_late() -> None:
    found = [
        f"{path.relative_to(SRC)}:{node.lineno}"
        for path in sorted(SRC.rglob("*.py"))
        if path.relative_to(SRC) != ONE_PLACE and "import_module" in path.read_text()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("import_module")
        and "scipy" in ast.unparse(node)
    ]
    assert not found, f"use {ONE_PLACE}"


def test_what_few_experiments_need_is_not_loaded_with_the_modules_that_use_it() -> None:
    code = """
import sys
import tunewright.blackbox.tables.surrogate, tunewright.callbacks.checkpoints
assert 'scipy' not in sys.modules
import tunewright.searchers.acquisition_optimizer, tunewright.models.gp.process, tunewright.models.targets
assert not {'scipy.optimize', 'scipy.spatial', 'scipy.stats'} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
