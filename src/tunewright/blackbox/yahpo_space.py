"""Spaces in the JSON form that YAHPO Gym uses (that of ConfigSpace 0.4), conditions included."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, final

from tunewright.exceptions import TableError
from tunewright.space import Categorical, Domain, Float, Integer, Ordinal, SearchSpace
from tunewright.types import Config, ConfigValue

_TESTS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "EQ": operator.eq,
    "NEQ": operator.ne,
    "LT": operator.lt,
    "GT": operator.gt,
    "IN": lambda value, values: value in values,
}


@final
@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The space, what is fixed in it, and which hyperparameters count when.

    The space is flat: a searcher sets all hyperparameters, and those whose condition does not hold change nothing.
    """

    entries: Mapping[str, Domain | ConfigValue]
    conditions: Sequence[Mapping[str, Any]]

    @property
    def space(self) -> SearchSpace:
        """What is tuned."""
        return SearchSpace({name: entry for name, entry in self.entries.items() if isinstance(entry, Domain)})

    def fix(self, values: Config, *left_out: str) -> Hyperparameters:
        """Set some hyperparameters to a value for good, and leave out others."""
        entries = {name: entry for name, entry in self.entries.items() if name not in left_out}
        return Hyperparameters({**entries, **values}, self.conditions)

    def active(self, config: Config) -> dict[str, ConfigValue]:
        """The values of the hyperparameters that count, the fixed ones included."""
        values = {
            name: config[name] if isinstance(entry, Domain) else entry for name, entry in self.entries.items()
        }
        inactive = self._inactive(values)
        while inactive:  # what depends on an inactive one is inactive as well
            for name in inactive:
                del values[name]
            inactive = self._inactive(values)
        return values

    def _inactive(self, values: Config) -> list[str]:
        children = [(str(condition["child"]), condition) for condition in self.conditions]
        return list(
            {child for child, condition in children if child in values and not _holds(condition, values)}
        )


def read_hyperparameters(data: Mapping[str, Any]) -> Hyperparameters:
    """Read the content of a ``config_space.json``.

    Raises
    ------
    TableError
        It holds something that is not known.
    """
    try:
        entries = {str(spec["name"]): _entry(spec) for spec in data["hyperparameters"]}
        conditions = list(data.get("conditions", ()))
    except (KeyError, TypeError) as error:
        raise TableError(f"The stored space cannot be read: {error!r}") from None
    return Hyperparameters(entries, conditions)


def _entry(spec: Mapping[str, Any]) -> Domain | ConfigValue:
    kind = spec["type"]
    if kind == "uniform_float":
        low, high = float(spec["lower"]), float(spec["upper"])
        return Float(low, high, log=spec["log"], default=min(max(float(spec["default"]), low), high))
    if kind == "uniform_int":
        return Integer(spec["lower"], spec["upper"], log=spec["log"], default=spec["default"])
    if kind == "categorical":
        choices = spec["choices"]
        return Categorical(choices, default=spec["default"]) if len(choices) > 1 else choices[0]
    if kind == "ordinal":
        return Ordinal(spec["sequence"], default=spec["default"])
    if kind == "constant":
        return spec["value"]
    raise TableError(f"The hyperparameter {spec['name']!r} is of the unknown kind {kind!r}")


def _holds(condition: Mapping[str, Any], values: Config) -> bool:
    kind = condition["type"]
    if kind in {"AND", "OR"}:
        parts = [_holds(part, values) for part in condition["components"]]
        return all(parts) if kind == "AND" else any(parts)
    if condition["parent"] not in values:
        return False
    expected = condition["values"] if kind == "IN" else condition["value"]
    return _TESTS[kind](values[condition["parent"]], expected)
