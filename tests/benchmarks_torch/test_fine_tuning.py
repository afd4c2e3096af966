"""The scripts that fine-tune transformers: interrupted and resumed, with a tiny model of random weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Reports = list[dict[str, Any]]
Train = Callable[..., Reports]
RunScript = Callable[..., tuple[Reports, int]]

pytestmark = pytest.mark.slow

WORDS = ("the", "film", "was", "is", "good", "bad", "fine", "poor", "plot", "actor", "long", "short")
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
MAKE_MODEL = """# what finetuning loads
import sys, torch
from transformers import BertConfig, BertForMaskedLM, BertTokenizerFast
folder, words = sys.argv[1], sys.argv[2:]
config = BertConfig(vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                    intermediate_size=16, max_position_embeddings=64, initializer_range=0.3)
torch.manual_seed(0)
BertForMaskedLM(config).save_pretrained(folder)
open(folder + "/vocab.txt", "w").write("\\n".join(words))
BertTokenizerFast(folder + "/vocab.txt", model_max_length=64).save_pretrained(folder)
"""


@pytest.fixture(scope="module")
def model(run_script: RunScript, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as ``save_pretrained`` leaves it."""
    script = tmp_path_factory.mktemp("script") / "make_model.py"
    script.write_text(MAKE_MODEL)
    folder = tmp_path_factory.mktemp("model")
    _, code = run_script(script, [folder, *SPECIAL, *WORDS], script.with_name("stderr"))
    assert code == 0, script.with_name("stderr").read_text()
    return folder


def sentences(n: int, seed: int) -> list[tuple[str, int]]:
    """Texts with their class: whether they say something good."""
    rng = np.random.default_rng(seed)
    found: list[tuple[str, int]] = []
    for label in rng.integers(2, size=n):
        verdict = ("bad", "poor")[rng.integers(2)] if label == 0 else ("good", "fine")[rng.integers(2)]
        found.append((f"the {rng.choice(WORDS[8:])} was {verdict}", int(label)))
    return found


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_distilbert_imdb(train_with_interruption: Train, model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for split, seed in (("train", 0), ("test", 1)):
        rows = [{"text": text, "label": label} for text, label in sentences(160, seed)]
        write_rows(data / f"{split}.jsonl", rows)
    places = ("--dataset_path", data, "--model_name_or_path", model)
    arguments = (*places, "--epochs", 4, "--learning_rate", 0.01, "--weight_decay", 0.01)
    reports = train_with_interruption("distilbert_imdb", arguments, n_epochs=4, until=1)
    assert reports[-1]["accuracy"] > 0.9


def glue_arguments(task: str, model: Path, folder: Path) -> tuple[object, ...]:
    """Write the sentences of a task; the label of stsb is a number, that of mrpc a class."""
    rows = [{"sentence1": text, "sentence2": "film", "label": label} for text, label in sentences(240, 0)]
    if task == "stsb":
        rows = [{**row, "label": 2.5 * row["label"]} for row in rows]
    write_rows(folder / task / "train.jsonl", rows)
    places = ("--dataset_path", folder, "--model_name_or_path", model, "--task_name", task)
    rates = ("--learning_rate", 0.01, "--per_device_train_batch_size", 16, "--warmup_ratio", 0.2)
    return (*places, *rates, "--num_train_epochs", 4, "--seed", 31415927)


def test_finetune_transformer_glue(train_with_interruption: Train, model: Path, tmp_path: Path) -> None:
    arguments = glue_arguments("mrpc", model, tmp_path / "data")
    reports = train_with_interruption("finetune_transformer_glue", arguments, n_epochs=4, until=2)
    assert reports[-1]["eval_f1"] > 0.8


def test_a_task_of_glue_whose_labels_are_numbers(train: Train, model: Path, tmp_path: Path) -> None:
    arguments = glue_arguments("stsb", model, tmp_path / "data")
    reports = train("finetune_transformer_glue", arguments, tmp_path / "checkpoints")
    assert reports[-1]["eval_spearmanr"] > 0.6


def test_finetune_transformer_swag(train_with_interruption: Train, model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for split, seed in (("train", 0), ("validation", 1)):
        rng = np.random.default_rng(seed)
        labels = rng.integers(4, size=96)
        rows = [
            {
                "sent1": "the film was long",
                "sent2": "the plot",
                "label": int(label),
                **{f"ending{i}": "is good" if i == label else "is bad" for i in range(4)},
            }
            for label in labels
        ]
        write_rows(data / f"{split}.jsonl", rows)
    places = ("--dataset_path", data, "--model_name_or_path", model, "--epochs", 3)
    rates = ("--learning_rate", 0.01, "--weight_decay", 0.01, "--adam_beta1", 0.8, "--max_grad_norm", 0.5)
    reports = train_with_interruption("finetune_transformer_swag", (*places, *rates), n_epochs=3, until=2)
    assert reports[-1]["eval_accuracy"] > 0.6
