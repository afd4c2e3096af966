"""ConfigSpace's ConfigurationSpace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from tunewright.exceptions import SpaceError
from tunewright.space.checks import as_config_value
from tunewright.space.converters.foreign import (
    Entry,
    choice,
    convert_each,
    float_range,
    integer_range,
    is_a,
    no_counterpart,
)
from tunewright.space.discrete import Ordinal
from tunewright.space.domain import Domain
from tunewright.space.search_space import SearchSpace
from tunewright.types import ConfigValue

_MOST_VALUES: Final = 1000


def from_configspace(space: Any) -> SearchSpace:
    """Convert a ``ConfigSpace.ConfigurationSpace``; its default values are kept, its conditions become ``active_if``.

    Raises
    ------
    SpaceError
        If the space has forbidden clauses, a condition cannot be listed as values (greater or less than, on a range that
        is not finite; alternatives on different hyperparameters), or a hyperparameter is neither uniform, categorical
        (without weights), ordinal nor constant.
    """
    if not is_a(space, "ConfigurationSpace"):
        raise no_counterpart(space, "give a ConfigSpace.ConfigurationSpace")
    n_forbidden = len(space.forbidden_clauses)
    if n_forbidden:
        raise SpaceError(
            f"the ConfigurationSpace has {n_forbidden} forbidden clauses, which are not supported: remove them, and let the "
            "script refuse such configurations"
        )
    plain = convert_each({parameter.name: parameter for parameter in space.values()}, _convert)
    conditions: dict[str, dict[str, list[ConfigValue]]] = {}
    for condition in space.conditions:
        _add(conditions.setdefault(condition.child.name, {}), _required(condition, plain), all_must=True)
    entries = {
        name: replace(entry, active_if=conditions[name])
        if name in conditions and isinstance(entry, Domain)
        else entry
        for name, entry in plain.items()
    }
    return SearchSpace(entries)


def _required(condition: Any, plain: SearchSpace) -> dict[str, list[ConfigValue]]:
    """By name of a parent, the values with which a condition holds."""
    if is_a(condition, "AndConjunction", "OrConjunction"):
        required: dict[str, list[ConfigValue]] = {}
        for part in condition.components:
            _add(required, _required(part, plain), all_must=is_a(condition, "AndConjunction"))
        if len(required) > 1 and is_a(condition, "OrConjunction"):
            raise SpaceError(
                f"{condition.child.name} is active with one hyperparameter or with another, which active_if cannot say"
            )
        return required
    parent = condition.parent.name
    if is_a(condition, "InCondition"):
        return {parent: [as_config_value(value) for value in condition.values]}
    if is_a(condition, "EqualsCondition"):
        return {parent: [as_config_value(condition.value)]}
    return {parent: [value for value in _listed(plain[parent], parent) if _holds(condition, value)]}


def _holds(condition: Any, value: ConfigValue) -> bool:
    order = getattr(condition.parent, "sequence", None)
    place: Any = value if order is None else list(order).index(value)
    other: Any = condition.value if order is None else list(order).index(condition.value)
    if is_a(condition, "NotEqualsCondition"):
        return place != other
    if is_a(condition, "GreaterThanCondition"):
        return place > other
    if is_a(condition, "LessThanCondition"):
        return place < other
    raise no_counterpart(condition, "use an equals, in, greater than or less than condition")


def _listed(entry: Entry, name: str) -> list[ConfigValue]:
    if not isinstance(entry, Domain):
        return [entry]
    if entry.size is None or entry.size > _MOST_VALUES:
        raise SpaceError(f"a condition on {name} would have to list all its values: use an equals condition")
    return [entry.at(index) for index in range(entry.size)]


def _add(
    required: dict[str, list[ConfigValue]], more: dict[str, list[ConfigValue]], *, all_must: bool
) -> None:
    for parent, values in more.items():
        known = required.get(parent)
        if known is None:
            required[parent] = values
        elif all_must:
            required[parent] = [value for value in known if value in values]
        else:
            required[parent] = [*known, *(value for value in values if value not in known)]


def _convert(parameter: Any) -> Entry:
    if is_a(parameter, "UniformFloatHyperparameter"):
        return float_range(
            parameter.lower, parameter.upper, log=parameter.log, default=parameter.default_value
        )
    if is_a(parameter, "UniformIntegerHyperparameter"):
        return integer_range(
            parameter.lower, parameter.upper, log=parameter.log, default=parameter.default_value
        )
    if is_a(parameter, "CategoricalHyperparameter"):
        if parameter.weights is not None:
            raise SpaceError("weights of a categorical hyperparameter are not supported: remove them")
        return choice(parameter.choices, parameter.default_value)
    if is_a(parameter, "OrdinalHyperparameter"):
        if len(parameter.sequence) == 1:
            return as_config_value(parameter.sequence[0])
        return Ordinal(parameter.sequence, default=parameter.default_value)
    if is_a(parameter, "Constant"):
        return as_config_value(parameter.value)
    raise no_counterpart(parameter, "use a uniform, categorical, ordinal or constant hyperparameter")
