"""Configurations of one space as those of another."""

from __future__ import annotations

from collections import Counter
from typing import final

from tunewright.exceptions import SpaceError
from tunewright.space import Categorical, Float, Integer, SearchSpace
from tunewright.space.checks import as_float
from tunewright.space.domain import Domain
from tunewright.types import Config, ConfigValue


@final
class SpaceMapping:
    """Maps earlier configurations to a space, and remembers what it had to change.

    Of a configuration those hyperparameters count that the space tunes. A number between two legal ones becomes the
    nearer one. A configuration with a value outside of a domain tells nothing about the space and is left out. A
    hyperparameter that the configuration lacks gets its default.

    Parameters
    ----------
    space
        What is searched now.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._lacking: Counter[str] = Counter()
        self._outside: Counter[str] = Counter()
        self._moved: Counter[str] = Counter()

    def map(self, config: Config) -> dict[str, ConfigValue] | None:
        """The configuration in the space; None where it has no place there."""
        values: dict[str, ConfigValue] = {}
        for name, domain in self._space.domains.items():
            if name not in config:
                continue
            value = nearest(domain, config[name])
            if value is None:
                self._outside[name] += 1
                return None
            self._moved[name] += not domain.contains(config[name])
            values[name] = value
        if not values:
            return None
        mapped = self._space.active(self._space.filled(values))
        for name in self._space.domains:
            self._lacking[name] += name in mapped and name not in values
        return mapped

    def notices(self) -> list[str]:
        """What was changed or left out, one line for each kind."""
        kinds = (
            ("left out, as outside of the domain", self._outside),
            ("moved to the nearest legal value", self._moved),
            ("not known, so the default is taken", self._lacking),
        )
        return [
            f"{text}: {', '.join(f'{name} ({n} trials)' for name, n in (+counts).items())}"
            for text, counts in kinds
            if +counts
        ]


def nearest(domain: Domain, value: object) -> ConfigValue | None:
    """The legal value that ``value`` stands for, or the nearest one between two legal ones; None outside of them."""
    try:
        return domain.cast(value)
    except SpaceError:
        pass
    if isinstance(domain, Categorical):
        return None
    try:
        number = as_float(value)
        if isinstance(domain, Float | Integer):
            is_inside = domain.low <= number <= domain.high
            return domain.decode(domain.encode(number)) if is_inside else None
        values = [domain.at(index) for index in range(domain.size or 0)]
        numbers = [as_float(legal) for legal in values]
    except SpaceError:
        return None
    if not min(numbers) <= number <= max(numbers):
        return None
    return values[min(range(len(values)), key=lambda index: abs(numbers[index] - number))]
