"""TaskSet: 1,000 configurations of an Adam with eight hyperparameters on small tasks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tunewright.blackbox.recipes.recipe import Recipe, Recorded, stores
from tunewright.blackbox.tables.blackbox import Description
from tunewright.blackbox.tables.stored import UNREADABLE
from tunewright.exceptions import TableError
from tunewright.space import Float, SearchSpace

_SPLITS: Final = ("train", "valid", "test")
_CAP: Final = 0.999
SPACE: Final = SearchSpace(
    {
        "one_minus_beta1": Float(1e-4, 1.0, log=True),
        "one_minus_beta2": Float(1e-6, 1.0, log=True),
        "epsilon": Float(1e-10, 1e3, log=True),
        "exponential_decay": Float(1e-6, 1e-3, log=True),
        "l1": Float(1e-8, 10.0, log=True),
        "l2": Float(1e-8, 10.0, log=True),
        "learning_rate": Float(1e-8, 10.0, log=True),
        "linear_decay": Float(1e-7, 1e-4, log=True),
    }
)
"""Of the paper; the two decay rates of Adam as their distance to 1."""


def _convert(source: Path) -> Iterator[Recorded]:
    if source.suffix == ".npz":
        yield from _of_arrays(source)
        return
    files = sorted(source.glob("*.json")) if source.is_dir() else [source]
    if not files:
        raise TableError(f"{source} holds no JSON file: give the folder with one file per task")
    for file in files:
        yield _of_json(file)


def _of_json(path: Path) -> Recorded:
    try:
        runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        hyperparameters = {name: np.array([run["hp"][name] for run in runs]) for name in runs[0]["hp"]}
        losses = {
            split: np.array([run[split]["loss"] for run in runs], dtype=np.float64) for split in _SPLITS
        }
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise TableError(f"{path} is not a file of TaskSet: {error!r}") from None
    return _record(path.stem, hyperparameters, losses)


def _of_arrays(path: Path) -> Iterator[Recorded]:
    try:
        with np.load(path, allow_pickle=False) as data:
            hyperparameters = dict(zip(data["hp_names"].tolist(), data["hp"].T, strict=True))
            losses = {split: data[split].astype(np.float64) for split in _SPLITS}
            tasks: list[str] = data["tasks"].tolist()
    except UNREADABLE as error:
        raise TableError(f"{path} does not hold the arrays of TaskSet: {error}") from None
    for index, task in enumerate(tasks):
        yield _record(task, hyperparameters, {split: losses[split][index] for split in _SPLITS})


def _record(
    task: str, hyperparameters: Mapping[str, NDArray[np.float64]], losses: Mapping[str, NDArray[np.float64]]
) -> Recorded:
    numbers = dict(hyperparameters)
    numbers["one_minus_beta1"], numbers["one_minus_beta2"] = 1.0 - numbers["beta1"], 1.0 - numbers["beta2"]
    columns: dict[str, list[float]] = {}
    for name, domain in SPACE.domains.items():
        ends = domain.to_json()
        columns[name] = np.clip(numbers[name], float(str(ends["low"])), float(str(ends["high"]))).tolist()
    curves = [_capped(losses[split])[:, 1:] for split in _SPLITS]
    untrained = {f"{split}_loss": float(np.median(_capped(losses[split])[:, 0])) for split in _SPLITS}
    steps = np.broadcast_to(np.arange(1.0, curves[0].shape[1] + 1), curves[0].shape)
    description = Description(
        name="taskset",
        dataset=task,
        space=SPACE,
        metrics=(*(f"{split}_loss" for split in _SPLITS), "elapsed_time"),
        elapsed="elapsed_time",
        levels=tuple(range(1, curves[0].shape[1] + 1)),
        note="no times were recorded: each of the recorded points counts one second; losses that are not finite or above "
        "the 99.9th percentile of the task are set to that percentile; the point before training is left out",
        untrained=untrained,
    )
    return Recorded(description, columns, np.stack([*curves, steps], axis=-1)[:, None])


def _capped(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    finite = np.isfinite(losses)
    cap = np.quantile(losses[finite], _CAP)
    return np.where(finite, np.minimum(losses, cap), cap)


RECIPE: Final = Recipe(
    name="taskset",
    title="TaskSet: an optimiser with eight hyperparameters on small text tasks",
    licence="Apache-2.0 (files of the DyHPO repository), CC BY 4.0 (data); Metz et al. 2020, arXiv 2002.11887",
    wanted="the folder with one JSON file per task of the DyHPO repository (or one such file)",
    install=stores(_convert),
)
