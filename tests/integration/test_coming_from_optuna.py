"""The scripts of docs/coming_from_optuna.md: they run, and a port needs few lines."""

from __future__ import annotations

import ast
import difflib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "coming_from_optuna"
NAMES = ["objective", "pruning", "ask_and_tell"]


@pytest.mark.parametrize("name", NAMES)
def test_a_port_needs_fewer_than_ten_new_lines(name: str) -> None:
    texts = [(FOLDER / f"{name}_{tool}.py").read_text() for tool in ("optuna", "tunewright")]
    bodies = [text.partition('"""\n\n')[2].splitlines() for text in texts]
    changes = [line for line in difflib.ndiff(*bodies) if line[2:].strip()]
    assert 0 < sum(line.startswith("+ ") for line in changes) < 10
    assert sum(line.startswith("- ") for line in changes) <= 10


@pytest.mark.parametrize("name", NAMES)
def test_both_scripts_find_a_good_value(
    name: str, run_example: Callable[[str], subprocess.CompletedProcess[str]]
) -> None:
    good = {"objective": lambda v: v < 0.05, "pruning": lambda v: v < 0.2, "ask_and_tell": lambda v: v > 60}
    for tool in ("optuna", "tunewright"):
        done = run_example(f"coming_from_optuna/{name}_{tool}")
        value, config = done.stdout.strip().splitlines()[-1].split(" ", 1)
        assert good[name](float(value)), done.stdout
        assert ast.literal_eval(config)
