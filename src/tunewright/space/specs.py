"""Domains and constants from the data of JSON and space files. Only data is read, nothing is executed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from tunewright.exceptions import SpaceError, nearest_hint
from tunewright.space.checks import as_config_value
from tunewright.space.discrete import Categorical, FiniteRange, Ordinal
from tunewright.space.domain import Domain
from tunewright.space.numeric import Float, Integer
from tunewright.types import ConfigValue

_RANGE: Final = ("log", "reverse_log", "step", "default", "prior", "active_if")


def _constant(*, value: object) -> ConfigValue:
    return as_config_value(value)


_TYPES: Final[Mapping[str, tuple[Callable[..., Domain | ConfigValue], tuple[str, ...], tuple[str, ...]]]] = {
    "float": (Float, ("low", "high"), _RANGE),
    "integer": (Integer, ("low", "high"), _RANGE),
    "categorical": (Categorical, ("values",), ("default", "prior", "active_if")),
    "ordinal": (Ordinal, ("values",), ("kind", "default", "prior", "active_if")),
    "finite_range": (
        FiniteRange,
        ("low", "high", "size"),
        ("log", "integer", "default", "prior", "active_if"),
    ),
    "constant": (_constant, ("value",), ()),
}
"""Per type: constructor, required keys and optional keys."""

_ALIASES: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "uniform": ("float", {}),
    "loguniform": ("float", {"log": True}),
    "log_uniform": ("float", {"log": True}),
    "log_uniform_values": ("float", {"log": True}),
    "quniform": ("float", {}),
    "int": ("integer", {}),
    "randint": ("integer", {}),
    "int_uniform": ("integer", {}),
    "lograndint": ("integer", {"log": True}),
    "choice": ("categorical", {}),
    "finrange": ("finite_range", {}),
    "logfinrange": ("finite_range", {"log": True}),
}
"""Words of Optuna, Ray Tune, Syne Tune and Weights & Biases -> type, and arguments that they imply. Both bounds are included."""
_KEY_ALIASES: Final[Mapping[str, str]] = {
    "distribution": "type",
    "min": "low",
    "lower": "low",
    "max": "high",
    "upper": "high",
    "choices": "values",
    "categories": "values",
    "q": "step",
}

_OF_DOMAINS: Final = frozenset({"type", "low", "high", "values", "value"})
"""Keys of which a domain or constant has at least one."""

_FLAGS: Final = ("log", "reverse_log", "integer")


def domain_from_json(spec: object) -> Domain | ConfigValue:
    """Build a domain from its description, or a constant from its value.

    Parameters
    ----------
    spec
        A mapping with the key ``type`` (float, integer, categorical, ordinal, finite_range or constant) and the
        arguments of that type by name; or a plain value, which is a constant. The words of other libraries are
        understood: ``int``, ``choice``, ``loguniform``, and ``min`` and ``max`` for ``low`` and ``high``.

    Raises
    ------
    SpaceError
        If the type or a key is unknown or missing, or an argument is wrong.
    """
    if not isinstance(spec, Mapping):
        return as_config_value(spec)
    arguments: dict[str, Any] = {}
    for given, value in cast("Mapping[str, Any]", spec).items():
        key = _KEY_ALIASES.get(given, given)
        if key in arguments:
            raise SpaceError(f"{key!r} is given twice: as {given!r} as well")
        arguments[key] = value
    kind = arguments.pop("type", None)
    if isinstance(kind, str) and kind in _ALIASES:
        kind, implied = _ALIASES[kind]
        arguments = {**implied, **arguments}
    if kind is None:
        raise SpaceError(f"the key 'type' is missing: give one of {', '.join(_TYPES)}")
    if not isinstance(kind, str) or kind not in _TYPES:
        raise SpaceError(f"unknown type {kind!r}.{nearest_hint(str(kind), _TYPES)}")
    build, needed, optional = _TYPES[kind]
    for key in arguments:
        if key not in needed + optional:
            raise SpaceError(f"type {kind!r} has no key {key!r}.{nearest_hint(str(key), needed + optional)}")
    for key in needed:
        if key not in arguments:
            raise SpaceError(f"type {kind!r} needs the key {key!r}: add it")
    for key in _FLAGS:
        if not isinstance(arguments.get(key, False), bool):
            raise SpaceError(f"{key} must be true or false, got {arguments[key]!r}")
    if not isinstance(arguments.get("values", []), list | tuple):
        raise SpaceError(f"values must be a list, got {arguments['values']!r}")
    return build(**arguments)


def ungrouped(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a space file by their full names.

    A table without the keys of a domain is a group: its entries are named ``group.entry``. The names in an ``active_if``
    may be in groups as well.

    Raises
    ------
    SpaceError
        Two entries have the same full name.
    """
    entries = dotted(tables, _is_group)
    for name, entry in entries.items():
        condition = entry.get("active_if") if isinstance(entry, dict) else None
        if isinstance(condition, dict):
            entries[name] = {**entry, "active_if": dotted(condition, lambda part: isinstance(part, dict))}
    return entries


def dotted(tables: Mapping[str, Any], is_group: Callable[[object], bool]) -> dict[str, Any]:
    """Return the entries of nested groups, named by the groups and the entry with dots between.

    Raises
    ------
    SpaceError
        Two entries have the same full name.
    """
    entries: dict[str, Any] = {}
    for name, table in tables.items():
        parts = {"": table}
        if is_group(table):
            parts = {f".{inner}": entry for inner, entry in dotted(table, is_group).items()}
        for rest, entry in parts.items():
            if name + rest in entries:
                raise SpaceError(f"{name + rest!r} is given twice: by a group and by its full name")
            entries[name + rest] = entry
    return entries


def _is_group(table: object) -> bool:
    return (
        isinstance(table, dict)
        and bool(table)
        and not any(
            _KEY_ALIASES.get(key, key) in _OF_DOMAINS and not isinstance(value, dict)
            for key, value in cast("dict[str, object]", table).items()
        )
    )
