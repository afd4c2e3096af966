"""Method: a named way to build a scheduler for a benchmark; and MethodSpec: the choice of one, as data."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import UnionType
from typing import Any, Generic, TypeAlias, TypeVar, final

from tunewright.benchmarks import Benchmark
from tunewright.exceptions import SettingsError, UnknownNameError
from tunewright.interfaces import Scheduler
from tunewright.metric import Constraint
from tunewright.types import Json

SettingsT = TypeVar("SettingsT")

BuildFunction: TypeAlias = Callable[[Benchmark, int, Mapping[str, Json]], Scheduler]
"""A user's own method: ``build(benchmark, seed, settings)``; the settings are those that the command line maps to it."""


def _none(*arguments: object) -> Sequence[Any]:
    del arguments
    return ()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Method(Generic[SettingsT]):
    """A named composition of scheduler and searcher."""

    name: str
    summary: str
    """One line for lists."""
    settings: type[SettingsT]
    """A frozen dataclass, all of whose fields have defaults; it checks its values when it is built."""
    build: Callable[[Benchmark, int, SettingsT], Scheduler]
    """From benchmark, seed (>= 0) and settings to a scheduler of its own."""
    ends_by_itself: bool = False
    """Whether it runs out of configurations, whatever the space is."""
    needs_evaluations: bool = False
    """Whether it learns from earlier experiments, and by itself chooses how."""
    constraints: Callable[[SettingsT], Sequence[Constraint]] = _none
    """What must hold of a result that is the best one."""
    reads: Callable[[Benchmark, SettingsT], Sequence[str]] = _none
    """Values that reports must hold beside the tuned metrics."""

    def make_settings(self, values: Mapping[str, Json]) -> SettingsT:
        """Settings from plain data; texts of a command line are read as the field's type.

        Raises
        ------
        SettingsError
            A name is unknown (the nearest one is said) or a value cannot work.
        """
        hints = _hints(self.settings)
        for name in values:
            if name not in hints:
                raise UnknownNameError(f"setting of {self.name}", name, hints)
        return self.settings(**{name: _read(name, value, hints[name]) for name, value in values.items()})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSpec:
    """A method by name and those of its settings that differ from the defaults: data that a file can hold."""

    name: str
    settings: Mapping[str, Json] = field(default_factory=dict[str, Json])

    def to_json(self) -> dict[str, Json]:
        """What :meth:`from_json` reads."""
        return {"name": self.name, "settings": dict(self.settings)}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> MethodSpec:
        """The inverse of :meth:`to_json`.

        Raises
        ------
        SettingsError
            A key is missing.
        """
        try:
            return MethodSpec(name=data["name"], settings=dict(data["settings"]))
        except (KeyError, TypeError) as error:
            raise SettingsError(f"The stored method cannot be read: {error!r}") from None


@cache
def _hints(settings: Callable[..., Any]) -> Mapping[str, Any]:
    """The types of a dataclass's fields."""
    hints = typing.get_type_hints(settings)
    return {f.name: hints[f.name] for f in dataclasses.fields(typing.cast("Any", settings))}


def _read(name: str, value: Json, hint: Any) -> Any:
    """The value as its field wants it: lists become tuples, texts are parsed, whole numbers may be floats."""
    options = typing.get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if value is None and type(None) in options:
        return None
    for option in options:
        origin = typing.get_origin(option) or option
        if origin is tuple and isinstance(value, list | tuple):
            return tuple(value)
        if origin is tuple and isinstance(value, str):
            return tuple(_read(name, part, typing.get_args(option)[0]) for part in value.split(","))
        if origin is bool and str(value).lower() in {"1", "true", "0", "false"}:
            return str(value).lower() in {"1", "true"}
        if origin in {int, float} and not isinstance(value, bool) and isinstance(value, str | int | float):
            number = _number(value, origin)
            if number is not None:
                return number
        if isinstance(origin, type) and issubclass(origin, str) and isinstance(value, str):
            return value
    expected = " or ".join(getattr(o, "__name__", str(o)) for o in options)
    raise SettingsError(f"{name} must be {expected}, not {value!r}")


def _number(value: str | float, kind: Any) -> int | float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    if kind is float:
        return number
    return int(number) if number.is_integer() else None
