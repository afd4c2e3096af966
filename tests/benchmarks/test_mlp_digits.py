"""The training script of mlp_digits, as a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tunewright.benchmarks import REAL_BENCHMARKS

GOOD = ("--n_units=48", "--batch_size=128", "--learning_rate=0.006", "--weight_decay=0.01", "--dropout=0.1")


def train(epochs: int, *arguments: str) -> list[dict[str, Any]]:
    command = [
        sys.executable,
        REAL_BENCHMARKS["mlp_digits"]().script,
        "--epochs",
        str(epochs),
        *GOOD,
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    mark = "[tune-metric]: "
    return [json.loads(line[len(mark) :]) for line in done.stdout.splitlines() if line.startswith(mark)]


def values(reports: list[dict[str, Any]]) -> list[tuple[int, float, float]]:
    return [(report["epoch"], report["accuracy"], report["loss"]) for report in reports]


def test_an_interrupted_run_gives_the_same_numbers(tmp_path: Path) -> None:
    folder = f"--checkpoint_dir={tmp_path / 'checkpoint'}"
    undisturbed = values(train(4))
    assert values(train(2, folder)) == undisturbed[:2]
    assert values(train(4, folder)) == undisturbed[2:]
    assert values(train(4, folder)) == []


def test_the_checkpoint_is_whole_and_holds_no_pickle(tmp_path: Path) -> None:
    train(1, f"--checkpoint_dir={tmp_path}")
    assert [path.name for path in tmp_path.iterdir()] == ["mlp_digits.npz"]
    with np.load(tmp_path / "mlp_digits.npz", allow_pickle=False) as saved:
        assert int(saved["epoch"]) == 1


def test_it_learns() -> None:
    reports = train(12)
    assert [report["epoch"] for report in reports] == list(range(1, 13))
    assert reports[-1]["accuracy"] > 0.95
    assert reports[-1]["loss"] == pytest.approx(min(report["loss"] for report in reports), rel=1.0)
