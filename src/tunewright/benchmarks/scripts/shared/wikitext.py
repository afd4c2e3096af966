"""WikiText-2 as numbered words in columns; the same file for both models of its text, a test keeps them equal."""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from training import data_folder, download

URL = "https://raw.githubusercontent.com/pytorch/examples/main/word_language_model/data/wikitext-2"
UNKNOWN = "<unk>"
END_OF_LINE = "<eos>"


@dataclass(frozen=True)
class Text:
    """The numbered words of both files, one axis each."""

    train: torch.Tensor
    valid: torch.Tensor
    n_words: int
    """How many different words there are."""


def load_text(dataset_path: str) -> Text:
    """Read ``train.txt`` and ``valid.txt`` of a folder, downloaded into it if missing.

    The words of the training text are numbered as they come; another one counts as unknown.
    """
    folder = data_folder(dataset_path)
    if dataset_path == "./":
        folder /= "wikitext-2"
    train, valid = (_words(download(f"{URL}/{name}", folder / name)) for name in ("train.txt", "valid.txt"))
    numbers = {word: i for i, word in enumerate(dict.fromkeys([UNKNOWN, END_OF_LINE, *train]))}
    return Text(
        train=torch.tensor([numbers[word] for word in train]),
        valid=torch.tensor([numbers.get(word, 0) for word in valid]),
        n_words=len(numbers),
    )


def _words(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [word for line in lines for word in (*line.split(), END_OF_LINE)]


def in_columns(words: torch.Tensor, n_columns: int, device: torch.device) -> torch.Tensor:
    """Cut the text into as many pieces of equal length, side by side: (length, n_columns)."""
    length = len(words) // n_columns
    if length < 2:
        raise SystemExit(f"A text of {len(words)} words is too short for batches of {n_columns}")
    return words[: length * n_columns].view(n_columns, length).T.contiguous().to(device)


def windows(columns: torch.Tensor, length: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Words and the words that follow them: (at most length, n_columns), and the same flattened."""
    for start in range(0, len(columns) - 1, length):
        end = min(start + length, len(columns) - 1)
        yield columns[start:end], columns[start + 1 : end + 1].flatten()
