"""LCBench: 2,000 configurations of a network on each of 34 tabular data sets."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from tunewright.blackbox.recipes.recipe import UNTRAINED_LEVEL, Recipe, Recorded, stores
from tunewright.blackbox.tables.blackbox import Description, Values
from tunewright.blackbox.tables.stored import UNREADABLE
from tunewright.blackbox.tables.tabular import repair_elapsed
from tunewright.exceptions import TableError
from tunewright.space import Float, Integer, SearchSpace

TASKS: Final = {
    "3945": "KDDCup09_appetency",
    "7593": "covertype",
    "34539": "Amazon_employee_access",
    "126025": "adult",
    "126026": "nomao",
    "126029": "bank-marketing",
    "146212": "shuttle",
    "167104": "Australian",
    "167149": "kr-vs-kp",
    "167152": "mfeat-factors",
    "167161": "credit-g",
    "167168": "vehicle",
    "167181": "kc1",
    "167184": "blood-transfusion-service-center",
    "167185": "cnae-9",
    "167190": "phoneme",
    "167200": "higgs",
    "167201": "connect-4",
    "168329": "helena",
    "168330": "jannis",
    "168331": "volkert",
    "168335": "MiniBooNE",
    "168868": "APSFailure",
    "168908": "christine",
    "168910": "fabert",
    "189354": "airlines",
    "189862": "jasmine",
    "189865": "sylvine",
    "189866": "albert",
    "189873": "dionis",
    "189905": "car",
    "189906": "segment",
    "189908": "Fashion-MNIST",
    "189909": "jungle_chess_2pcs_raw_endgame_complete",
}
"""OpenML task -> name."""
_VERSION: Final = 2
SPACE: Final = SearchSpace(
    {
        "num_layers": Integer(1, 5),
        "max_units": Integer(64, 1024, log=True),
        "batch_size": Integer(16, 512, log=True),
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "weight_decay": Float(1e-5, 1e-1),
        "momentum": Float(0.1, 0.99),
        "max_dropout": Float(0.0, 1.0),
    }
)
_METRICS: Final = (
    "val_accuracy",
    "val_cross_entropy",
    "val_balanced_accuracy",
    "test_cross_entropy",
    "test_balanced_accuracy",
)


def _convert(source: Path) -> Iterator[Recorded]:
    if source.suffix == ".npz":
        yield from _of_arrays(source)
        return
    for dataset, runs in _read_json(source).items():
        yield _of_runs(source, dataset, runs)


def _read_json(path: Path) -> dict[str, dict[str, Any]]:
    try:
        if path.suffix != ".zip":
            return json.loads(path.read_text(encoding="utf-8"))
        with zipfile.ZipFile(path) as archive:
            member = next(name for name in archive.namelist() if name.endswith(".json"))
            return json.loads(archive.read(member))
    except (OSError, ValueError, StopIteration, zipfile.BadZipFile) as error:
        raise TableError(f"{path} is not the file data_2k_lw.zip of LCBench: {error!r}") from None


def _of_runs(source: Path, dataset: str, runs: dict[str, dict[str, Any]]) -> Recorded:
    """The first of the logged points is before training, and the last a repetition: both are left out."""
    ordered = [runs[key] for key in sorted(runs, key=int)]
    try:
        columns = {name: [run["config"][name] for run in ordered] for name in SPACE.names}
        logs = [run["log"] for run in ordered]
        metrics = [name for name in _METRICS if f"Train/{name}" in logs[0]]
        points = [np.array([log[f"Train/{name}"] for log in logs], dtype=np.float64) for name in metrics]
        time = np.array([log["time"] for log in logs], dtype=np.float64)
    except (KeyError, ValueError) as error:
        raise TableError(f"{source}, data set {dataset}: a run lacks {error}") from None
    curves = {name: values[:, 1:-1] for name, values in zip(metrics, points, strict=True)}
    untrained = {name: float(np.median(values[:, 0])) for name, values in zip(metrics, points, strict=True)}
    return _record(dataset, columns, curves, time[:, 1:-1] - time[:, :1], untrained)


def _of_arrays(path: Path) -> Iterator[Recorded]:
    """The first point is before training and left out; times are counted from its end."""
    try:
        with np.load(path, allow_pickle=False) as data:
            columns = dict(zip(data["hp_names"].tolist(), data["hp"].T.tolist(), strict=True))
            accuracy, time = data["val_accuracy"], data["time"]
            tasks: list[str] = data["task_ids"].tolist()
    except UNREADABLE as error:
        raise TableError(f"{path} does not hold the arrays of LCBench: {error}") from None
    for index, task in enumerate(tasks):
        points = accuracy[index].astype(np.float64)
        seconds = time[index].astype(np.float64)
        yield _record(
            TASKS.get(task, task),
            columns,
            {"val_accuracy": points[:, 1:]},
            seconds[:, 1:] - seconds[:, :1],
            {"val_accuracy": float(np.median(points[:, 0]))},
            is_surrogate=True,
        )


def _record(
    dataset: str,
    columns: dict[str, list[Any]],
    curves: dict[str, NDArray[np.float64]],
    time: NDArray[np.float64],
    untrained: Mapping[str, float],
    *,
    is_surrogate: bool = False,
) -> Recorded:
    elapsed, n_repaired = repair_elapsed(time)
    note = f"times of {n_repaired} runs were made ascending"
    if is_surrogate:
        note = (
            "values of YAHPO Gym's network fitted to LCBench, not recorded ones; the point before training is left out: "
            f"levels are epochs of training, and times count from its begin; {note}"
        )
    description = Description(
        name="lcbench",
        dataset=dataset,
        space=SPACE,
        metrics=(*curves, "time"),
        elapsed="time",
        levels=tuple(range(1, elapsed.shape[1] + 1)),
        values=Values.SURROGATE if is_surrogate else Values.RECORDED,
        note=note,
        untrained=untrained,
        version=_VERSION if is_surrogate else 1,  # recorded runs are converted as by version 1
    )
    return Recorded(description, columns, np.stack([*curves.values(), elapsed], axis=-1)[:, None])


def _superseded(description: Description) -> str:
    is_old = description.version < _VERSION and description.values is Values.SURROGATE
    return UNTRAINED_LEVEL if is_old else ""


RECIPE: Final = Recipe(
    name="lcbench",
    title="LCBench: learning curves of networks on 34 tabular data sets",
    licence="Apache-2.0; Zimmer, Lindauer and Hutter 2021, arXiv 2006.13799",
    wanted="data_2k_lw.zip (https://figshare.com/ndownloader/files/21188598) or the JSON file in it",
    install=stores(_convert),
    version=_VERSION,
    superseded=_superseded,
)
