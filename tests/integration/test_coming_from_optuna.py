"""The scripts of docs/coming_from/optuna.md: they run, and a port needs few lines."""

from __future__ import annotations

import ast
import difflib
import math
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "coming_from_optuna"
NAMES = ["objective", "pruning", "ask_and_tell"]


PAGE = Path(__file__).resolve().parents[2] / "docs" / "coming_from" / "optuna.md"


@pytest.mark.parametrize("name", NAMES)
def test_a_port_changes_fewer_than_ten_lines(name: str) -> None:
    """Blank lines count; a line that is replaced counts once."""
    texts = [(FOLDER / f"{name}_{tool}.py").read_text() for tool in ("optuna", "tunewright")]
    before, after = (text.partition('"""\n\n')[2].splitlines() for text in texts)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    parts = [part[1:] for part in matcher.get_opcodes() if part[0] != "equal"]
    changed = sum(max(end - begin, new_end - new_begin) for begin, end, new_begin, new_end in parts)
    written = sum(new_end - new_begin for _, _, new_begin, new_end in parts)
    removed = sum(end - begin for begin, end, _, _ in parts)
    assert 0 < changed < 10
    assert f"{changed} lines change: {written} are written, {removed} are removed." in PAGE.read_text()


@pytest.mark.parametrize("tool", ["optuna", "tunewright"])
@pytest.mark.parametrize("name", NAMES)
def test_a_script_finds_the_best_of_a_few_trials(name: str, tool: str, tmp_path: Path) -> None:
    """With 5 trials instead of 20."""
    text = (FOLDER / f"{name}_{tool}.py").read_text()
    short = text.replace("n_trials=20", "n_trials=5").replace("range(20)", "range(5)")
    assert short != text
    (tmp_path / "script.py").write_text(short)
    command = [sys.executable, "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    value, config = done.stdout.strip().splitlines()[-1].split(" ", 1)
    assert math.isfinite(float(value))
    assert ast.literal_eval(config)
