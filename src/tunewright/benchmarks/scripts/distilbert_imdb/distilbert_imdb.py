"""Fine-tune DistilBERT to tell good from bad reviews of films (IMDB), epoch by epoch.

One report an epoch: ``epoch`` and ``accuracy`` on 5,000 of the test reviews.

``--dataset_path`` is a folder with ``train.jsonl`` and ``test.jsonl`` (or csv, parquet); ``./`` downloads.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
import torch
from finetuning import Batch, Examples, Recipe, Task, fine_tune, load_examples, load_model, load_tokenizer
from training import argument_parser
from transformers import AutoModelForSequenceClassification

REPOSITORY = "stanfordnlp/imdb"
N_TRAIN = 25_000
N_VALID = 5_000
MAX_LENGTH = 512


def parse_arguments() -> argparse.Namespace:
    """Read the hyperparameters."""
    parser = argument_parser(__doc__)
    parser.add_argument("--model_name_or_path", default="distilbert-base-uncased")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--learning_rate", type=float, default=5e-5)
    parser.add_argument("--weight_decay", type=float, default=1e-5)
    parser.add_argument("--train_batch_size", type=int, default=16)
    return parser.parse_args()


def build_task(args: argparse.Namespace) -> Task:
    """Data, inputs and metric."""
    tokenizer = load_tokenizer(args.model_name_or_path)
    length = min(tokenizer.model_max_length, MAX_LENGTH)
    train = load_examples(args.dataset_path, REPOSITORY, None, "train")
    valid = load_examples(args.dataset_path, REPOSITORY, None, "test")

    def collate(batch: Batch) -> dict[str, torch.Tensor]:
        texts = list(batch["text"])
        inputs = tokenizer(texts, padding=True, truncation=True, max_length=length, return_tensors="pt")
        return {**inputs, "labels": torch.tensor(batch["label"])}

    def measure(outputs: np.ndarray, labels: np.ndarray) -> Mapping[str, float]:
        return {"accuracy": float((outputs.argmax(1) == labels).mean())}

    return Task(
        train=Examples(train.dataset, train.rows[:N_TRAIN]),
        valid=Examples(valid.dataset, valid.rows[:N_VALID]),
        collate=collate,
        measure=measure,
    )


def main() -> None:
    """Train from the checkpoint, if there is one, to the last epoch."""
    args = parse_arguments()
    task = build_task(args)
    recipe = Recipe(
        epochs=args.epochs,
        batch_size=args.train_batch_size,
        learning_rate=args.learning_rate,
        weight_decay=args.weight_decay,
    )
    model = load_model(AutoModelForSequenceClassification, args.model_name_or_path, args.seed, num_labels=2)
    fine_tune(model, task, recipe, seed=args.seed, folder=args.checkpoint_dir)


if __name__ == "__main__":
    main()
