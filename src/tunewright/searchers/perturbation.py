"""Perturbed configurations: a step away from one that does well."""

from __future__ import annotations

from typing import Final

import numpy as np

from tunewright.space import Categorical, Float, Integer, SearchSpace
from tunewright.space.domain import Domain
from tunewright.types import Config, ConfigValue

_FACTORS: Final = (0.8, 1.2)


def perturbed(
    space: SearchSpace, config: Config, resample_probability: float, rng: np.random.Generator
) -> dict[str, ConfigValue]:
    """Change every hyperparameter a little, or draw it anew (Jaderberg et al. 2017, section 4.1.1: "explore").

    A number is multiplied by 0.8 or 1.2 and stays in its range; where that would leave a whole number or a step as it
    is, it moves to its neighbour. A value of a list in an order moves to a neighbour, a category stays. Instead, each is
    drawn anew with the given probability. What was not active and becomes so begins at its default.

    Parameters
    ----------
    space
        Says what is legal.
    config
        The configuration to start from.
    resample_probability
        In [0, 1].
    rng
        Draws.
    """
    config = space.filled(config)
    changed = dict(config)
    for name, domain in space.domains.items():
        if rng.random() < resample_probability:
            changed[name] = domain.quantile(float(rng.random()))
        else:
            changed[name] = _step(domain, config[name], is_up=bool(rng.random() < 0.5))
    return space.active(changed)


def _step(domain: Domain, value: ConfigValue, *, is_up: bool) -> ConfigValue:
    if isinstance(domain, Categorical):
        return value
    if isinstance(domain, Float | Integer):
        number = float(value)
        scaled = min(max(number * _FACTORS[is_up], domain.low), domain.high)
        nearest = domain.decode(domain.encode(scaled))
        if domain.size is None or nearest != value:
            return nearest
        size = domain.step or 1
        away = min(max(number + (size if is_up else -size), domain.low), domain.high)
        return domain.decode(domain.encode(away))
    values = [domain.at(index) for index in range(domain.size or 0)]
    index = values.index(value) + (1 if is_up else -1)
    return values[min(max(index, 0), len(values) - 1)]
