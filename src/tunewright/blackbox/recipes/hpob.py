"""HPO-B: recorded evaluations of 16 spaces of classical learners on OpenML data sets; accuracies only."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from tunewright.blackbox.recipes.recipe import Recipe, Recorded, space_of_columns, stores
from tunewright.blackbox.tables.blackbox import Description
from tunewright.exceptions import TableError
from tunewright.space import Categorical, Domain, Float

_FILES: Final = ("meta-train-dataset.json", "meta-validation-dataset.json", "meta-test-dataset.json")
_DESCRIPTORS: Final = "meta-dataset-descriptors.json"
_SECONDS: Final = 1.0


def _convert(source: Path) -> Iterator[Recorded]:
    descriptors = _read(source, _DESCRIPTORS)
    spaces: dict[str, dict[str, Any]] = {}
    for file in _FILES:
        for space_id, datasets in _read(source, file).items():
            spaces.setdefault(space_id, {}).update(datasets)
    if not spaces or not descriptors:
        raise TableError(f"{source} lacks {_DESCRIPTORS} or all of {', '.join(_FILES)}")
    for space_id, datasets in spaces.items():
        names = descriptors[space_id]["variables_order"]
        for dataset, evaluations in datasets.items():
            yield _record(f"{space_id}-{dataset}", names, evaluations)


def _read(source: Path, name: str) -> dict[str, Any]:
    try:
        if source.is_dir():
            path = source / name
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        with zipfile.ZipFile(source) as archive:
            member = next((m for m in archive.namelist() if m.endswith(f"/{name}") or m == name), None)
            return json.loads(archive.read(member)) if member else {}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise TableError(f"{source} is not the folder hpob-data or its zip file: {error}") from None


def _record(dataset: str, names: list[str], evaluations: dict[str, Any]) -> Recorded:
    rows = np.array(evaluations["X"], dtype=np.float64)
    accuracy = np.array(evaluations["y"], dtype=np.float64).reshape(-1)
    _, first = np.unique(rows, axis=0, return_index=True)
    first.sort()
    columns = {name: rows[first, place].tolist() for place, name in enumerate(names)}
    domains = {name: _domain(values) for name, values in columns.items() if len(set(values)) > 1}
    description = Description(
        name="hpob",
        dataset=dataset,
        space=space_of_columns({name: columns[name] for name in domains}, domains),
        metrics=("accuracy", "elapsed_time"),
        elapsed="elapsed_time",
        levels=(1,),
        resource="evaluation",
        note="no times were recorded: an evaluation counts one second; hyperparameters as they are coded there, numbers "
        f"scaled to [0, 1]; of equal configurations the first was kept ({len(rows) - len(first)} left out)",
    )
    values = np.stack([accuracy[first], np.full(len(first), _SECONDS)], axis=-1)
    return Recorded(description, columns, values[:, None, None])


def _domain(values: list[float]) -> Domain:
    """Columns of a one-hot code are categorical; the others are scaled to [0, 1], but for a few."""
    if set(values) == {0.0, 1.0}:
        return Categorical([0.0, 1.0])
    return Float(min(0.0, *values), max(1.0, *values))


RECIPE: Final = Recipe(
    name="hpob",
    title="HPO-B: classical learners on OpenML data sets, single evaluations",
    licence="see the HPO-B repository; Pineda Arango et al. 2021, arXiv 2106.06257",
    wanted="hpob-data.zip or the folder hpob-data of the HPO-B repository",
    install=stores(_convert),
)
