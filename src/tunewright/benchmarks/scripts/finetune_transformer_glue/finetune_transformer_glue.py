"""Fine-tune a pretrained transformer on a task of GLUE, epoch by epoch.

The task's training sentences are split into those that train and those that decide. One report an epoch: ``epoch``
and ``eval_NAME`` with the task's metric on the latter.

``--dataset_path`` is a folder with ``train.jsonl`` (or csv, parquet), or with such a folder a task; ``./`` downloads.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from finetuning import Batch, Examples, Recipe, Task, fine_tune, load_examples, load_model, load_tokenizer
from glue_metrics import accuracy, f1, matthews_correlation, spearmanr
from training import argument_parser
from transformers import AutoModelForSequenceClassification

REPOSITORY = "nyu-mll/glue"


@dataclass(frozen=True)
class GlueTask:
    """Columns of a task, its classes, and its metric."""

    columns: tuple[str, ...]
    metric: Callable[[np.ndarray, np.ndarray], float]
    n_classes: int = 2
    """1: a number is predicted."""


TASKS: Mapping[str, GlueTask] = {
    "cola": GlueTask(("sentence",), matthews_correlation),
    "mnli": GlueTask(("premise", "hypothesis"), accuracy, 3),
    "mrpc": GlueTask(("sentence1", "sentence2"), f1),
    "qnli": GlueTask(("question", "sentence"), accuracy),
    "qqp": GlueTask(("question1", "question2"), f1),
    "rte": GlueTask(("sentence1", "sentence2"), accuracy),
    "sst2": GlueTask(("sentence",), accuracy),
    "stsb": GlueTask(("sentence1", "sentence2"), spearmanr, 1),
    "wnli": GlueTask(("sentence1", "sentence2"), accuracy),
}


def parse_arguments() -> argparse.Namespace:
    """Read the hyperparameters."""
    parser = argument_parser(__doc__)
    parser.add_argument("--task_name", choices=tuple(TASKS), default="rte")
    parser.add_argument("--model_name_or_path", default="bert-base-cased")
    parser.add_argument("--num_train_epochs", type=int, default=3)
    parser.add_argument("--learning_rate", type=float, default=2e-5)
    parser.add_argument("--per_device_train_batch_size", type=int, default=32)
    parser.add_argument("--warmup_ratio", type=float, default=0.0)
    parser.add_argument("--weight_decay", type=float, default=0.0)
    parser.add_argument("--train_valid_fraction", type=float, default=0.7, help="of the sentences, to train")
    parser.add_argument("--max_seq_length", type=int, default=128)
    return parser.parse_args()


def build_task(args: argparse.Namespace) -> Task:
    """Data, inputs and metric of the chosen task."""
    glue = TASKS[args.task_name]
    tokenizer = load_tokenizer(args.model_name_or_path)
    examples = load_examples(args.dataset_path, REPOSITORY, args.task_name, "train")
    n_train = round(args.train_valid_fraction * len(examples.rows))
    is_number = glue.n_classes == 1

    def collate(batch: Batch) -> dict[str, torch.Tensor]:
        texts = [list(batch[column]) for column in glue.columns]
        inputs = tokenizer(
            *texts, padding=True, truncation=True, max_length=args.max_seq_length, return_tensors="pt"
        )
        labels = torch.tensor(batch["label"], dtype=torch.float if is_number else torch.long)
        return {**inputs, "labels": labels}

    def measure(outputs: np.ndarray, labels: np.ndarray) -> Mapping[str, float]:
        predicted = outputs[:, 0] if is_number else outputs.argmax(1)
        return {f"eval_{glue.metric.__name__}": glue.metric(predicted, labels)}

    return Task(
        train=Examples(examples.dataset, examples.rows[:n_train]),
        valid=Examples(examples.dataset, examples.rows[n_train:]),
        collate=collate,
        measure=measure,
    )


def main() -> None:
    """Train from the checkpoint, if there is one, to the last epoch."""
    args = parse_arguments()
    task = build_task(args)
    recipe = Recipe(
        epochs=args.num_train_epochs,
        batch_size=args.per_device_train_batch_size,
        learning_rate=args.learning_rate,
        warmup_ratio=args.warmup_ratio,
        weight_decay=args.weight_decay,
    )
    n_classes = TASKS[args.task_name].n_classes
    kind = AutoModelForSequenceClassification
    model = load_model(kind, args.model_name_or_path, args.seed, num_labels=n_classes)
    fine_tune(model, task, recipe, seed=args.seed, folder=args.checkpoint_dir)


if __name__ == "__main__":
    main()
