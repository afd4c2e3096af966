"""LEMUR: training runs of generated networks, 50 epochs with elapsed seconds."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from tunewright.blackbox.recipes.recipe import Recipe, Recorded, Wheel, space_of_columns, stores
from tunewright.blackbox.tables.blackbox import Description
from tunewright.blackbox.tables.stored import read_columns
from tunewright.blackbox.tables.tabular import repair_elapsed
from tunewright.exceptions import TableError
from tunewright.space import Domain, Float

WHEEL: Final = Wheel(
    "nn-dataset", "2.1.2", "1f0b66a4f4de80a27b44a502112d4436eac1f97361ea3aae3266a550f01b07de", 102.9
)
TASKS: Final = {
    "cifar10": ("img-classification_cifar-10_acc", "accuracy"),
    "mnist": ("img-classification_mnist_acc", "accuracy"),
    "coco": ("img-segmentation_coco_iou", "iou"),
}
"""Data set -> its name in the package, its metric."""
EPOCHS: Final = 50
_FIXED: Final[Mapping[str, Domain]] = {
    "lr": Float(1e-5, 1.0, log=True),
    "momentum": Float(0.0, 1.0),
    "dropout": Float(0.0, 1.0),
}
_MEMBER: Final = re.compile(r"ab/nn/stat/train/(?P<task>[^/]+)/(?P<epoch>\d+)\.json")

Run = dict[str, Any]
"""Hyperparameters, and the lists ``acc`` and ``elapsed_s`` with a number per epoch."""


def _convert(source: Path) -> Iterator[Recorded]:
    runs = _runs_of_parquet(source) if source.suffix == ".parquet" else _runs_of_wheel(source)
    for dataset, (task, metric) in TASKS.items():
        if task in runs:
            yield _record(dataset, metric, runs[task])
    if not any(task in runs for task, _ in TASKS.values()):
        raise TableError(f"{source} holds no run of 50 epochs of LEMUR")


def _record(dataset: str, metric: str, runs: Sequence[Run]) -> Recorded:
    runs = sorted(runs, key=lambda run: str(run["uid"]))
    columns: dict[str, list[Any]] = {
        name: [run[name] for run in runs] for name in ("model", "transform", "batch")
    }
    for name in _FIXED:
        columns[name] = [_number(run.get(name)) for run in runs]
    elapsed, n_repaired = repair_elapsed(np.array([run["elapsed_s"] for run in runs]))
    values = np.stack([np.array([run["acc"] for run in runs]), elapsed], axis=-1)
    description = Description(
        name="lemur",
        dataset=dataset,
        space=space_of_columns(columns, _FIXED),
        metrics=(metric, "elapsed_time"),
        elapsed="elapsed_time",
        levels=tuple(range(1, EPOCHS + 1)),
        note="dropout or momentum that a network does not have is 0; other hyperparameters of single networks are "
        f"left out; times of {n_repaired} runs were made ascending",
    )
    return Recorded(description, columns, values[:, None])


def _number(value: Any) -> float:
    """Value of a hyperparameter; 0 if a network does not have it."""
    return 0.0 if value is None or math.isnan(float(value)) else float(value)


def _runs_of_parquet(path: Path) -> dict[str, list[Run]]:
    columns = read_columns(path)
    runs: dict[str, list[Run]] = {}
    for row in zip(*columns.values(), strict=True):
        run = dict(zip(columns, row, strict=True))
        runs.setdefault(str(run["dataset"]), []).append(run)
    return runs


def _runs_of_wheel(path: Path) -> dict[str, list[Run]]:
    """Join the files of the epochs, and keep the runs that have all of them."""
    epochs: dict[tuple[str, str, str], dict[int, Run]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                match = _MEMBER.fullmatch(name)
                task = next(
                    (t for t, _ in TASKS.values() if match and match["task"].startswith(f"{t}_")), None
                )
                if match is None or task is None or not 1 <= int(match["epoch"]) <= EPOCHS:
                    continue
                model = match["task"].removeprefix(f"{task}_")
                for entry in json.loads(archive.read(name)):
                    epochs.setdefault((task, model, entry["uid"]), {})[int(match["epoch"])] = entry
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise TableError(f"{path} is not the wheel of {WHEEL.package}=={WHEEL.version}: {error}") from None
    runs: dict[str, list[Run]] = {}
    for (task, model, _), entries in epochs.items():
        if len(entries) == EPOCHS:
            ordered = [entries[epoch] for epoch in range(1, EPOCHS + 1)]
            curves = {
                "acc": [entry["accuracy"] for entry in ordered],
                "elapsed_s": [entry["duration"] / 1e9 for entry in ordered],
            }
            runs.setdefault(task, []).append({**ordered[0], **curves, "model": model})
    return runs


RECIPE: Final = Recipe(
    name="lemur",
    title="LEMUR neural network data set: 50-epoch runs of generated networks on CIFAR-10, MNIST and COCO",
    licence="MIT; Goodarzi et al. 2025, arXiv 2504.10552",
    wanted="the wheel of nn-dataset==2.1.2, or a Parquet file with the columns dataset, model, uid, lr, batch, momentum, "
    "dropout, transform, acc, elapsed_s",
    install=stores(_convert),
    wheel=WHEEL,
)
