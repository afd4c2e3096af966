"""Fine-tuning a transformer of Hugging Face; the same file for all scripts that do, a test keeps them equal."""

# pyright: basic, reportMissingImports=false
from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # trials share the machine

import numpy as np
import torch
from datasets import disable_progress_bars, load_dataset
from training import SHARED_FOLDER, Training, data_folder, pick_device, seed_epoch
from transformers import AutoTokenizer, get_linear_schedule_with_warmup
from transformers.utils import logging

from tunewright import Reporter

EVAL_BATCH_SIZE = 64
CACHE = data_folder(SHARED_FOLDER) / "huggingface"
"""Download folder of data sets and models, shared by all trials."""

Batch = Mapping[str, Sequence[Any]]
"""Columns of a data set by name."""

disable_progress_bars()
logging.disable_progress_bar()
logging.set_verbosity_error()  # else each start lists the weights of the new head


@dataclass(frozen=True)
class Examples:
    """Rows of a data set."""

    dataset: Any
    rows: np.ndarray

    def batches(self, size: int, *, is_shuffled: bool = False) -> Iterator[Batch]:
        """All rows as columns, in the given order or at random."""
        order = torch.randperm(len(self.rows)).numpy() if is_shuffled else np.arange(len(self.rows))
        for start in range(0, len(order), size):
            yield self.dataset[self.rows[order[start : start + size]].tolist()]


def load_examples(dataset_path: str, repository: str, name: str | None, split: str) -> Examples:
    """A split of a data set of Hugging Face, in an order that never changes.

    It is downloaded once; another ``dataset_path`` than ``./`` is a folder with a file a split, such as
    ``train.jsonl``, or a copy of the repository. A folder inside that has the data set's name is preferred.
    """
    if dataset_path == SHARED_FOLDER:
        dataset = load_dataset(repository, name, split=split, cache_dir=str(CACHE))
    else:
        folder = Path(dataset_path)
        inner = folder / name if name and (folder / name).is_dir() else folder
        dataset = load_dataset(str(inner), split=split, cache_dir=str(CACHE))
    return Examples(dataset, np.random.default_rng(0).permutation(len(dataset)))


def load_tokenizer(model_name_or_path: str) -> Any:
    """The tokenizer of a model."""
    return AutoTokenizer.from_pretrained(model_name_or_path, cache_dir=str(CACHE))


def load_model(kind: Any, model_name_or_path: str, seed: int, **settings: Any) -> Any:
    """A pretrained model with a new head, whose first weights the seed draws."""
    seed_epoch(seed, 0)
    model = kind.from_pretrained(model_name_or_path, cache_dir=str(CACHE), **settings)
    return model.float().to(pick_device())


@dataclass(frozen=True)
class Task:
    """What is learnt from what, and how it is measured."""

    train: Examples
    valid: Examples
    collate: Callable[[Batch], dict[str, torch.Tensor]]
    """Makes a model's inputs, ``labels`` among them."""
    measure: Callable[[np.ndarray, np.ndarray], Mapping[str, float]]
    """(the model's outputs (n, n_outputs), labels (n,)) -> metrics to report."""


@dataclass(frozen=True)
class Recipe:
    """How long, and how fast."""

    epochs: int
    batch_size: int
    learning_rate: float
    """The highest; it rises in a line for a part of all steps, then falls in a line to 0."""
    warmup_ratio: float = 0.0
    """That part."""
    weight_decay: float = 0.0
    """Of matrices."""
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    max_norm: float = 1.0


def fine_tune(model: Any, task: Task, recipe: Recipe, *, seed: int, folder: str | None) -> None:
    """Train from the checkpoint, if there is one, to the last epoch; report each."""
    optimizer = torch.optim.AdamW(
        _groups(model, recipe.weight_decay), recipe.learning_rate, recipe.betas, recipe.epsilon
    )
    n_steps = recipe.epochs * math.ceil(len(task.train.rows) / recipe.batch_size)
    n_warmup = math.ceil(recipe.warmup_ratio * n_steps)
    scheduler = get_linear_schedule_with_warmup(optimizer, n_warmup, n_steps)
    training = Training(model, optimizer, scheduler=scheduler, folder=folder, max_norm=recipe.max_norm)
    done, _ = training.resume()
    report = Reporter()
    for epoch in range(done + 1, recipe.epochs + 1):
        seed_epoch(seed, epoch)
        model.train()
        for batch in task.train.batches(recipe.batch_size, is_shuffled=True):
            inputs = _on_device(task.collate(batch), model.device)
            with training.precision():
                loss = model(**inputs).loss
            training.step(loss)
            scheduler.step()
        metrics = _evaluate(model, task, training)
        training.save(epoch)
        report(epoch=epoch, **metrics)


def _groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices decay; biases and the factors of normalisations do not."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _evaluate(model: Any, task: Task, training: Training) -> Mapping[str, float]:
    model.eval()
    outputs: list[np.ndarray] = []
    labels: list[np.ndarray] = []
    with torch.inference_mode():
        for batch in task.valid.batches(EVAL_BATCH_SIZE):
            inputs = _on_device(task.collate(batch), model.device)
            with training.precision():
                logits = model(**inputs).logits
            outputs.append(logits.float().cpu().numpy())
            labels.append(inputs["labels"].cpu().numpy())
    return task.measure(np.concatenate(outputs), np.concatenate(labels))


def _on_device(inputs: dict[str, torch.Tensor], device: torch.device) -> dict[str, torch.Tensor]:
    return {name: tensor.to(device) for name, tensor in inputs.items()}
