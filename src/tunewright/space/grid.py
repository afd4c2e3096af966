"""Lists of configurations that are computed on access."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Final, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from tunewright.exceptions import SpaceError
from tunewright.space.relations import Relation
from tunewright.types import Config, ConfigValue

MOST_COMPARED: Final = 2**22
"""Combinations up to which those are listed that keep relations."""


class Axis(NamedTuple):
    """The values that one hyperparameter takes in a grid, by number."""

    name: str
    size: int
    at: Callable[[int], ConfigValue]


class Block(NamedTuple):
    """All combinations of the axes' values; the last axis changes fastest."""

    axes: tuple[Axis, ...]
    template: Config
    """A value for every name that the configurations have."""

    @property
    def size(self) -> int:
        """Number of configurations."""
        size = 1
        for axis in self.axes:
            size *= axis.size
        return size

    def at(self, index: int) -> dict[str, ConfigValue]:
        """The configuration number ``index``."""
        config = dict(self.template)
        for axis in reversed(self.axes):
            index, number = divmod(index, axis.size)
            config[axis.name] = axis.at(number)
        return config

    def number(self, config: Config) -> int | None:
        """Index of a configuration, or None."""
        if config.keys() != self.template.keys():
            return None
        index = 0
        for axis in self.axes:
            values = [axis.at(number) for number in range(axis.size)]
            if config[axis.name] not in values:
                return None
            index = index * axis.size + values.index(config[axis.name])
        return index

    def keeping(self, relations: Sequence[Relation]) -> NDArray[np.int64]:
        """Indices of the configurations that keep all relations, ascending."""
        named = {name for relation in relations for name in relation.names}
        columns = {name: column_of([self.template[name]]) for name in named if name in self.template}
        wide = [axis for axis in self.axes if axis.size > 1]  # arrays have 64 dimensions at most
        for axis in self.axes:
            if axis.name in named:
                values = column_of([axis.at(number) for number in range(axis.size)])
                n_inner = len(wide) - wide.index(axis) - 1 if axis in wide else 0
                columns[axis.name] = values.reshape(-1, *[1] * n_inner)
        is_kept = np.ones([axis.size for axis in wide] or [1], dtype=np.bool_)
        for relation in relations:
            is_kept &= relation.mask(columns)
        return np.flatnonzero(is_kept)


def column_of(values: Sequence[ConfigValue]) -> NDArray[Any]:
    """Return values of one hyperparameter as an array, numbers with the type of numbers."""
    is_text = any(isinstance(value, str) for value in values)
    return np.array(values, dtype=object if is_text else None)


@final
class ConfigGrid:
    """Configurations as a read-only list: those of each block after those of the one before it.

    It holds no configuration: element n is computed from n, so that a grid may be larger than memory, and than
    ``len`` can tell (`size` can). A space without conditions is one block; with conditions there is a block for each
    combination of the values on which others depend.
    """

    __slots__ = ("_blocks", "_ends", "_numbers", "size")

    size: int
    """Number of configurations."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = tuple(blocks)
        self._ends = list(accumulate(block.size for block in self._blocks))
        self.size = self._ends[-1]
        self._numbers: NDArray[np.int64] | None = None
        """Those of the combinations that belong to the grid, ascending; None: all."""

    def keeping(self, relations: Sequence[Relation]) -> ConfigGrid:
        """Return the grid of the configurations that keep all relations; of a grid of all combinations, at most `MOST_COMPARED`."""
        grid = ConfigGrid(self._blocks)
        starts = [0, *self._ends[:-1]]
        kept = [start + block.keeping(relations) for start, block in zip(starts, self._blocks, strict=True)]
        grid._numbers = np.concatenate(kept)
        grid.size = len(grid._numbers)
        return grid

    def at(self, index: int) -> dict[str, ConfigValue]:
        """Return the configuration number ``index``, ``0 <= index < size``.

        Raises
        ------
        SpaceError
            If there is no such number.
        """
        if not 0 <= index < self.size:
            raise SpaceError(f"there is no configuration number {index}: the grid has {self.size}, from 0")
        if self._numbers is not None:
            index = int(self._numbers[index])
        place = bisect_right(self._ends, index)
        return self._blocks[place].at(index - (self._ends[place - 1] if place else 0))

    def number(self, config: Config) -> int | None:
        """Return the index of a full configuration, or None if it is not in the grid."""
        number = self._number(config)
        if number is None or self._numbers is None:
            return number
        index = int(np.searchsorted(self._numbers, number))
        return index if index < self.size and self._numbers[index] == number else None

    def _number(self, config: Config) -> int | None:
        """The index, relations aside."""
        before = 0
        for block, end in zip(self._blocks, self._ends, strict=True):
            number = block.number(config)
            if number is not None:
                return before + number
            before = end
        return None

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, ConfigValue]:
        if not 0 <= index < self.size:
            raise IndexError(f"the grid has {self.size} configurations, from 0: there is no number {index}")
        return self.at(index)

    def __iter__(self) -> Iterator[dict[str, ConfigValue]]:
        return (self.at(index) for index in range(self.size))
