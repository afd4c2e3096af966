"""The scripts that read WikiText-2: interrupted and resumed, on a piece of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Train = Callable[..., list[dict[str, Any]]]

pytestmark = pytest.mark.slow


@pytest.fixture
def text_folder(shared_data: Callable[[str], Path], tmp_path: Path) -> Path:
    """Some lines of the recorded text."""
    lines = (shared_data("wikitext2") / "valid.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    folder = tmp_path / "wikitext"
    folder.mkdir()
    (folder / "train.txt").write_text("".join(lines[:60]), encoding="utf-8")
    (folder / "valid.txt").write_text("".join(lines[60:80]), encoding="utf-8")
    return folder


def test_lstm_wikitext2(train_with_interruption: Train, text_folder: Path) -> None:
    rates = ("--lr", 40, "--lr_factor", 2, "--clip", 0.5, "--dropout", 0.1, "--batch_size", 8)
    arguments = (*rates, "--epochs", 4, "--dataset_path", text_folder, "--report_current_best", "True")
    reports = train_with_interruption("lstm_wikitext2", arguments, n_epochs=4, until=2)
    best = [report["objective"] for report in reports]
    assert best == sorted(best)
    assert best[-1] > -2000  # of some 2,700 words


def test_transformer_wikitext2(train_with_interruption: Train, text_folder: Path) -> None:
    rates = ("--lr", 0.01, "--momentum", 0.9, "--clip", 0.5, "--batch_size", 16)
    sizes = ("--d_model", 32, "--dropout", 0.1, "--precision", "half", "--log_interval", 10, "--epochs", 3)
    arguments = (*rates, *sizes, "--dataset_path", text_folder)
    reports = train_with_interruption("transformer_wikitext2", arguments, n_epochs=3, until=1)
    assert reports[-1]["val_loss"] < reports[0]["val_loss"]
