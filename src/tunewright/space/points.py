"""Configurations from a CSV, JSON or TOML file, checked against a search space."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias, cast

from tunewright.exceptions import SpaceError
from tunewright.space.checks import as_float
from tunewright.space.search_space import SearchSpace
from tunewright.space.specs import dotted
from tunewright.types import Config

_Entries: TypeAlias = Iterator[tuple[str, object]]


def load_points(path: str | Path, space: SearchSpace) -> tuple[Config, ...]:
    """Read configurations from a file. They contain the given names only; their values are cast.

    Parameters
    ----------
    path
        CSV: the names in the first line, a configuration in each further line, empty cells for names that are not
        given. JSON or TOML: a list of configurations (in TOML the tables ``[[points]]``), or a single one; nested
        groups have names with dots.
    space
        The space of the configurations.

    Raises
    ------
    SpaceError
        The file cannot be read or has no configuration, or one does not fit the space; the message names the file and
        the line or entry.
    """
    return tuple(config for config, _ in load_known_points(path, space, ()))


def load_known_points(
    path: str | Path, space: SearchSpace, keys: Collection[str]
) -> tuple[tuple[Config, Mapping[str, float]], ...]:
    """Read configurations with results from a file.

    Parameters
    ----------
    path, space
        As in :func:`load_points`.
    keys
        Names of results, such as the metric; a name of the space is a hyperparameter.

    Returns
    -------
    tuple of (config, result)
        In the order of the file; the result of a configuration without one is empty.

    Raises
    ------
    SpaceError
        As :func:`load_points`, or a result is not a number.
    """
    points = tuple(_point(f"{path}, {place}", entry, space, keys) for place, entry in _entries(Path(path)))
    if not points:
        raise SpaceError(f"{path} has no configuration: give names and values")
    return points


def _entries(path: Path) -> list[tuple[str, object]]:
    """Places in a file, and the entries there."""
    read = _READERS.get(path.suffix.lower())
    if read is None:
        raise SpaceError(f"The name of a file of points ends with {', '.join(_READERS)}, not as {path}")
    try:
        return list(read(path.read_text("utf-8-sig")))
    except OSError as error:
        raise SpaceError(f"Cannot read the points {path}: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        raise SpaceError(f"Cannot read the points {path}: {error}") from None


def _point(
    place: str, entry: object, space: SearchSpace, keys: Collection[str]
) -> tuple[Config, Mapping[str, float]]:
    if not isinstance(entry, dict):
        raise SpaceError(f"{place}: a configuration has names and values, but this is {entry!r}")
    try:
        named = dotted(cast("dict[str, object]", entry))
        given = {name: value for name, value in named.items() if value is not None}
        result = {name: as_float(given.pop(name)) for name in keys if name in given and name not in space}
        full = space.complete(cast("Config", given))
    except SpaceError as error:
        raise SpaceError(f"{place}: {error}") from None
    return {name: full[name] for name in given}, result


def _csv(text: str) -> _Entries:
    lines = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
    names = [name.strip() for name in next(lines, list[str]())]
    for cells in lines:
        if not any(cells):
            continue
        if len(cells) != len(names):
            raise SpaceError(f"line {lines.line_num}: {len(cells)} values for {len(names)} names")
        yield (
            f"line {lines.line_num}",
            {n: cell.strip() or None for n, cell in zip(names, cells, strict=True)},
        )


def _json(text: str) -> _Entries:
    data: list[object] | dict[str, object] = json.loads(text)
    return _listed(data)


def _toml(text: str) -> _Entries:
    return _listed(tomllib.loads(text))


def _listed(data: list[object] | dict[str, object]) -> _Entries:
    listed = data.get("points") if isinstance(data, dict) else data
    entries: list[object] = cast("list[object]", listed) if isinstance(listed, list) else [data]
    return ((f"entry {number}", entry) for number, entry in enumerate(entries, 1))


_READERS: Final[Mapping[str, Callable[[str], _Entries]]] = {".csv": _csv, ".json": _json, ".toml": _toml}
