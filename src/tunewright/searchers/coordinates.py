"""One coordinate per hyperparameter: what methods compute with that add and subtract configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from tunewright.space import Categorical, Ordinal, SearchSpace
from tunewright.space.domain import Domain
from tunewright.types import Config, ConfigValue


@final
class Coordinates:
    """A space's configurations as points of [0, 1]^d, d being the number of its hyperparameters.

    Listed values lie in their order, each in the middle of an equal part; ranges lie along their scale. (The unit cube
    of :class:`~tunewright.space.SearchSpace` is another one: it has a column for each value of a category.)

    Parameters
    ----------
    space
        Whose configurations.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._constants = dict(space.constants)
        self._names = tuple(space)
        self._axes = [(name, _Axis(domain)) for name, domain in space.domains.items()]

    def __len__(self) -> int:
        return len(self._axes)

    def encode(self, config: Config) -> list[float]:
        """The point of a legal configuration; what is not active lies at its default."""
        if self._space.has_conditions:
            config = self._space.filled(config)
        return [axis.encode(config[name]) for name, axis in self._axes]

    def decode(self, point: Sequence[float]) -> dict[str, ConfigValue]:
        """The configuration at a point; numbers outside [0, 1] count as the nearer end."""
        return self._space.active(self.values(point))

    def values(self, point: Sequence[float]) -> dict[str, ConfigValue]:
        """A value for every name at a point, also for those that are not active there."""
        values = self._constants | {
            name: axis.decode(float(u)) for (name, axis), u in zip(self._axes, point, strict=True)
        }
        return {name: values[name] for name in self._names}


@final
class _Axis:
    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        is_list = isinstance(domain, Categorical | Ordinal)
        self._values = [domain.at(index) for index in range(domain.size or 0)] if is_list else []

    def encode(self, value: ConfigValue) -> float:
        if self._values:
            return (self._values.index(value) + 0.5) / len(self._values)
        return self._domain.encode(value)[0]

    def decode(self, u: float) -> ConfigValue:
        n_values = len(self._values)
        return (
            self._values[min(max(int(u * n_values), 0), n_values - 1)]
            if n_values
            else self._domain.decode([u])
        )
