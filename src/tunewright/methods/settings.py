"""Settings of methods: nested frozen dataclasses, and the flat names under which flags, TOML and JSON hold them.

A method's settings are composed of groups, such as the rungs of ASHA and the settings of a Gaussian process. A field
that holds a dataclass is a group; its fields appear in the flat mapping under their own names.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeAlias, TypeVar, cast, final

import msgspec

from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.types import Json

SettingsT = TypeVar("SettingsT")

_Path: TypeAlias = tuple[str, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting of a method."""

    name: str
    """The flat name."""
    default: Json
    annotation: Any
    """The type of its values."""
    path: _Path
    """The groups that hold it, outermost first."""
    group: type
    """The dataclass that has it as a field."""

    @property
    def values_text(self) -> str:
        """Its values, such as ``promotion | stopping``, or their types, such as ``int | none``."""
        return " | ".join(text for option in _options(self.annotation) for text in _value_texts(option))


@cache
def settings_of(kind: Callable[[], object]) -> Mapping[str, Setting]:
    """Return the settings of a dataclass by their flat names, in the order of the fields.

    Parameters
    ----------
    kind
        A frozen dataclass all of whose fields have defaults.

    Raises
    ------
    TypeError
        Two groups have a field of the same name.
    """
    found: dict[str, Setting] = {}
    for setting in _walk(kind(), ()):
        if setting.name in found:
            raise TypeError(f"{kind!r} has two settings called {setting.name}")
        found[setting.name] = setting
    return found


def build_settings(kind: Callable[[], SettingsT], values: Mapping[str, Json], owner: str) -> SettingsT:
    """Build settings from plain data; texts of a command line are read as the type of their setting.

    Parameters
    ----------
    kind
        As in :func:`settings_of`.
    values
        Values by flat name. A list may be a text with commas.
    owner
        Name of the method, for errors.

    Raises
    ------
    UnknownNameError
        A name is unknown; the message has the nearest one.
    SettingsError
        A value has another type or cannot work.
    """
    known = settings_of(kind)
    given: dict[_Path, dict[str, object]] = {}
    for name, value in values.items():
        if name not in known:
            raise UnknownNameError(f"setting of {owner}", name, known)
        given.setdefault(known[name].path, {})[name] = _converted(known[name], value)
    return cast("SettingsT", _replaced(kind(), given, ()))


def flat_settings(settings: object) -> dict[str, Json]:
    """Return the values of all settings by flat name, as JSON data: the inverse of :func:`build_settings`."""
    return {setting.name: setting.default for setting in _walk(settings, ())}


def _plain(value: object) -> Json:
    plain: Json = msgspec.to_builtins(value)
    return [_plain(item) for item in plain] if isinstance(plain, list | tuple) else plain


def _is_group(value: object) -> bool:
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def _walk(settings: Any, path: _Path) -> Iterator[Setting]:
    annotations = typing.get_type_hints(cast("type[object]", type(settings)))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if _is_group(value):
            yield from _walk(value, (*path, field.name))
        else:
            yield Setting(
                name=field.name,
                default=_plain(value),
                annotation=annotations[field.name],
                path=path,
                group=cast("type[object]", type(settings)),
            )


def _replaced(settings: Any, given: Mapping[_Path, Mapping[str, object]], path: _Path) -> object:
    changes = dict(given.get(path, {}))
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if _is_group(value):
            changes[field.name] = _replaced(value, given, (*path, field.name))
    return dataclasses.replace(settings, **changes)


def _converted(setting: Setting, value: Json) -> object:
    options = _options(setting.annotation)
    given: object = value
    if isinstance(value, str) and any(typing.get_origin(option) is tuple for option in options):
        given = [part.strip() for part in value.split(",")]
    elif isinstance(value, str) and str not in options:
        given = value.strip()
    try:
        return msgspec.convert(given, setting.annotation, strict=False)
    except msgspec.ValidationError:
        expected = " or ".join(text for option in options for text in _value_texts(option))
        raise SettingsError(f"{setting.name} must be {expected}, not {value!r}") from None


def _options(annotation: Any) -> tuple[Any, ...]:
    return typing.get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)


def _value_texts(option: Any) -> Sequence[str]:
    """Values of an enumeration, a literal or a switch, else the name of the type."""
    if option is NoneType:
        return ("none",)
    if option is bool:
        return ("true", "false")
    if typing.get_origin(option) is typing.Literal:
        return tuple(str(value) for value in typing.get_args(option))
    if typing.get_origin(option) is tuple:
        return ("list of " + " or ".join(_value_texts(typing.get_args(option)[0])),)
    if isinstance(option, type) and issubclass(option, Enum):
        return [str(member.value) for member in option]
    return ({int: "int", float: "float", str: "text"}[option],)
