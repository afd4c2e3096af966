"""Search spaces of other libraries, converted. The libraries are recognised by their class names and never imported."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from tunewright.exceptions import SpaceError
from tunewright.space.checks import as_config_value
from tunewright.space.discrete import Categorical, FiniteRange, Ordinal, OrdinalKind
from tunewright.space.domain import MIDPOINT, Domain
from tunewright.space.numeric import Float, Integer
from tunewright.space.search_space import SearchSpace
from tunewright.types import ConfigValue

Entry = Domain | ConfigValue


def convert_each(entries: Mapping[str, Any], convert: Callable[[Any], Entry]) -> SearchSpace:
    """Build a space from converted entries.

    Raises
    ------
    SpaceError
        If an entry cannot be converted; the message names it.
    """
    space: dict[str, Entry] = {}
    for name, entry in entries.items():
        try:
            space[name] = convert(entry)
        except SpaceError as error:
            raise SpaceError(f"{name}: {error}") from None
    return SearchSpace(space)


def is_a(value: object, *names: str) -> bool:
    """Tell whether the class of ``value``, or one of its bases, has one of these names."""
    return not {base.__name__ for base in type(value).__mro__}.isdisjoint(names)


def no_counterpart(value: object, remedy: str) -> SpaceError:
    """Return the error for an object that cannot be converted."""
    return SpaceError(f"{type(value).__qualname__} has no counterpart here: {remedy}")


def float_range(low: float, high: float, *, default: float = MIDPOINT, **settings: Any) -> Entry:
    """Return a Float, or a constant for a range of one number. ``settings`` are those of `Float`."""
    return float(low) if low == high else Float(low, high, default=default, **settings)


def integer_range(low: int, high: int, *, default: int = MIDPOINT, **settings: Any) -> Entry:
    """Return an Integer, or a constant for a range of one number. ``settings`` are those of `Integer`."""
    return int(low) if low == high else Integer(low, high, default=default, **settings)


def choice(values: Sequence[Any], default: ConfigValue = MIDPOINT) -> Entry:
    """Return a Categorical, or a constant for a list of one value."""
    return as_config_value(values[0]) if len(values) == 1 else Categorical(values, default=default)


_SCALES: Final[Mapping[str, Mapping[str, bool]]] = {
    "_Uniform": {},
    "_LogUniform": {"log": True},
    "_ReverseLogUniform": {"reverse_log": True},
}


def sampled_range(domain: Any, *, upper_included: bool) -> Entry:
    """Convert a Float or Integer of Ray Tune's form: ``lower``, ``upper``, and a sampler that may be quantised.

    Quantised values are the multiples of ``q`` in the range, with both bounds included. ``upper_included`` says
    whether integers that are not quantised reach ``upper``.

    Raises
    ------
    SpaceError
        If the sampler is not uniform, log-uniform or reverse-log-uniform.
    """
    sampler, step = domain.get_sampler(), None
    if is_a(sampler, "Quantized"):
        sampler, step = sampler.sampler, sampler.q
    scale = _SCALES.get(type(sampler).__name__)
    if scale is None:
        raise no_counterpart(sampler, "use a uniform or log-uniform range")
    low, high = domain.lower, domain.upper
    is_integer = is_a(domain, "Integer")
    if is_integer and step in {None, 1}:
        return integer_range(low, high if upper_included else high - 1, **scale)
    if is_integer:
        return integer_range(math.ceil(low / step) * step, math.floor(high / step) * step, step=step, **scale)
    return float_range(low, high, step=step, **scale)


_MOST_VALUES: Final = 1000


def from_configspace(space: Any) -> SearchSpace:
    """Convert a ``ConfigSpace.ConfigurationSpace``; its default values are kept.

    Its conditions become ``active_if``, its forbidden clauses relations.

    Raises
    ------
    SpaceError
        If a condition cannot be listed as values (greater or less than, on a range that
        is not finite; alternatives on different hyperparameters), a forbidden clause orders categories or joins alternatives to something else, or a hyperparameter is
        neither uniform, categorical (without weights), ordinal nor constant.
    """
    if not is_a(space, "ConfigurationSpace"):
        raise no_counterpart(space, "give a ConfigSpace.ConfigurationSpace")
    plain = convert_each({parameter.name: parameter for parameter in space.values()}, _from_configspace)
    conditions: dict[str, dict[str, list[ConfigValue]]] = {}
    for condition in space.conditions:
        _merge_required(
            conditions.setdefault(condition.child.name, {}), _required_values(condition, plain), all_must=True
        )
    entries = {
        name: replace(entry, active_if=conditions[name])
        if name in conditions and isinstance(entry, Domain)
        else entry
        for name, entry in plain.items()
    }
    return SearchSpace(
        entries, [relation for clause in space.forbidden_clauses for relation in _relations(clause)]
    )


_FORBIDDEN: Final = {
    "LessThanEquals": "<=",
    "LessThan": "<",
    "GreaterThanEquals": ">=",
    "GreaterThan": ">",
    "Equals": "==",
}


def _relations(clause: Any) -> list[str]:
    """Relations that a forbidden clause stands for; alternatives are one each, since a clause on inactive ones forbids nothing."""
    if is_a(clause, "ForbiddenOrConjunction"):
        return [relation for part in clause.components for relation in _relations(part)]
    return [f"not ({_forbidden(clause)})"]


def _forbidden(clause: Any) -> str:
    """The condition of a forbidden clause, in the words of relations."""
    if is_a(clause, "ForbiddenAndConjunction"):
        return " and ".join(map(_forbidden, clause.components))
    if is_a(clause, "ForbiddenInClause"):
        name = clause.hyperparameter.name
        return f"({' or '.join(f'{name} == {_literal(value)}' for value in clause.values)})"
    compared = [
        getattr(clause, part) for part in ("hyperparameter", "left", "right") if hasattr(clause, part)
    ]
    is_ordered = all(is_a(one, "NumericalHyperparameter") for one in compared)
    for word, symbol in _FORBIDDEN.items():
        if symbol != "==" and not is_ordered:
            continue
        if is_a(clause, f"Forbidden{word}Clause"):
            return f"{clause.hyperparameter.name} {symbol} {_literal(clause.value)}"
        if is_a(clause, f"Forbidden{word}Relation"):
            return f"{clause.left.name} {symbol} {clause.right.name}"
    raise SpaceError(f"the forbidden clause {clause} has no counterpart: remove it, or write a relation")


def _literal(value: Any) -> str:
    """A value as relations have it."""
    plain = value.item() if hasattr(value, "item") else value
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, int | float):
        return repr(plain)
    return f'"{plain}"' if "'" in str(plain) else f"'{plain}'"


def _required_values(condition: Any, plain: SearchSpace) -> dict[str, list[ConfigValue]]:
    """By name of a parent, the values with which a condition holds."""
    if is_a(condition, "AndConjunction", "OrConjunction"):
        required: dict[str, list[ConfigValue]] = {}
        for part in condition.components:
            _merge_required(
                required, _required_values(part, plain), all_must=is_a(condition, "AndConjunction")
            )
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
    return {parent: [value for value in _all_values(plain[parent], parent) if _holds(condition, value)]}


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


def _all_values(entry: Entry, name: str) -> list[ConfigValue]:
    if not isinstance(entry, Domain):
        return [entry]
    if entry.size is None or entry.size > _MOST_VALUES:
        raise SpaceError(f"a condition on {name} would have to list all its values: use an equals condition")
    return [entry.at(index) for index in range(entry.size)]


def _merge_required(
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


def _from_configspace(parameter: Any) -> Entry:
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


def from_optuna(distributions: Mapping[str, Any]) -> SearchSpace:
    """Convert Optuna distributions by name, such as ``trial.distributions``.

    A distribution of a single value becomes a constant.

    Raises
    ------
    SpaceError
        If an object is no float, int or categorical distribution, or a choice is None.
    """
    return convert_each(distributions, entry_from_optuna)


def entry_from_optuna(distribution: Any) -> Entry:
    """Convert an Optuna distribution.

    Raises
    ------
    SpaceError
        As :func:`from_optuna`.
    """
    if is_a(distribution, "FloatDistribution"):
        return float_range(distribution.low, distribution.high, log=distribution.log, step=distribution.step)
    if is_a(distribution, "IntDistribution"):
        step = None if distribution.step == 1 else distribution.step
        return integer_range(distribution.low, distribution.high, log=distribution.log, step=step)
    if is_a(distribution, "CategoricalDistribution"):
        return choice(distribution.choices)
    raise no_counterpart(distribution, "give FloatDistribution, IntDistribution or CategoricalDistribution")


def from_ray(param_space: Mapping[str, Any]) -> SearchSpace:
    """Convert a Ray Tune ``param_space``: uniform, loguniform, randint, choice, their kin, grid_search, constants.

    Ray excludes the upper end of an integer range that is not quantised; it is left out here as well.

    Raises
    ------
    SpaceError
        For normal distributions, ``sample_from`` functions, and nested spaces.
    """
    return convert_each(param_space, _from_ray)


def _from_ray(entry: Any) -> Entry:
    if isinstance(entry, Mapping):
        table = cast("Mapping[str, Any]", entry)
        if set(table) == {"grid_search"}:
            return choice(table["grid_search"])
        raise SpaceError(
            "nested spaces are not supported: give each inner entry a name of its own at the top"
        )
    if not is_a(entry, "Domain"):
        return as_config_value(entry)
    if is_a(entry, "Float", "Integer"):
        return sampled_range(entry, upper_included=False)
    if is_a(entry, "Categorical"):
        return choice(entry.categories)
    raise no_counterpart(entry, "compute the value in the script")


def from_syne_tune(config_space: Mapping[str, Any]) -> SearchSpace:
    """Convert a Syne Tune ``config_space``: uniform, randint, choice, ordinal, finrange, their kin, and constants.

    Raises
    ------
    SpaceError
        For normal distributions and domains of the user's own.
    """
    return convert_each(config_space, _from_syne_tune)


def _from_syne_tune(entry: Any) -> Entry:
    if not is_a(entry, "Domain"):
        return as_config_value(entry)
    if is_a(entry, "Float", "Integer"):
        return sampled_range(entry, upper_included=True)
    if is_a(entry, "FiniteRange"):
        if entry.size == 1:
            return as_config_value(entry.lower)
        return FiniteRange(entry.lower, entry.upper, entry.size, log=entry.log_scale, integer=entry.cast_int)
    if is_a(entry, "Ordinal") and len(entry.categories) > 1:
        return Ordinal(entry.categories, kind=_kind(entry))
    if is_a(entry, "Categorical"):
        return choice(entry.categories)
    raise no_counterpart(entry, "use a uniform, integer, choice, ordinal or finite range")


def _kind(ordinal: Any) -> OrdinalKind:
    if not is_a(ordinal, "OrdinalNearestNeighbor"):
        return "equal"
    return "nearest-log" if ordinal.log_scale else "nearest"


_JSON_SCALES: Final[Mapping[str, Mapping[str, bool]]] = {
    "Uniform": {},
    "LogUniform": {"log": True},
    "ReverseLogUniform": {"reverse_log": True},
}


def from_syne_tune_json(config_space: Mapping[str, Any]) -> SearchSpace:
    """Convert a Syne Tune ``config_space`` from the JSON data of its ``config_space_to_json_dict``, as its metadata hold it.

    Raises
    ------
    SpaceError
        For normal distributions and domains of the user's own, and for data of another form.
    """
    return convert_each(config_space, _from_syne_tune_json)


def _from_syne_tune_json(entry: Any) -> Entry:
    if not isinstance(entry, Mapping):
        return as_config_value(entry)
    data = cast("Mapping[str, Any]", entry)
    kind, sampler = data.get("domain_cls"), data.get("sampler_cls") or "Uniform"
    try:
        of: Mapping[str, Any] = data["domain_kwargs"]
        if kind in {"Float", "Integer"}:
            make = float_range if kind == "Float" else integer_range
            return make(of["lower"], of["upper"], **_JSON_SCALES[sampler])
        if kind == "FiniteRange":
            if of["size"] == 1:
                return as_config_value(of["lower"])
            log, integer = bool(of.get("log_scale")), bool(of.get("cast_int"))
            return FiniteRange(of["lower"], of["upper"], of["size"], log=log, integer=integer)
        if kind in {"Ordinal", "OrdinalNearestNeighbor"} and len(of["categories"]) > 1:
            near: OrdinalKind = "nearest-log" if of.get("log_scale") else "nearest"
            return Ordinal(of["categories"], kind="equal" if kind == "Ordinal" else near)
        if kind in {"Categorical", "Ordinal", "OrdinalNearestNeighbor"}:
            return choice(of["categories"])
    except (LookupError, TypeError):
        pass
    raise SpaceError(
        f"{kind} with {sampler} has no counterpart: use a range, choice, ordinal or finite range"
    )
