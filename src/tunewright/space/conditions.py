"""Conditions: hyperparameters that are active for some values of others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, cast, final

from tunewright.exceptions import SpaceError, nearest_hint
from tunewright.space.domain import Domain
from tunewright.space.grid import Axis, Block
from tunewright.types import ConfigValue


@final
class Conditions:
    """All ``active_if`` of a space.

    A hyperparameter is active if each parent of its condition is active and has one of the given values.

    Parameters
    ----------
    entries
        Domains, and the values of constants.

    Raises
    ------
    SpaceError
        A condition names an unknown entry, itself, or an illegal value, or conditions are cyclic.
    """

    def __init__(self, entries: Mapping[str, Domain | ConfigValue]) -> None:
        self._allowed: dict[str, dict[str, frozenset[ConfigValue]]] = {}
        given = {n: entry.active_if for n, entry in entries.items() if isinstance(entry, Domain)}
        for name, condition in given.items():
            if condition is not None:
                self._allowed[name] = _read(name, condition, entries)
        self._order = _in_order(self._allowed)

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def items(self) -> Iterator[tuple[str, Mapping[str, frozenset[ConfigValue]]]]:
        """Each conditional name, after its parents, with the required values of its parents."""
        return ((name, self._allowed[name]) for name in self._order)

    @property
    def parents(self) -> list[str]:
        """Names of parents, each after its own parents."""
        named = {parent for allowed in self._allowed.values() for parent in allowed}
        free = [parent for parent in named if parent not in self._allowed]
        return [*sorted(free), *(name for name in self._order if name in named)]

    def inactive(self, values: Mapping[str, ConfigValue]) -> set[str]:
        """Inactive names; a name missing in ``values`` counts as inactive for its dependents."""
        found: set[str] = set()
        for name in self._order:
            for parent, allowed in self._allowed[name].items():
                if parent in found or values.get(parent) not in allowed:
                    found.add(name)
                    break
        return found

    def describe(self, name: str) -> str:
        """When a name is active, in words."""
        return " and ".join(
            f"{parent} is {' or '.join(sorted(map(repr, values)))}"
            for parent, values in self._allowed[name].items()
        )


def conditional_blocks(
    axes: Sequence[Axis], conditions: Conditions, template: Mapping[str, ConfigValue]
) -> list[Block]:
    """The combinations of axes without the hyperparameters that are not active.

    Parameters
    ----------
    axes
        Of all tuned hyperparameters.
    conditions
        Of the space.
    template
        A value for every name.

    Returns
    -------
    list of Block
        One for each combination of the values on which others depend.
    """
    by_name = {axis.name: axis for axis in axes}
    values = [dict(template)]
    parents = conditions.parents
    for parent in parents:
        axis = by_name.get(parent)
        if axis is not None:
            values = [
                one if parent in conditions.inactive(one) else {**one, parent: axis.at(number)}
                for one in values
                for number in range(1 if parent in conditions.inactive(one) else axis.size)
            ]
    blocks: list[Block] = []
    for one in values:
        inactive = conditions.inactive(one)
        own = [
            Axis(axis.name, 1, _always(one[axis.name])) if axis.name in parents else axis
            for axis in axes
            if axis.name not in inactive
        ]
        blocks.append(Block(tuple(own), {n: value for n, value in one.items() if n not in inactive}))
    return blocks


def _always(value: ConfigValue) -> Callable[[int], ConfigValue]:
    return lambda _: value


def _read(
    name: str, condition: Any, entries: Mapping[str, Domain | ConfigValue]
) -> dict[str, frozenset[ConfigValue]]:
    if not isinstance(condition, Mapping) or not condition:
        raise SpaceError(f"{name}: active_if must be like {{'optimizer': 'sgd'}}, got {condition!r}")
    read: dict[str, frozenset[ConfigValue]] = {}
    for parent, given in cast("Mapping[str, Any]", condition).items():
        if parent not in entries or parent == name:
            others = [other for other in entries if other != name]
            raise SpaceError(
                f"{name}: active_if names {parent!r}, which is no other entry of the space.{nearest_hint(str(parent), others)}"
            )
        values: list[Any] = (
            list(cast("Iterable[Any]", given))
            if isinstance(given, list | tuple | set | frozenset)
            else [given]
        )
        entry = entries[parent]
        try:
            legal = [entry.cast(value) for value in values] if isinstance(entry, Domain) else values
        except SpaceError as error:
            raise SpaceError(
                f"{name}: active_if gives {parent} a value that it cannot have: {error}"
            ) from None
        if not legal:
            raise SpaceError(f"{name}: active_if gives {parent} no value: it would never be active")
        read[parent] = frozenset(legal)
    return read


def _in_order(allowed: Mapping[str, Mapping[str, object]]) -> list[str]:
    """Conditional names, each after those on which it depends."""
    order: list[str] = []
    left = dict(allowed)
    while left:
        ready = [name for name, parents in left.items() if not any(parent in left for parent in parents)]
        if not ready:
            raise SpaceError(f"the conditions of {', '.join(left)} go in a circle: remove one active_if")
        order += ready
        for name in ready:
            del left[name]
    return order
