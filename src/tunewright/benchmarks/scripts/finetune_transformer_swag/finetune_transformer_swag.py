"""Fine-tune a pretrained transformer on SWAG: which of four endings goes with a sentence; epoch by epoch.

One report an epoch: ``epoch`` and ``eval_accuracy`` on the validation questions.

``--dataset_path`` is a folder with ``train.jsonl`` and ``validation.jsonl`` (or csv, parquet); ``./`` downloads.
"""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
import torch
from finetuning import Batch, Recipe, Task, fine_tune, load_examples, load_model, load_tokenizer
from training import argument_parser
from transformers import AutoModelForMultipleChoice

REPOSITORY = "allenai/swag"
NAME = "regular"
ENDINGS = ("ending0", "ending1", "ending2", "ending3")


def parse_arguments() -> argparse.Namespace:
    """Read the hyperparameters."""
    parser = argument_parser(__doc__)
    parser.add_argument("--model_name_or_path", default="bert-base-cased")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--learning_rate", type=float, default=5e-5)
    parser.add_argument("--per_device_train_batch_size", type=int, default=8)
    parser.add_argument("--warmup_ratio", type=float, default=0.0)
    parser.add_argument("--weight_decay", type=float, default=0.0)
    parser.add_argument("--adam_beta1", type=float, default=0.9)
    parser.add_argument("--adam_beta2", type=float, default=0.999)
    parser.add_argument("--adam_epsilon", type=float, default=1e-8)
    parser.add_argument("--max_grad_norm", type=float, default=1.0)
    parser.add_argument("--max_seq_length", type=int, default=128)
    return parser.parse_args()


def build_task(args: argparse.Namespace) -> Task:
    """Data, inputs and metric."""
    tokenizer = load_tokenizer(args.model_name_or_path)

    def collate(batch: Batch) -> dict[str, torch.Tensor]:
        """Each question with its endings is four pairs of texts."""
        first = [sentence for sentence in batch["sent1"] for _ in ENDINGS]
        begun = zip(batch["sent2"], *(batch[ending] for ending in ENDINGS), strict=True)
        second = [f"{start} {ending}" for start, *endings in begun for ending in endings]
        inputs = tokenizer(
            first, second, padding=True, truncation=True, max_length=args.max_seq_length, return_tensors="pt"
        )
        grouped = {name: tensor.unflatten(0, (-1, len(ENDINGS))) for name, tensor in inputs.items()}
        return {**grouped, "labels": torch.tensor(batch["label"])}

    def measure(outputs: np.ndarray, labels: np.ndarray) -> Mapping[str, float]:
        return {"eval_accuracy": float((outputs.argmax(1) == labels).mean())}

    return Task(
        train=load_examples(args.dataset_path, REPOSITORY, NAME, "train"),
        valid=load_examples(args.dataset_path, REPOSITORY, NAME, "validation"),
        collate=collate,
        measure=measure,
    )


def main() -> None:
    """Train from the checkpoint, if there is one, to the last epoch."""
    args = parse_arguments()
    task = build_task(args)
    recipe = Recipe(
        epochs=args.epochs,
        batch_size=args.per_device_train_batch_size,
        learning_rate=args.learning_rate,
        warmup_ratio=args.warmup_ratio,
        weight_decay=args.weight_decay,
        betas=(args.adam_beta1, args.adam_beta2),
        epsilon=args.adam_epsilon,
        max_norm=args.max_grad_norm,
    )
    model = load_model(AutoModelForMultipleChoice, args.model_name_or_path, args.seed)
    fine_tune(model, task, recipe, seed=args.seed, folder=args.checkpoint_dir)


if __name__ == "__main__":
    main()
