"""Domains and constants from the data of JSON and space files. Only data is read, nothing is executed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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


def plain_entry(value: object) -> Domain | ConfigValue:
    """Return a list of values as a `Categorical`, and another value as a constant.

    Raises
    ------
    SpaceError
        The list has fewer than two values or one twice, or a value is no text, int, float or bool.
    """
    return (
        Categorical(cast("Sequence[ConfigValue]", value))
        if isinstance(value, list | tuple)
        else as_config_value(value)
    )


def domain_from_json(spec: object) -> Domain | ConfigValue:
    """Build a domain from its description, or a constant from its value.

    Parameters
    ----------
    spec
        A mapping with the key ``type`` (float, integer, categorical, ordinal, finite_range or constant) and the
        arguments of that type by name; or a list of choices; or a plain value, which is a constant. The words of other libraries are
        understood: ``int``, ``choice``, ``loguniform``, and ``min`` and ``max`` for ``low`` and ``high``.

    Raises
    ------
    SpaceError
        If the type or a key is unknown or missing, or an argument is wrong.
    """
    if not isinstance(spec, Mapping):
        return plain_entry(spec)
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


def ungrouped(tables: Mapping[str, object]) -> dict[str, object]:
    """Return the entries of a space file by their full names.

    A table without the keys of a domain is a group: its entries are named ``group.entry``. The names in an ``active_if``
    may be in groups as well.

    Raises
    ------
    SpaceError
        Two entries have the same full name.
    """
    entries = dotted(tables, is_group=_is_group)
    for name, entry in entries.items():
        if isinstance(entry, dict):
            domain = cast("dict[str, object]", entry)
            condition = domain.get("active_if")
            if isinstance(condition, dict):
                entries[name] = {**domain, "active_if": dotted(cast("dict[str, object]", condition))}
    return entries


def _is_table(entry: object) -> bool:
    return isinstance(entry, dict)


def _is_group(entry: object) -> bool:
    if not isinstance(entry, dict) or not entry:
        return False
    keys = [key for key, value in cast("dict[str, object]", entry).items() if not _is_table(value)]
    return not any(_KEY_ALIASES.get(key, key) in _OF_DOMAINS for key in keys)


def dotted(tables: Mapping[str, object], is_group: Callable[[object], bool] = _is_table) -> dict[str, object]:
    """Return the entries of nested groups, named by the groups and the entry with dots between.

    Raises
    ------
    SpaceError
        Two entries have the same full name.
    """
    entries: dict[str, object] = {}
    for name, table in tables.items():
        parts: dict[str, object] = {"": table}
        if is_group(table):
            inner = dotted(cast("dict[str, object]", table), is_group)
            parts = {f".{rest}": entry for rest, entry in inner.items()}
        for rest, entry in parts.items():
            if name + rest in entries:
                raise SpaceError(f"{name + rest!r} is given twice: by a group and by its full name")
            entries[name + rest] = entry
    return entries
