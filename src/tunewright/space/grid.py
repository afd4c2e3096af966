"""Lists of configurations that are computed only where they are looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, final

from tunewright.exceptions import SpaceError
from tunewright.types import Config, ConfigValue


class Axis(NamedTuple):
    """The values that one hyperparameter takes in a grid, by number."""

    name: str
    size: int
    at: Callable[[int], ConfigValue]


@final
class ConfigGrid:
    """All combinations of the axes' values, as a read-only list; the last axis changes fastest.

    It holds no configuration: element n is computed from n, so that a grid may be larger than memory, and than
    ``len`` can tell (`size` can).
    """

    __slots__ = ("_axes", "_template", "size")

    size: int
    """Number of configurations."""

    def __init__(self, axes: tuple[Axis, ...], template: Config) -> None:
        self._axes = axes
        self._template = template
        self.size = 1
        for axis in axes:
            self.size *= axis.size

    def at(self, index: int) -> dict[str, ConfigValue]:
        """Return the configuration number ``index``, ``0 <= index < size``.

        Raises
        ------
        SpaceError
            If there is no such number.
        """
        if not 0 <= index < self.size:
            raise SpaceError(f"there is no configuration number {index}: the grid has {self.size}, from 0")
        config = dict(self._template)
        for axis in reversed(self._axes):
            index, number = divmod(index, axis.size)
            config[axis.name] = axis.at(number)
        return config

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: int) -> dict[str, ConfigValue]:
        if not 0 <= index < self.size:
            raise IndexError(f"the grid has {self.size} configurations, from 0: there is no number {index}")
        return self.at(index)

    def __iter__(self) -> Iterator[dict[str, ConfigValue]]:
        return (self.at(index) for index in range(self.size))
