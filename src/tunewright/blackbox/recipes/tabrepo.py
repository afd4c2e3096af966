"""TabRepo: hyperparameters of tabular learners, evaluated on the folds of many data sets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from tunewright.blackbox.recipes.recipe import Recipe, Recorded, space_of_columns, stores
from tunewright.blackbox.tables.blackbox import Description
from tunewright.blackbox.tables.stored import read_columns
from tunewright.exceptions import TableError

_METRICS: Final = {
    "error_val": "metric_error_val",
    "error": "metric_error",
    "time_infer": "time_infer_s",
    "elapsed_time": "time_train_s",
}
"""Metric -> column of the evaluations."""

Evaluations = Mapping[str, Mapping[int, tuple[float, ...]]]
"""Name of a configuration -> fold -> metrics."""


def _convert(source: Path) -> Iterator[Recorded]:
    hyperparameters = _hyperparameters(source)
    tables: dict[tuple[str, str], dict[str, dict[int, tuple[float, ...]]]] = {}
    columns = read_columns(source / "configs.parquet")
    wanted = ("framework", "dataset", "fold", *_METRICS.values())
    missing = [name for name in wanted if name not in columns]
    if missing:
        raise TableError(f"{source / 'configs.parquet'} lacks the column {missing[0]!r} of TabRepo")
    for framework, dataset, fold, *metrics in zip(*(columns[name] for name in wanted), strict=True):
        config = str(framework).removesuffix("_BAG_L1")
        if config in hyperparameters:
            table = tables.setdefault((config.split("_")[0], str(dataset)), {})
            table.setdefault(config, {})[int(fold)] = tuple(map(float, metrics))
    if not tables:
        raise TableError(
            f"{source}: no evaluation belongs to one of the {len(hyperparameters)} configurations"
        )
    for (model, dataset), evaluations in sorted(tables.items()):
        recorded = _record(f"{model}-{dataset}", evaluations, hyperparameters)
        if recorded is not None:
            yield recorded


def _hyperparameters(source: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(source.rglob("configs*.json")):
        try:
            entries = json.loads(path.read_text(encoding="utf-8"))
            found |= {
                str(name).removesuffix("_BAG_L1"): dict(entry.get("hyperparameters", entry))
                for name, entry in entries.items()
            }
        except (OSError, ValueError, AttributeError, TypeError) as error:
            raise TableError(f"{path} does not hold hyperparameters of TabRepo: {error}") from None
    if not found:
        raise TableError(f"{source} holds no configs*.json: give the folder of a TabRepo context")
    return {name: {k: v for k, v in entry.items() if k != "ag_args"} for name, entry in found.items()}


def _record(
    dataset: str, evaluations: Evaluations, hyperparameters: Mapping[str, Mapping[str, Any]]
) -> Recorded | None:
    """A data set of one model; None if fewer than two configurations were evaluated on all folds."""
    folds = sorted({fold for by_fold in evaluations.values() for fold in by_fold})
    names = sorted({name for config in evaluations for name in hyperparameters[config]})
    kept = [
        config
        for config, by_fold in sorted(evaluations.items())
        if len(by_fold) == len(folds) and all(name in hyperparameters[config] for name in names)
    ]
    unique = {
        tuple(str(hyperparameters[config][name]) for name in names): config for config in reversed(kept)
    }
    kept = sorted(unique.values())
    if len(kept) < 2:
        return None
    columns = {name: _column([hyperparameters[config][name] for config in kept]) for name in names}
    values = np.array([[evaluations[config][fold] for fold in folds] for config in kept])
    description = Description(
        name="tabrepo",
        dataset=dataset,
        space=space_of_columns(columns),
        metrics=tuple(_METRICS),
        elapsed="elapsed_time",
        levels=(1,),
        resource="evaluation",
        n_seeds=len(folds),
        note=f"seeds are folds; {len(evaluations) - len(kept)} configurations that lack a hyperparameter or a fold, or are "
        "repeated, were left out",
    )
    return Recorded(description, columns, values[:, :, None])


def _column(values: list[Any]) -> list[Any]:
    """The values if all are numbers or all are booleans, otherwise their texts."""
    is_plain = all(isinstance(v, bool) for v in values) or all(type(v) in {int, float} for v in values)
    return values if is_plain else [str(value) for value in values]


RECIPE: Final = Recipe(
    name="tabrepo",
    title="TabRepo: tabular learners on 200 data sets, single evaluations with training times",
    licence="Apache-2.0; Salinas and Erickson 2023, arXiv 2311.02971",
    wanted="the folder of a TabRepo context: configs.parquet (framework, dataset, fold, metric_error, metric_error_val, "
    "time_train_s, time_infer_s) and configs*.json with the hyperparameters",
    install=stores(_convert),
)
