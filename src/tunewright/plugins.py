"""Plugins: objects that installed packages, this one included, register as entry points, and their config classes.

A plugin is found by the name of its entry point in a group (:data:`BACKENDS`, :data:`CALLBACKS`) and loaded when it is
first used. Its config is one frozen dataclass: the settings, the command line's flags, the TOML and the stored JSON.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, TypeVar, cast

from tunewright.codec import from_json, to_json
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.types import Dataclass, Json

BACKENDS: Final = "tunewright.backends"
CALLBACKS: Final = "tunewright.callbacks"
VIEWS: Final = "tunewright.views"
"""Classes that show an experiment; their packages lie above those that run it."""

_PROJECT: Final = Path(__file__).parents[2] / "pyproject.toml"
"""Of a source checkout: its entry points are read from here, since the metadata of an editable install may be older."""


D = TypeVar("D", bound=Dataclass)
P = TypeVar("P")


def plugin_names(group: str) -> list[str]:
    """The names of a group's plugins, sorted. Nothing is loaded."""
    return sorted(_points(group))


def load_plugin(group: str, name: str, kind: type[P]) -> P:
    """The object that an entry point leads to, of class ``kind``.

    Raises
    ------
    UnknownNameError
        No installed package registers this name.
    SettingsError
        The package that registers it cannot be imported, or the object is of another class.
    """
    points = _points(group)
    if name not in points:
        raise UnknownNameError(group.rpartition(".")[2].removesuffix("s"), name, points)
    try:
        found: object = points[name].load()
    except (ImportError, AttributeError) as error:
        raise SettingsError(f"The plugin {name!r} of {group} cannot be loaded: {error}") from error
    if not isinstance(found, kind):
        raise SettingsError(f"The entry point {name!r} of {group} is {found!r}, not a {kind.__name__}")
    return found


@cache
def _points(group: str) -> Mapping[str, EntryPoint]:
    found = {point.name: point for point in entry_points(group=group)}
    ours = checkout_entry_points().get(group, {})
    found |= {name: EntryPoint(name, value, group) for name, value in ours.items()}
    return found


@cache
def checkout_entry_points() -> Mapping[str, Mapping[str, str]]:
    """Entry points of this package by group and name, as its source checkout defines them; empty without a checkout."""
    if not _PROJECT.is_file():
        return {}
    project = tomllib.loads(_PROJECT.read_text(encoding="utf-8")).get("project", {})
    if project.get("name") != __name__.partition(".")[0]:
        return {}
    return {"console_scripts": project.get("scripts", {}), **project.get("entry-points", {})}


def named_config_to_json(name: str, config: Dataclass) -> dict[str, Json]:
    """A plugin's name and config, as metadata holds them."""
    return {"name": name, "config": to_json(config)}


def named_config_from_json(what: str, data: object, config_of: Callable[[str], type[D]]) -> D:
    """The inverse of :func:`named_config_to_json`.

    Parameters
    ----------
    what
        Kind of plugin, for messages.
    data
        From metadata.
    config_of
        Maps a plugin's name to its config class.

    Raises
    ------
    SettingsError
        The data name no plugin, or a plugin that is unknown, or are not its config.
    """
    stored = cast("Mapping[str, Any]", data) if isinstance(data, Mapping) else dict[str, Any]()
    if "name" not in stored:
        raise SettingsError(f"The data name no {what}: {data!r}")
    return config_from_json(config_of(str(stored["name"])), stored.get("config", {}))


def config_from_json(kind: type[D], data: Mapping[str, Any], *, flag: str = "") -> D:
    """A config of class ``kind`` from the data of :func:`tunewright.codec.to_json` or of a TOML table; absent fields get their defaults.

    Parameters
    ----------
    kind
        The config class.
    data
        Values by field.
    flag
        The flag whose texts are the values, for messages; texts are read as the fields' types. Empty: no texts.

    Raises
    ------
    UnknownNameError
        The class has no such field.
    SettingsError
        A value has another type, or cannot work.
    """
    fields = [field.name for field in dataclasses.fields(kind)]
    for name in data:
        if name not in fields:
            raise UnknownNameError(f"setting of {kind.__name__}", name, fields)
    return from_json(kind, data, flag or f"config {kind.__name__}", is_text=bool(flag))
