"""Functions to minimise, with their spaces as plain data, so that every library reads the same ones. The minimum of each is 0.

A domain is ("float" | "int", low, high, is_logarithmic) or ("category", values). A condition names a parent and
the values of it for which the hyperparameter exists.
"""

# pyright: basic
from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final


@dataclass(frozen=True)
class Function:
    """A function, its domains by name, and the conditions under which some of them exist."""

    value: Callable[[Mapping[str, Any]], float]
    domains: Mapping[str, tuple[Any, ...]]
    conditions: Mapping[str, tuple[str, tuple[Any, ...]]] = field(default_factory=dict)


def _vector(config: Mapping[str, Any], n: int) -> list[float]:
    return [config[f"x{i}"] for i in range(n)]


def _cube(n: int, low: float, high: float) -> dict[str, tuple[Any, ...]]:
    return {f"x{i}": ("float", low, high, False) for i in range(n)}


def _branin(config: Mapping[str, Any]) -> float:
    """Dixon and Szego 1978."""
    x, y = _vector(config, 2)
    bent = y - 5.1 / (4 * math.pi**2) * x**2 + 5 / math.pi * x - 6
    return bent**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.39788735772973816


_HARTMANN_A: Final = (
    (10, 3, 17, 3.5, 1.7, 8),
    (0.05, 10, 17, 0.1, 8, 14),
    (3, 3.5, 1.7, 10, 17, 8),
    (17, 8, 0.05, 10, 0.1, 14),
)
_HARTMANN_P: Final = (
    (0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886),
    (0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991),
    (0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650),
    (0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381),
)


def _hartmann(config: Mapping[str, Any]) -> float:
    """Hartmann 1972, in six dimensions."""
    x = _vector(config, 6)
    total = 0.0
    for height, row, peak in zip((1.0, 1.2, 3.0, 3.2), _HARTMANN_A, _HARTMANN_P, strict=True):
        total += height * math.exp(-sum(a * (u - p) ** 2 for a, u, p in zip(row, x, peak, strict=True)))
    return 3.322368011415515 - total


def _ackley(config: Mapping[str, Any]) -> float:
    """Ackley 1987, in ten dimensions, with its minimum off the middle."""
    x = [u - 3.0 + 0.5 * i for i, u in enumerate(_vector(config, 10))]
    root = math.sqrt(sum(u**2 for u in x) / 10)
    waves = sum(math.cos(2 * math.pi * u) for u in x) / 10
    return 20 + math.e - 20 * math.exp(-0.2 * root) - math.exp(waves)


def _ackley40(config: Mapping[str, Any]) -> float:
    """Ackley 1987, in 40 dimensions, on the domain of Eriksson et al., NeurIPS 2019."""
    x = _vector(config, 40)
    root = math.sqrt(sum(u**2 for u in x) / 40)
    return 20 + math.e - 20 * math.exp(-0.2 * root) - math.exp(sum(math.cos(2 * math.pi * u) for u in x) / 40)


def _rastrigin40(config: Mapping[str, Any]) -> float:
    """Rastrigin 1974, in 40 dimensions."""
    return sum(u**2 - 10 * math.cos(2 * math.pi * u) + 10 for u in _vector(config, 40))


def _levy(config: Mapping[str, Any]) -> float:
    """Levy and Montalvo 1985, in five dimensions."""
    w = [1 + (u - 1) / 4 for u in _vector(config, 5)]
    middle = sum((u - 1) ** 2 * (1 + 10 * math.sin(math.pi * u + 1) ** 2) for u in w[:-1])
    return (
        math.sin(math.pi * w[0]) ** 2 + middle + (w[-1] - 1) ** 2 * (1 + math.sin(2 * math.pi * w[-1]) ** 2)
    )


def _rosenbrock(config: Mapping[str, Any]) -> float:
    """Rosenbrock 1960, in four dimensions; its logarithm, as losses rarely span five orders of magnitude."""
    x = _vector(config, 4)
    return math.log1p(sum(100 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(x)))


def _griewank(config: Mapping[str, Any]) -> float:
    """Griewank 1981, in eight dimensions, with its minimum off the middle."""
    x = [u - 20.0 + 5.0 * i for i, u in enumerate(_vector(config, 8))]
    waves = math.prod(math.cos(u / math.sqrt(i + 1)) for i, u in enumerate(x))
    return 1 + sum(u**2 for u in x) / 4000 - waves


def _table(name: str, n: int) -> dict[str, float]:
    """Numbers from 0 to 1 for categories, in no order."""
    places = [i / (n - 1) for i in range(n)]
    random.Random(name).shuffle(places)
    return {f"{name}{i}": place for i, place in enumerate(places)}


def _network(config: Mapping[str, Any]) -> float:
    """A mixed space like that of a network: rates, sizes, a category that shifts the best rate, and one that does not matter."""
    rate = (
        math.log10(config["rate"])
        + 3.0
        - {"sgd": 1.5, "adam": 0.0, "rms": 0.4, "ftrl": -0.5}[config["optimizer"]]
    )
    units = math.log2(config["units"]) - 7.5
    layers = config["layers"] - 4
    slack = {"sgd": 0.0, "adam": 0.1, "rms": 0.3, "ftrl": 0.6}[config["optimizer"]]
    return (
        slack
        + rate**2
        + 0.1 * units**2
        + 0.05 * layers**2
        + 0.3 * (config["dropout"] - 0.2) ** 2
        + 0.05 * abs(rate * units)
    )


_KINDS: Final = _table("kind", 6)


def _choices(config: Mapping[str, Any]) -> float:
    """A mixed space of two categories that depend on each other, and four numbers."""
    first, second = _KINDS[config["a"]], _KINDS[config["b"]]
    numbers = [
        config["u"] - 0.2 - 0.5 * first,
        config["v"] - 0.8 + 0.3 * second,
        math.log10(config["w"]) + 2.0,
        (config["n"] - 7) / 10,
    ]
    return abs(first - second) + 0.4 * first + sum(u**2 for u in numbers)


_STEPS: Final = _table("step", 50)
_LAYERS: Final = _table("layer", 50)
_RULES: Final = _table("rule", 50)
_SHIFTS: Final = {name: 2 * place - 1 for name, place in _table("step", 50).items()}


def _pipeline(config: Mapping[str, Any]) -> float:
    """A preprocessing step of 50, then one of three models, each with its own hyperparameters; two of them have a category of 50."""
    base = _STEPS[config["step"]]
    if config["model"] == "network":
        rate = math.log10(config["rate"]) + 2.5 - _SHIFTS[config["step"]]
        return (
            0.5 * base
            + 0.6 * _LAYERS[config["layer"]]
            + 0.3 * rate**2
            + 0.05 * (math.log2(config["units"]) - 7) ** 2
        )
    if config["model"] == "trees":
        depth, shrinkage = config["depth"] - 8, math.log10(config["shrinkage"]) + 1.0
        return 0.15 + 0.4 * base + 0.5 * _RULES[config["rule"]] + 0.01 * depth**2 + 0.2 * shrinkage**2
    cost, width = math.log10(config["cost"]) - 1.0, math.log10(config["width"]) + 2.0
    return 0.3 + 0.3 * base + 0.1 * cost**2 + 0.2 * width**2 + 0.1 * abs(cost + width)


_PIPELINE: Final[dict[str, tuple[Any, ...]]] = {
    "step": ("category", tuple(_STEPS)),
    "model": ("category", ("kernel", "trees", "network")),
    "layer": ("category", tuple(_LAYERS)),
    "rate": ("float", 1e-5, 1.0, True),
    "units": ("int", 8, 1024, True),
    "rule": ("category", tuple(_RULES)),
    "depth": ("int", 1, 20, False),
    "shrinkage": ("float", 1e-3, 1.0, True),
    "cost": ("float", 1e-3, 1e3, True),
    "width": ("float", 1e-5, 1e1, True),
}
_NETWORK: Final[dict[str, tuple[Any, ...]]] = {
    "optimizer": ("category", ("ftrl", "rms", "adam", "sgd")),
    "rate": ("float", 1e-6, 1.0, True),
    "units": ("int", 8, 1024, True),
    "layers": ("int", 1, 10, False),
    "dropout": ("float", 0.0, 0.9, False),
}
_CHOICES: Final[dict[str, tuple[Any, ...]]] = {
    "a": ("category", tuple(_KINDS)),
    "b": ("category", tuple(_KINDS)),
    "u": ("float", 0.0, 1.0, False),
    "v": ("float", 0.0, 1.0, False),
    "w": ("float", 1e-4, 1.0, True),
    "n": ("int", 1, 16, False),
}

FUNCTIONS: Final[dict[str, Function]] = {
    "branin": Function(_branin, {"x0": ("float", -5.0, 10.0, False), "x1": ("float", 0.0, 15.0, False)}),
    "hartmann": Function(_hartmann, _cube(6, 0.0, 1.0)),
    "ackley": Function(_ackley, _cube(10, -10.0, 15.0)),
    "network": Function(_network, _NETWORK),
    "pipeline": Function(
        _pipeline,
        _PIPELINE,
        {
            **dict.fromkeys(("layer", "rate", "units"), ("model", ("network",))),
            **dict.fromkeys(("rule", "depth", "shrinkage"), ("model", ("trees",))),
            **dict.fromkeys(("cost", "width"), ("model", ("kernel",))),
        },
    ),
    "ackley40": Function(_ackley40, _cube(40, -5.0, 10.0)),
    "rastrigin40": Function(_rastrigin40, _cube(40, -5.0, 10.0)),
    "levy": Function(_levy, _cube(5, -10.0, 10.0)),
    "rosenbrock": Function(_rosenbrock, _cube(4, -5.0, 10.0)),
    "griewank": Function(_griewank, _cube(8, -50.0, 50.0)),
    "choices": Function(_choices, _CHOICES),
}
"""The last four chose settings, the others judge."""
