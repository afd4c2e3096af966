"""ConfigSpace's ConfigurationSpace."""

from __future__ import annotations

from typing import Any

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
from tunewright.space.search_space import SearchSpace


def from_configspace(space: Any) -> SearchSpace:
    """Convert a ``ConfigSpace.ConfigurationSpace``; its default values are kept.

    Raises
    ------
    SpaceError
        If the space has conditions or forbidden clauses, or a hyperparameter is neither uniform, categorical (without
        weights), ordinal nor constant.
    """
    if not is_a(space, "ConfigurationSpace"):
        raise no_counterpart(space, "give a ConfigSpace.ConfigurationSpace")
    n_conditions, n_forbidden = len(space.conditions), len(space.forbidden_clauses)
    if n_conditions or n_forbidden:
        raise SpaceError(
            f"the ConfigurationSpace has {n_conditions} conditions and {n_forbidden} forbidden clauses, which are not "
            "supported: remove them, and let the script ignore or refuse such configurations"
        )
    return convert_each({parameter.name: parameter for parameter in space.values()}, _convert)


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
