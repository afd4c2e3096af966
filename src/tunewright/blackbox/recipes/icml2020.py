"""The DeepAR and XGBoost evaluations of "A Quantile-based Approach for Hyperparameter Transfer Learning"."""

from __future__ import annotations

import csv
import io
import math
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tunewright.blackbox.recipes.recipe import Recipe, Recorded, space_of_columns, stores
from tunewright.blackbox.tables.blackbox import Description
from tunewright.exceptions import TableError

_SECONDS: Final = 1.0


def _converter(name: str) -> Callable[[Path], Iterator[Recorded]]:
    def convert(source: Path) -> Iterator[Recorded]:
        tasks: dict[str, list[dict[str, str]]] = {}
        for row in _read(source):
            tasks.setdefault(row.get("task", ""), []).append(row)
        if not tasks or "" in tasks:
            raise TableError(f"{source} has no column 'task', or no row")
        for task, rows in sorted(tasks.items()):
            yield _record(name, task, rows)

    return convert


def _read(source: Path) -> Iterator[dict[str, str]]:
    try:
        if source.suffix == ".zip":
            with zipfile.ZipFile(source) as archive:
                text = archive.read(archive.namelist()[0]).decode()
        else:
            text = source.read_text(encoding="utf-8")
    except (OSError, ValueError, IndexError, zipfile.BadZipFile) as error:
        raise TableError(f"{source} is no CSV file or zip file of one: {error}") from None
    yield from csv.DictReader(io.StringIO(text))


def _record(name: str, task: str, rows: list[dict[str, str]]) -> Recorded:
    """One task; of equal configurations the last is kept."""
    hyperparameters = [column for column in rows[0] if column.startswith("hp_")]
    metrics = [column for column in rows[0] if column.startswith("metric_") and "time" not in column]
    configs = {tuple(_undo_log(column, row[column]) for column in hyperparameters): row for row in rows}
    names = [
        column.removeprefix("hp_").replace("log2_", "").removesuffix("_log") for column in hyperparameters
    ]
    columns = {hp: [config[place] for config in configs] for place, hp in enumerate(names)}
    curves = [[float(row[metric]) for metric in metrics] + [_SECONDS] for row in configs.values()]
    description = Description(
        name=name,
        dataset=task,
        space=space_of_columns(columns),
        metrics=(*(metric.removeprefix("metric_") for metric in metrics), "elapsed_time"),
        elapsed="elapsed_time",
        levels=(1,),
        resource="evaluation",
        note=f"an evaluation counts one second; of equal configurations the last was kept ({len(rows) - len(configs)} left "
        "out)",
    )
    return Recorded(description, columns, np.array(curves)[:, None, None])


def _undo_log(column: str, text: str) -> float:
    number = float(text)
    if "log2_" in column:
        return 2.0**number
    return math.exp(number) if column.endswith("_log") else number


def _recipe(name: str, file: str, title: str) -> Recipe:
    return Recipe(
        name=name,
        title=title,
        licence="Apache-2.0; Salinas, Shen and Perrone 2020, ICML",
        wanted=f"{file}.csv.zip of the repository A-Quantile-based-Approach-for-Hyperparameter-Transfer-Learning",
        install=stores(_converter(name)),
    )


DEEPAR: Final = _recipe("icml-deepar", "DeepAR", "DeepAR on ten forecasting data sets, single evaluations")
XGBOOST: Final = _recipe("icml-xgboost", "XGBoost", "XGBoost on nine data sets, single evaluations")
