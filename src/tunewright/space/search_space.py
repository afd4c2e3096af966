"""SearchSpace: named domains and constants, and everything that is done with whole configurations."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast, final

import numpy as np
from numpy.typing import NDArray

from tunewright.exceptions import SpaceError, nearest_hint
from tunewright.space.checks import as_config_value
from tunewright.space.conditions import Conditions, conditional_blocks
from tunewright.space.domain import Domain, Spec
from tunewright.space.grid import Axis, Block, ConfigGrid
from tunewright.space.specs import domain_from_json, ungrouped
from tunewright.types import Config, ConfigValue

_T = TypeVar("_T")


@final
class SearchSpace(Mapping[str, Domain | ConfigValue]):
    """An immutable mapping from a hyperparameter's name to its domain, or to the value of a constant.

    Configurations are plain dicts with an entry for every name, constants included, in the space's order. The
    unit cube has columns for the tuned hyperparameters only, in the same order.

    Hyperparameters with a condition (``active_if``) are in those configurations only in which they are active. In the
    unit cube such a one that is not active lies at its default, so that configurations that are the same are one point.

    Examples
    --------
    >>> from tunewright.space import Float, Integer, SearchSpace
    >>> space = SearchSpace({"lr": Float(1e-4, 1e-1, log=True), "width": Integer(4, 64), "epochs": 27})
    >>> space.complete({"lr": 0.01})
    {'lr': 0.01, 'width': 34, 'epochs': 27}

    Raises
    ------
    SpaceError
        If a name cannot be that of an argument, a constant is no text, int, float or bool, or nothing is tuned.
    """

    __slots__ = (
        "_columns",
        "_conditions",
        "_constants",
        "_domains",
        "_entries",
        "_n_columns",
        "_samplers",
        "_template",
    )

    def __init__(self, entries: Mapping[str, Domain | ConfigValue]) -> None:
        self._entries: dict[str, Domain | ConfigValue] = {}
        for name, entry in entries.items():
            _check_name(name)
            self._entries[name] = entry if isinstance(entry, Domain) else _named(name, as_config_value, entry)
        self._domains = {name: entry for name, entry in self._entries.items() if isinstance(entry, Domain)}
        self._constants = {
            name: entry for name, entry in self._entries.items() if not isinstance(entry, Domain)
        }
        if not self._domains:
            raise SpaceError(
                "the search space has no domain, so there is nothing to tune: add e.g. Float(0.1, 1.0)"
            )
        self._template = self._constants | {name: domain.default for name, domain in self._domains.items()}
        self._template = {name: self._template[name] for name in self._entries}
        self._conditions = Conditions(self._entries)
        self._samplers = tuple((name, domain.quantile) for name, domain in self._domains.items())
        self._columns: list[tuple[str, Domain, slice]] = []
        start = 0
        for name, domain in self._domains.items():
            self._columns.append((name, domain, slice(start, start + domain.width)))
            start += domain.width
        self._n_columns = start

    def __getitem__(self, name: str) -> Domain | ConfigValue:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"SearchSpace({self._entries!r})"

    @property
    def domains(self) -> Mapping[str, Domain]:
        """The tuned hyperparameters, in order."""
        return MappingProxyType(self._domains)

    @property
    def constants(self) -> Mapping[str, ConfigValue]:
        """The entries that are not tuned, in order."""
        return MappingProxyType(self._constants)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the tuned hyperparameters, in order."""
        return tuple(self._domains)

    @property
    def n_columns(self) -> int:
        """Number of columns of the unit cube."""
        return self._n_columns

    @property
    def size(self) -> int | None:
        """Number of configurations; None if a domain is continuous."""
        sizes = [domain.size for domain in self._domains.values()]
        if None in sizes:
            return None
        return self.enumerate().size if self._conditions else math.prod(cast("list[int]", sizes))

    @property
    def has_conditions(self) -> bool:
        """Whether some hyperparameters are not active in all configurations."""
        return bool(self._conditions)

    def default_config(self) -> dict[str, ConfigValue]:
        """Return the configuration of all defaults."""
        return self.active(self._template)

    def filled(self, config: Config) -> dict[str, ConfigValue]:
        """Return a configuration with a value for every name; missing and inactive ones have their defaults."""
        values = self._template | {name: value for name, value in config.items() if name in self._entries}
        for name in self._conditions.inactive(values):
            values[name] = self._template[name]
        return values

    def active(self, values: Config) -> dict[str, ConfigValue]:
        """Return the legal configuration of values for every name, without the inactive ones."""
        inactive = self._conditions.inactive(values)
        return {name: value for name, value in values.items() if name not in inactive}

    def sample(self, rng: np.random.Generator) -> dict[str, ConfigValue]:
        """Draw a configuration, every hyperparameter independently from its domain's distribution."""
        config = self._template.copy()
        for (name, quantile), u in zip(self._samplers, rng.random(len(self._samplers)).tolist(), strict=True):
            config[name] = quantile(u)
        return self.active(config) if self._conditions else config

    def complete(self, partial: Config) -> dict[str, ConfigValue]:
        """Return ``partial`` with its values cast and missing entries at their defaults.

        Raises
        ------
        SpaceError
            If a name is unknown or not active, a value is illegal, or a constant is given another value.
        """
        config = self._template.copy()
        for name, value in partial.items():
            domain = self._domains.get(name)
            if domain is not None:
                config[name] = _named(name, domain.cast, value)
            elif name not in self._constants:
                raise self._unknown(name)
            elif str(value) != str(self._constants[name]) and value != self._constants[name]:
                raise SpaceError(
                    f"{name!r} is the constant {self._constants[name]!r}, got {value!r}: remove it"
                )
        for name in self._conditions.inactive(config):
            if name in partial:
                raise SpaceError(
                    f"{name!r} is not active, as it needs {self._conditions.describe(name)}: remove it"
                )
            del config[name]
        return config

    def cast(self, config: Config) -> dict[str, ConfigValue]:
        """Convert the values of a full configuration (text, NumPy scalars) as `Domain.cast` does.

        Raises
        ------
        SpaceError
            As `complete`, and if an entry is missing.
        """
        self._check_full(config)
        return self.complete(config)

    def validate(self, config: Config) -> None:
        """Check that ``config`` has exactly the space's entries, each with a legal value.

        Raises
        ------
        SpaceError
            If not; the message names the first entry that is wrong.
        """
        legal = self.cast(config)
        for name, domain in self._domains.items():
            if name in config and not domain.contains(config[name]):
                kind = type(legal[name]).__name__
                raise SpaceError(
                    f"{name}: {config[name]!r} is not the {kind} {legal[name]!r}: use SearchSpace.cast"
                )

    def contains(self, config: Config) -> bool:
        """Tell whether `validate` accepts ``config``."""
        try:
            self.validate(config)
        except SpaceError:
            return False
        return True

    def key(self, config: Config) -> tuple[ConfigValue | None, ...]:
        """Return the values of the tuned entries, None for inactive ones: equal for the same trial.

        Raises
        ------
        SpaceError
            If an entry is missing.
        """
        try:
            if self._conditions:
                inactive = self._conditions.inactive({**self._constants, **config})
                return tuple([None if name in inactive else config[name] for name in self._domains])
            return tuple([config[name] for name in self._domains])
        except KeyError as missing:
            raise SpaceError(
                f"the configuration lacks {missing}: SearchSpace.complete adds defaults"
            ) from None

    def encode(self, configs: Sequence[Config]) -> NDArray[np.float64]:
        """Map legal configurations to points of the unit cube, shape ``(len(configs), n_columns)``."""
        if self._conditions:
            configs = [self.filled(config) for config in configs]
        rows = [[x for name, domain, _ in self._columns for x in domain.encode(c[name])] for c in configs]
        return np.array(rows, dtype=np.float64).reshape(len(rows), self._n_columns)

    def decode(self, points: NDArray[np.float64]) -> list[dict[str, ConfigValue]]:
        """Map points of the unit cube, shape ``(n, n_columns)``, to legal configurations.

        Raises
        ------
        SpaceError
            If the shape is wrong or a number is NaN.
        """
        points = np.asarray(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != self._n_columns:
            raise SpaceError(f"points must have the shape (n, {self._n_columns}), got {points.shape}")
        if np.isnan(points).any():
            raise SpaceError("points must not hold NaN: they are places in the unit cube")
        configs: list[dict[str, ConfigValue]] = []
        for row in points.tolist():
            config = self._template.copy()
            for name, domain, columns in self._columns:
                config[name] = domain.decode(row[columns])
            configs.append(self.active(config) if self._conditions else config)
        return configs

    def settled(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points of the cube with inactive entries at their defaults; unchanged without conditions."""
        if not self._conditions:
            return points
        settled, columns = points.copy(), {name: place for name, _, place in self._columns}
        decoded = {
            name: _distinct(self._domains[name], points[:, columns[name]])
            for name in self._conditions.parents
            if name in columns
        }
        idle: dict[str, NDArray[np.bool_]] = {}
        for name, allowed in self._conditions.items():
            idle[name] = np.zeros(len(points), dtype=np.bool_)
            for parent, values in allowed.items():
                if parent in decoded:
                    distinct, number = decoded[parent]
                    is_wrong = np.array([value not in values for value in distinct], dtype=np.bool_)
                    idle[name] |= is_wrong[number] | idle.get(parent, False)
                else:
                    idle[name] |= self._entries[parent] not in values
            if name in columns:
                domain = self._domains[name]
                settled[idle[name], columns[name]] = domain.encode(domain.default)
        return settled

    def grid(self, n: int | Mapping[str, int]) -> ConfigGrid:
        """List all combinations of at most ``n`` values per domain (or per name; names left out take all values).

        Raises
        ------
        SpaceError
            If a name is unknown, a number is below 1, or a continuous domain is left out.
        """
        counts = dict(n) if isinstance(n, Mapping) else dict.fromkeys(self._domains, n)
        for name in counts:
            if name not in self._domains:
                raise SpaceError(f"{name!r} is not tuned.{nearest_hint(name, self._domains)}")
        axes = [
            _list_axis(name, domain.grid(counts[name])) if name in counts else _full_axis(name, domain)
            for name, domain in self._domains.items()
        ]
        return self._grid_of(axes)

    def enumerate(self) -> ConfigGrid:
        """List all configurations of a finite space.

        Raises
        ------
        SpaceError
            If a domain is continuous.
        """
        return self._grid_of([_full_axis(name, domain) for name, domain in self._domains.items()])

    def with_values(self, values: Config) -> SearchSpace:
        """Return the space in which the given values are constants: fixed domains, other constants, or new ones.

        A conditional hyperparameter that is fixed is a constant of all configurations.

        Raises
        ------
        SpaceError
            If a value is illegal in the domain that it fixes, or nothing is left to tune.
        """
        constants = {
            n: _named(n, self._domains[n].cast, v) if n in self._domains else v for n, v in values.items()
        }
        return SearchSpace(self._entries | constants)

    def without(self, *names: str) -> SearchSpace:
        """Return the space that lacks the named entries.

        Raises
        ------
        SpaceError
            If a name is unknown, or nothing is left to tune.
        """
        for name in names:
            if name not in self._entries:
                raise self._unknown(name)
        return SearchSpace({name: entry for name, entry in self._entries.items() if name not in names})

    def to_json(self) -> dict[str, Spec | ConfigValue]:
        """Describe the space as data: a table per domain, constants as their values."""
        return {
            n: entry.to_json() if isinstance(entry, Domain) else entry for n, entry in self._entries.items()
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> SearchSpace:
        """Build a space from the data of `to_json`, or of a space file.

        Raises
        ------
        SpaceError
            If the data do not describe a space; the message names the hyperparameter.
        """
        return SearchSpace(
            {str(name): _named(str(name), domain_from_json, spec) for name, spec in data.items()}
        )

    def _grid_of(self, axes: Sequence[Axis]) -> ConfigGrid:
        if self._conditions:
            return ConfigGrid(conditional_blocks(axes, self._conditions, self._template))
        return ConfigGrid([Block(tuple(axes), self._template)])

    def _unknown(self, name: str) -> SpaceError:
        return SpaceError(f"the search space has no {name!r}.{nearest_hint(str(name), self._entries)}")

    def _check_full(self, config: Config) -> None:
        missing = [name for name in self._entries if name not in config]
        if missing and self._conditions:
            inactive = self._conditions.inactive({**self._constants, **config})
            missing = [name for name in missing if name not in inactive]
        if missing:
            raise SpaceError(
                f"the configuration lacks {', '.join(missing)}: SearchSpace.complete adds defaults"
            )


def _distinct(domain: Domain, points: NDArray[np.float64]) -> tuple[list[ConfigValue], NDArray[np.intp]]:
    """The values of the distinct points (n, width) of a domain, and which of them each point has, (n,)."""
    rows, number = np.unique(points, axis=0, return_inverse=True)
    return [domain.decode(row) for row in rows.tolist()], number.reshape(len(points))


def _named(name: str, convert: Callable[[Any], _T], value: object) -> _T:
    try:
        return convert(value)
    except SpaceError as error:
        raise SpaceError(f"{name}: {error}") from None


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip() or name.startswith("-") or "=" in name:
        raise SpaceError(f"{name!r} cannot name a hyperparameter: scripts get it as the argument --name")


def _list_axis(name: str, values: Sequence[ConfigValue]) -> Axis:
    return Axis(name, len(values), values.__getitem__)


def _full_axis(name: str, domain: Domain) -> Axis:
    if domain.size is None:
        raise SpaceError(
            f"{name} is continuous, so its values cannot be listed: give it a step or a number of levels"
        )
    return Axis(name, domain.size, domain.at)


def space_from_toml(text: str) -> SearchSpace:
    """Build a space from TOML: one table per hyperparameter, with ``type`` and that type's arguments.

    A plain ``name = value`` is a constant. A table without ``type`` is a group: the table ``[optimizer.lr]`` describes the
    hyperparameter ``optimizer.lr``.

    Raises
    ------
    SpaceError
        If the text is no TOML or a table is wrong; the message names the table.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SpaceError(f"the text is not valid TOML: {error}") from None
    return SearchSpace.from_json(ungrouped(data))


def load_space(path: str | Path) -> SearchSpace:
    """Read a space file, as `space_from_toml` understands it.

    Raises
    ------
    SpaceError
        If the file cannot be read or is wrong; the message names the file and the table.
    """
    try:
        return space_from_toml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SpaceError(f"Cannot read the space file {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise SpaceError(f"Cannot read the space file {path}: {error}") from None
    except SpaceError as error:
        raise SpaceError(f"{path}: {error}") from None
