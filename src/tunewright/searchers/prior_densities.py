"""Distributions over a space around good values: those of a user's priors, or around an incumbent."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Final, final

import numpy as np
from scipy.special import ndtr, ndtri
from typing_extensions import override

from tunewright.models.arrays import Array
from tunewright.space import Categorical, Ordinal, Prior, SearchSpace
from tunewright.space.domain import Domain
from tunewright.types import Config, ConfigValue

_SHARPEST: Final = 1e-3
"""Smallest deviation, so that densities stay finite."""


class _Axis(ABC):
    """One hyperparameter."""

    @abstractmethod
    def log_density(self, u: Array) -> tuple[Array, Array]:
        """(m,) relative to the uniform distribution, and its derivative (m, w), at columns (m, w)."""

    @abstractmethod
    def quantile(self, u: float) -> ConfigValue:
        """The value at a uniform number of [0, 1]."""


@final
class _Bell(_Axis):
    """A normal distribution on the domain's scale, cut off at 0 and 1."""

    def __init__(self, domain: Domain, centre: float, deviation: float) -> None:
        self._domain = domain
        self._centre = centre
        self._deviation = max(deviation, _SHARPEST)
        self._low = float(ndtr(-centre / self._deviation))
        self._mass = float(ndtr((1.0 - centre) / self._deviation)) - self._low
        self._log_scale = -math.log(self._deviation * math.sqrt(2 * math.pi) * self._mass)

    @override
    def log_density(self, u: Array) -> tuple[Array, Array]:
        z = (u - self._centre) / self._deviation
        return self._log_scale - 0.5 * z[:, 0] ** 2, -z / self._deviation

    @override
    def quantile(self, u: float) -> ConfigValue:
        z = float(ndtri(self._low + u * self._mass))
        place = min(max(self._centre + z * self._deviation, 0.0), 1.0)
        return self._domain.decode([place])


@final
class _Listed(_Axis):
    """Weights of listed values."""

    def __init__(self, domain: Domain, weights: Sequence[float]) -> None:
        shares = np.array(weights) / math.fsum(weights)
        self._values = [domain.at(index) for index in range(len(weights))]
        self._places = np.array([domain.encode(value) for value in self._values])
        self._logs = np.log(shares * len(shares))
        self._ends = np.cumsum(shares)

    @override
    def log_density(self, u: Array) -> tuple[Array, Array]:
        nearest = np.argmin(((u[:, np.newaxis] - self._places) ** 2).sum(axis=2), axis=1)
        return self._logs[nearest], np.zeros_like(u)

    @override
    def quantile(self, u: float) -> ConfigValue:
        return self._values[min(int(np.searchsorted(self._ends, u, side="right")), len(self._values) - 1)]


@final
class PriorDensity:
    """Independent distributions of a space's hyperparameters; those without a prior or not active are uniform.

    Densities are relative to the uniform distribution of the unit cube, so that those of two densities can be compared.

    Parameters
    ----------
    space
        Legal values.
    priors
        By name.
    """

    def __init__(self, space: SearchSpace, priors: Mapping[str, Prior]) -> None:
        self._space = space
        self._axes: list[tuple[str, slice, _Axis]] = []
        start = 0
        for name, domain in space.domains.items():
            if name in priors:
                self._axes.append((name, slice(start, start + domain.width), _axis(domain, priors[name])))
            start += domain.width

    def log_density(self, points: Array) -> tuple[Array, Array]:
        """The logarithm (m,) at points (m, d) of the cube, and its gradient (m, d) along continuous columns."""
        total, gradient = np.zeros(len(points)), np.zeros_like(points)
        configs = self._space.decode(points) if self._space.has_conditions else []
        for name, columns, axis in self._axes:
            value, slope = axis.log_density(points[:, columns])
            if configs:
                is_active = np.array([name in config for config in configs])
                value, slope = value * is_active, slope * is_active[:, np.newaxis]
            total += value
            gradient[:, columns] = slope
        return total, gradient

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """``n`` points (n, d) of the cube."""
        configs: list[dict[str, ConfigValue]] = []
        for _ in range(n):
            config = self._space.filled(self._space.sample(rng))
            for name, _, axis in self._axes:
                config[name] = axis.quantile(float(rng.random()))
            configs.append(self._space.active(config))
        return self._space.encode(configs)


def users_density(space: SearchSpace) -> PriorDensity:
    """Return the density of the priors of a space's domains."""
    given = {name: domain.prior for name, domain in space.domains.items()}
    return PriorDensity(space, {name: prior for name, prior in given.items() if prior is not None})


def density_around(space: SearchSpace, config: Config, spread: float) -> PriorDensity:
    """Return a density around a configuration: a prior of this spread around each of its values."""
    return PriorDensity(
        space, {name: Prior(best=config[name], spread=spread) for name in space.names if name in config}
    )


def _axis(domain: Domain, prior: Prior) -> _Axis:
    if prior.weights is not None:
        return _Listed(domain, prior.weights)
    best = domain.cast(prior.best)
    if isinstance(domain, Categorical):
        rest = min(prior.deviation / (domain.size - 1), 1.0 / domain.size)
        weights = [1.0 - rest * (domain.size - 1) if value == best else rest for value in domain.values]
        return _Listed(domain, weights)
    if isinstance(domain, Ordinal) or (domain.size is not None and domain.size <= _MOST_LISTED):
        places = np.array([domain.encode(domain.at(index))[0] for index in range(domain.size or 0)])
        z = (places - domain.encode(best)[0]) / max(prior.deviation, _SHARPEST)
        return _Listed(domain, np.exp(np.maximum(-0.5 * z**2, _LEAST_LOG)).tolist())
    return _Bell(domain, domain.encode(best)[0], prior.deviation)


_MOST_LISTED: Final = 64
_LEAST_LOG: Final = -300.0
"""Nothing is quite impossible: weights must be > 0."""
