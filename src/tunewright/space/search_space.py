"""SearchSpace: named domains and constants, and everything that is done with whole configurations."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar, cast, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tunewright.exceptions import SpaceError, nearest_hint
from tunewright.space.conditions import Conditions, conditional_blocks
from tunewright.space.domain import Domain, Spec
from tunewright.space.grid import MOST_COMPARED, Axis, Block, ConfigGrid, column_of
from tunewright.space.relations import parse_relations
from tunewright.space.specs import domain_from_json, plain_entry, ungrouped
from tunewright.types import Config, ConfigValue

SpaceEntries = Mapping[str, Domain | ConfigValue | Sequence[ConfigValue]]
"""Domains, lists of choices and constants by name."""

_T = TypeVar("_T")

_DRAWS: Final = 10_000
"""Draws of which one must keep all relations."""
_CONSTRAINTS: Final = "constraints"
"""Key of the relations in data."""


@final
class SearchSpace(Mapping[str, Domain | ConfigValue]):
    """An immutable mapping from a hyperparameter's name to its domain, or to the value of a constant.

    Configurations are plain dicts with an entry for every name, constants included, in the space's order. The
    unit cube has columns for the tuned hyperparameters only, in the same order.

    Hyperparameters with a condition (``active_if``) are in those configurations only in which they are active. In the
    unit cube such a one that is not active lies at its default, so that configurations that are the same are one point.

    Parameters
    ----------
    entries
        Domains, and the values of constants, by name; a list is a `Categorical` of its values.
    constraints
        Relations that every configuration keeps, such as ``"width_2 <= width_1"`` or ``"depth * width <= 4096"``: numbers
        and names, ``+ - * / %``, comparisons, ``and``, ``or``, ``not`` and parentheses. A relation of a hyperparameter
        that is not active holds.

    Examples
    --------
    >>> from tunewright.space import Float, Integer, SearchSpace
    >>> space = SearchSpace({"lr": Float(1e-4, 1e-1, log=True), "width": Integer(4, 64), "epochs": 27})
    >>> space.complete({"lr": 0.01})
    {'lr': 0.01, 'width': 34, 'epochs': 27}

    Raises
    ------
    SpaceError
        If a name cannot be that of an argument, a constant is no text, int, float or bool, or nothing is tuned; if a
        relation cannot be read, the defaults break it, or none of 10,000 draws keeps all.
    """

    __slots__ = (
        "_columns",
        "_conditions",
        "_constants",
        "_domains",
        "_entries",
        "_everything",
        "_n_columns",
        "_relations",
        "_samplers",
        "_template",
    )

    def __init__(self, entries: SpaceEntries, constraints: Sequence[str] = ()) -> None:
        self._entries: dict[str, Domain | ConfigValue] = {}
        for name, entry in entries.items():
            _check_name(name)
            self._entries[name] = entry if isinstance(entry, Domain) else _named(name, plain_entry, entry)
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
        self._everything: ConfigGrid | None = None
        self._relations = parse_relations(constraints, self._entries)
        if self._relations:
            self._check_relations()

    def __getitem__(self, name: str) -> Domain | ConfigValue:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        constraints = f", constraints={list(self.constraints)!r}" if self._relations else ""
        return f"SearchSpace({self._entries!r}{constraints})"

    @override
    def __eq__(self, other: object) -> bool:
        if isinstance(other, SearchSpace):
            return self._entries == other._entries and self.constraints == other.constraints
        return NotImplemented if self._relations else super().__eq__(other)

    __hash__ = None  # type: ignore[assignment]

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
        """Number of configurations; None if a domain is continuous, or if there are relations and more than 4,194,304 combinations."""
        sizes = [domain.size for domain in self._domains.values()]
        if None in sizes:
            return None
        if self._relations and self._blocks(self._full_axes()).size > MOST_COMPARED:
            return None
        is_product = not self._conditions and not self._relations
        return math.prod(cast("list[int]", sizes)) if is_product else self.enumerate().size

    @property
    def has_conditions(self) -> bool:
        """Whether some hyperparameters are not active in all configurations."""
        return bool(self._conditions)

    @property
    def constraints(self) -> tuple[str, ...]:
        """The relations that all configurations keep, as they were written."""
        return tuple(relation.text for relation in self._relations)

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
        """Draw a configuration, every hyperparameter independently from its domain's distribution.

        With relations, draws are repeated until one keeps them all. If 10,000 do not, the default configuration is
        returned with as many values of the last draw as the relations allow, taken over in the space's order.
        """
        config = self._drawn(rng)
        if not self._relations:
            return config
        for _ in range(_DRAWS):
            if self.allows(config):
                return config
            config = self._drawn(rng)
        return self._adapted(config)

    def allows(self, config: Config) -> bool:
        """Tell whether a full configuration of legal values keeps all relations."""
        return all(relation.holds(config) for relation in self._relations)

    def allowed(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points of the cube, shape ``(n, n_columns)``, keep all relations: shape ``(n,)``."""
        named = {name for relation in self._relations for name in relation.names}
        idle = self._idle(points)
        columns: dict[str, NDArray[Any]] = {
            n: column_of([v]) for n, v in self._constants.items() if n in named
        }
        for name, domain, place in self._columns:
            if name in named:
                distinct, number = _distinct(domain, points[:, place])
                columns[name] = column_of(distinct)[number]
        is_allowed = np.ones(len(points), dtype=np.bool_)
        for relation in self._relations:
            holds = relation.mask(columns)
            for name in relation.names:
                holds = holds | idle.get(name, False)
            is_allowed &= holds
        return is_allowed

    def complete(self, partial: Config) -> dict[str, ConfigValue]:
        """Return ``partial`` with its values cast and missing entries at their defaults.

        Raises
        ------
        SpaceError
            If a name is unknown or not active, a value is illegal, a constant is given another value, or the
            configuration breaks a relation.
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
        self._check_allowed(config, partial)
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
        settled, idle = points.copy(), self._idle(points)
        for name, domain, columns in self._columns:
            if name in idle:
                settled[idle[name], columns] = domain.encode(domain.default)
        return settled

    def _idle(self, points: NDArray[np.float64]) -> dict[str, NDArray[np.bool_]]:
        """At which points (n, d) each conditional entry is not active, (n,)."""
        decoded = {
            name: _distinct(domain, points[:, columns])
            for name, domain, columns in self._columns
            if name in self._conditions.parents
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
        return idle

    def grid(self, n: int | Mapping[str, int]) -> ConfigGrid:
        """List all combinations of at most ``n`` values per domain (or per name; names left out take all values).

        Raises
        ------
        SpaceError
            If a name is unknown, a number is below 1, a continuous domain is left out, or there are relations and
            more than 4,194,304 combinations.
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
            If a domain is continuous, or there are relations and more than 4,194,304 combinations.
        """
        if self._everything is None:
            self._everything = self._grid_of(self._full_axes())
        return self._everything

    def with_values(self, values: Config) -> SearchSpace:
        """Return the space in which the given values are constants: fixed domains, other constants, or new ones.

        A conditional hyperparameter that is fixed is a constant of all configurations.

        Raises
        ------
        SpaceError
            If a value is illegal in the domain that it fixes, nothing is left to tune, or the defaults break a relation.
        """
        constants = {
            n: _named(n, self._domains[n].cast, v) if n in self._domains else v for n, v in values.items()
        }
        return SearchSpace(self._entries | constants, self.constraints)

    def without(self, *names: str) -> SearchSpace:
        """Return the space that lacks the named entries.

        Raises
        ------
        SpaceError
            If a name is unknown or a relation has it, or nothing is left to tune.
        """
        for name in names:
            if name not in self._entries:
                raise self._unknown(name)
        kept = {name: entry for name, entry in self._entries.items() if name not in names}
        return SearchSpace(kept, self.constraints)

    def to_json(self) -> dict[str, Spec | ConfigValue | list[str]]:
        """Describe the space as data: a table per domain, constants as their values, relations as the list ``constraints``."""
        constraints = {_CONSTRAINTS: list(self.constraints)} if self._relations else {}
        return constraints | {
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
        constraints = data.get(_CONSTRAINTS, ())
        if isinstance(constraints, str) and any(sign in constraints for sign in "<>="):
            raise SpaceError(f"constraints must be a list: write [{constraints!r}]")
        has_relations = isinstance(constraints, list | tuple)
        entries = {str(n): spec for n, spec in data.items() if n != _CONSTRAINTS or not has_relations}
        return SearchSpace(
            {name: _named(name, domain_from_json, spec) for name, spec in entries.items()},
            cast("Sequence[str]", constraints) if has_relations else (),
        )

    def _drawn(self, rng: np.random.Generator) -> dict[str, ConfigValue]:
        """A draw, relations aside."""
        config = self._template.copy()
        for (name, quantile), u in zip(self._samplers, rng.random(len(self._samplers)).tolist(), strict=True):
            config[name] = quantile(u)
        return self.active(config) if self._conditions else config

    def _adapted(self, config: Config) -> dict[str, ConfigValue]:
        """The default configuration with the values of another one, each if the relations allow it."""
        adapted = self._template.copy()
        for name in self._domains:
            if name in config:
                changed = {**adapted, name: config[name]}
                adapted = changed if self.allows(self.active(changed)) else adapted
        return self.active(adapted)

    def _check_relations(self) -> None:
        if _CONSTRAINTS in self._entries:
            raise SpaceError("a space with relations cannot have an entry named 'constraints': rename it")
        rng = np.random.default_rng(0)
        allowed = next((one for one in (self._drawn(rng) for _ in range(_DRAWS)) if self.allows(one)), None)
        if allowed is None:
            raise SpaceError(
                f"none of {_DRAWS:,} draws keeps the constraints {', '.join(map(repr, self.constraints))}: "
                "widen the ranges, or drop a constraint"
            )
        default = self.default_config()
        for relation in self._relations:
            if not relation.holds(default):
                free = [name for name in relation.names if name in self._domains]
                example = ", ".join(f"{name} = {allowed[name]!r}" for name in free if name in allowed)
                raise SpaceError(
                    f"the defaults {_shown(default, relation.names)} break {relation.text!r}: "
                    f"give defaults that keep it, such as {example}"
                )

    def _check_allowed(self, config: Config, given: Config) -> None:
        for relation in self._relations:
            if not relation.holds(config):
                added = [name for name in relation.names if name not in given and name in self._domains]
                note = f" ({', '.join(added)}: the default)" if added else ""
                raise SpaceError(
                    f"{_shown(config, relation.names)}{note} breaks {relation.text!r}: give values that keep it"
                )

    def _full_axes(self) -> list[Axis]:
        return [_full_axis(name, domain) for name, domain in self._domains.items()]

    def _grid_of(self, axes: Sequence[Axis]) -> ConfigGrid:
        grid = self._blocks(axes)
        if not self._relations:
            return grid
        if grid.size > MOST_COMPARED:
            raise SpaceError(
                f"{grid.size:,} combinations are too many to find those that keep the constraints: at most "
                f"{MOST_COMPARED:,}, so take fewer values of each hyperparameter"
            )
        return grid.keeping(self._relations)

    def _blocks(self, axes: Sequence[Axis]) -> ConfigGrid:
        """All combinations, relations aside."""
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


def _shown(config: Config, names: Sequence[str]) -> str:
    return ", ".join(f"{name}={config[name]!r}" for name in names)


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
