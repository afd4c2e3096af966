from __future__ import annotations

from typing import Any

import ConfigSpace
import pytest
from optuna import distributions as od

from tunewright.exceptions import SpaceError
from tunewright.space import Categorical, FiniteRange, Float, Integer, Ordinal, SearchSpace
from tunewright.space.converters import from_configspace, from_optuna, from_ray, from_syne_tune


def test_optuna():
    space = from_optuna(
        {
            "lr": od.FloatDistribution(1e-4, 1e-1, log=True),
            "dropout": od.FloatDistribution(0.0, 0.6, step=0.1),
            "layers": od.IntDistribution(1, 4),
            "units": od.IntDistribution(4, 64, step=4),
            "batch": od.IntDistribution(8, 512, log=True),
            "act": od.CategoricalDistribution(["relu", "tanh"]),
            "seed": od.IntDistribution(7, 7),
            "scale": od.FloatDistribution(0.5, 0.5),
            "data": od.CategoricalDistribution(["digits"]),
        }
    )
    assert space == SearchSpace(
        {
            "lr": Float(1e-4, 1e-1, log=True),
            "dropout": Float(0.0, 0.6, step=0.1),
            "layers": Integer(1, 4),
            "units": Integer(4, 64, step=4),
            "batch": Integer(8, 512, log=True),
            "act": Categorical(["relu", "tanh"]),
            "seed": 7,
            "scale": 0.5,
            "data": "digits",
        }
    )


@pytest.mark.parametrize(
    ("entry", "message"),
    [(3, "x: int has no counterpart"), (od.CategoricalDistribution([None, 1]), "x: None is a NoneType")],
)
def test_optuna_errors_name_the_entry(entry, message):
    with pytest.raises(SpaceError, match=message):
        from_optuna({"x": entry})


def test_configspace():
    space = ConfigSpace.ConfigurationSpace(seed=0)
    space.add(
        ConfigSpace.UniformFloatHyperparameter("lr", 1e-4, 1e-1, log=True, default_value=0.01),
        ConfigSpace.UniformIntegerHyperparameter("units", 4, 64),
        ConfigSpace.CategoricalHyperparameter("act", ["relu", "tanh"], default_value="tanh"),
        ConfigSpace.OrdinalHyperparameter("size", ["s", "m", "l"], default_value="s"),
        ConfigSpace.OrdinalHyperparameter("only", ["one"]),
        ConfigSpace.Constant("epochs", 27),
    )
    assert from_configspace(space) == SearchSpace(
        {
            "lr": Float(1e-4, 1e-1, log=True, default=0.01),
            "units": Integer(4, 64),
            "act": Categorical(["relu", "tanh"], default="tanh"),
            "size": Ordinal(["s", "m", "l"], default="s"),
            "only": "one",
            "epochs": 27,
        }
    )


def test_configspace_conditions_become_active_if():
    space = ConfigSpace.ConfigurationSpace(
        {
            "a": [True, False],
            "n": (1, 4),
            "size": ["s", "m", "l"],
            "b": (0.0, 1.0),
            "c": (0.0, 1.0),
            "d": (1, 9),
        }
    )
    ordinal = ConfigSpace.OrdinalHyperparameter("o", ["s", "m", "l"])
    space.add(ordinal)
    space.add(ConfigSpace.EqualsCondition(space["b"], space["a"], True))
    space.add(
        ConfigSpace.AndConjunction(
            ConfigSpace.GreaterThanCondition(space["c"], space["n"], 2),
            ConfigSpace.InCondition(space["c"], space["size"], ["s", "m"]),
        )
    )
    space.add(
        ConfigSpace.OrConjunction(
            ConfigSpace.LessThanCondition(space["d"], ordinal, "m"),
            ConfigSpace.NotEqualsCondition(space["d"], ordinal, "m"),
        )
    )
    found = from_configspace(space)
    assert found.domains["b"].active_if == {"a": [True]}
    assert found.domains["c"].active_if == {"n": [3, 4], "size": ["s", "m"]}
    assert found.domains["d"].active_if == {"o": ["s", "l"]}
    for config in space.sample_configuration(50):
        found.validate(found.cast(dict(config)))


def test_configspace_conditions_that_cannot_be_listed_are_refused():
    space = ConfigSpace.ConfigurationSpace({"x": (0.0, 1.0), "a": [1, 2], "b": (0.0, 1.0), "c": (0.0, 1.0)})
    space.add(ConfigSpace.GreaterThanCondition(space["b"], space["x"], 0.5))
    with pytest.raises(SpaceError, match="would have to list all its values"):
        from_configspace(space)
    other = ConfigSpace.ConfigurationSpace({"a": [1, 2], "n": [1, 2], "b": (0.0, 1.0)})
    other.add(
        ConfigSpace.OrConjunction(
            ConfigSpace.EqualsCondition(other["b"], other["a"], 1),
            ConfigSpace.EqualsCondition(other["b"], other["n"], 1),
        )
    )
    with pytest.raises(SpaceError, match="active with one hyperparameter or with another"):
        from_configspace(other)


def test_forbidden_clauses_become_relations():
    """A draw of the plain space is legal in one form if it is in the other."""
    names: dict[str, Any] = {"a": (1, 5), "b": (1, 5), "c": ["x", "it's", "z"], "d": (0.0, 1.0)}
    plain, space = ConfigSpace.ConfigurationSpace(names, seed=0), ConfigSpace.ConfigurationSpace(names)
    space["a"].default_value, space["b"].default_value = 2, 3
    clauses = [
        ConfigSpace.ForbiddenAndConjunction(
            ConfigSpace.ForbiddenEqualsClause(space["c"], "it's"),
            ConfigSpace.ForbiddenInClause(space["a"], [1, 4]),
        ),
        ConfigSpace.ForbiddenGreaterThanRelation(space["a"], space["b"]),
        ConfigSpace.ForbiddenOrConjunction(
            ConfigSpace.ForbiddenEqualsClause(space["b"], 5),
            ConfigSpace.ForbiddenGreaterThanClause(space["d"], 0.9),
        ),
    ]
    space.add(*clauses)
    found = from_configspace(space)
    legal = [
        found.allows(dict(config)) == (not any(clause.is_forbidden_value(dict(config)) for clause in clauses))
        for config in plain.sample_configuration(200)
    ]
    assert all(legal)
    assert len({found.allows(dict(config)) for config in plain.sample_configuration(50)}) == 2


def test_a_forbidden_clause_without_a_counterpart_is_refused():
    space = ConfigSpace.ConfigurationSpace({"a": (1, 5), "b": (1, 5)})
    either = ConfigSpace.ForbiddenOrConjunction(
        ConfigSpace.ForbiddenEqualsClause(space["a"], 1), ConfigSpace.ForbiddenEqualsClause(space["b"], 1)
    )
    space.add(ConfigSpace.ForbiddenAndConjunction(either, ConfigSpace.ForbiddenEqualsClause(space["a"], 2)))
    with pytest.raises(SpaceError, match="has no counterpart"):
        from_configspace(space)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (
            ConfigSpace.NormalFloatHyperparameter("x", mu=0, sigma=1, lower=-1, upper=1),
            "x: NormalFloat.* has no counterpart",
        ),
        (ConfigSpace.CategoricalHyperparameter("x", ["a", "b"], weights=[1, 3]), "x: weights"),
    ],
)
def test_configspace_errors_name_the_hyperparameter(parameter, message):
    space = ConfigSpace.ConfigurationSpace(seed=0)
    space.add(parameter)
    with pytest.raises(SpaceError, match=message):
        from_configspace(space)
    with pytest.raises(SpaceError, match="give a ConfigSpace"):
        from_configspace({"x": parameter})


class Sampler:
    """Ray Tune and Syne Tune are no dependencies: these stand-ins have the names and attributes of their classes."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)

    def get_sampler(self):
        return self.sampler


DOMAIN = type("Domain", (Sampler,), {})
CHOICE = type("Categorical", (DOMAIN,), {})
ORDINAL = type("Ordinal", (CHOICE,), {})
UNIFORM, LOG, REVERSE, NORMAL = (
    type(name, (Sampler,), {})() for name in ("_Uniform", "_LogUniform", "_ReverseLogUniform", "_Normal")
)


def foreign(name, base=DOMAIN, **attributes):
    return type(name, (base,), {})(**attributes)


def ranged(name, lower, upper, sampler, q=None):
    if q is not None:
        sampler = foreign("Quantized", Sampler, sampler=sampler, q=q)
    return foreign(name, lower=lower, upper=upper, sampler=sampler)


def test_ray():
    space = from_ray(
        {
            "x": ranged("Float", -1.0, 1.0, UNIFORM),
            "lr": ranged("Float", 1e-4, 1e-1, LOG),
            "dropout": ranged("Float", 0.0, 0.6, UNIFORM, q=0.1),
            "layers": ranged("Integer", 1, 5, UNIFORM),
            "batch": ranged("Integer", 8, 513, LOG),
            "units": ranged("Integer", 3, 66, UNIFORM, q=4),
            "steps": ranged("Integer", 0, 10, UNIFORM, q=1),
            "one": ranged("Integer", 1, 2, UNIFORM),
            "act": CHOICE(categories=["relu", "tanh"]),
            "opt": {"grid_search": ["sgd", "adam"]},
            "epochs": 27,
        }
    )
    assert space == SearchSpace(
        {
            "x": Float(-1.0, 1.0),
            "lr": Float(1e-4, 1e-1, log=True),
            "dropout": Float(0.0, 0.6, step=0.1),
            "layers": Integer(1, 4),
            "batch": Integer(8, 512, log=True),
            "units": Integer(4, 64, step=4),
            "steps": Integer(0, 9),
            "one": 1,
            "act": Categorical(["relu", "tanh"]),
            "opt": Categorical(["sgd", "adam"]),
            "epochs": 27,
        }
    )


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (ranged("Float", None, None, NORMAL), "x: _Normal has no counterpart"),
        (ranged("Float", None, None, NORMAL, q=0.1), "x: _Normal has no counterpart"),
        (foreign("Function"), "x: Function has no counterpart here: compute the value in the script"),
        ({"inner": 1}, "x: nested spaces are not supported"),
    ],
)
def test_ray_errors_name_the_entry(entry, message):
    with pytest.raises(SpaceError, match=message):
        from_ray({"x": entry})


def test_syne_tune():
    space = from_syne_tune(
        {
            "momentum": ranged("Float", 0.5, 0.99, REVERSE),
            "layers": ranged("Integer", 1, 5, UNIFORM),
            "units": ranged("Integer", 4, 64, LOG, q=4),
            "act": CHOICE(categories=["relu", "tanh"]),
            "size": ORDINAL(categories=["s", "m", "l"]),
            "only": ORDINAL(categories=["one"]),
            "batch": foreign("OrdinalNearestNeighbor", ORDINAL, categories=[8, 16, 64], log_scale=True),
            "warmup": foreign("OrdinalNearestNeighbor", ORDINAL, categories=[0, 1, 5], log_scale=False),
            "width": foreign("FiniteRange", lower=8, upper=64, size=4, log_scale=True, cast_int=True),
            "point": foreign("FiniteRange", lower=0.5, upper=1.0, size=1, log_scale=False, cast_int=False),
            "epochs": 27,
        }
    )
    assert space == SearchSpace(
        {
            "momentum": Float(0.5, 0.99, reverse_log=True),
            "layers": Integer(1, 5),
            "units": Integer(4, 64, log=True, step=4),
            "act": Categorical(["relu", "tanh"]),
            "size": Ordinal(["s", "m", "l"]),
            "only": "one",
            "batch": Ordinal([8, 16, 64], kind="nearest-log"),
            "warmup": Ordinal([0, 1, 5], kind="nearest"),
            "width": FiniteRange(8, 64, 4, log=True, integer=True),
            "point": 0.5,
            "epochs": 27,
        }
    )
    with pytest.raises(SpaceError, match="x: Own has no counterpart"):
        from_syne_tune({"x": foreign("Own")})
