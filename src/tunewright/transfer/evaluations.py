"""Evaluations of earlier experiments, mapped to the space that is searched now."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from tunewright.exceptions import SettingsError, SpaceError
from tunewright.space import Categorical, Float, Integer, SearchSpace
from tunewright.space.checks import as_float
from tunewright.space.domain import Domain
from tunewright.types import Config, ConfigValue, Json


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Evaluations of one benchmark: each trial with its newest result."""

    name: str
    configs: tuple[Config, ...]
    """Full configurations of the new space; one may occur twice."""
    losses: tuple[float, ...]
    """Finite, lower is better. Losses of two tasks cannot be compared, their ranks can."""

    def best(self, n: int) -> list[Config]:
        """The ``n`` best configurations, each once, best first; equal ones in the order in which they were tried."""
        order = sorted(range(len(self.losses)), key=self.losses.__getitem__)
        found: dict[frozenset[tuple[str, object]], Config] = {}
        for index in order:
            found.setdefault(frozenset(self.configs[index].items()), self.configs[index])
            if len(found) == n:
                break
        return list(found.values())


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TransferEvaluations:
    """Evaluations of earlier experiments; at least one task with a trial.

    Raises
    ------
    SettingsError
        There is none.
    """

    sources: tuple[str, ...]
    """Names given by the user."""
    tasks: tuple[Task, ...]
    notices: tuple[str, ...] = field(default=(), compare=False)
    """Changes and omissions of the mapping, one line each, for the user."""

    def __post_init__(self) -> None:
        if not any(task.configs for task in self.tasks):
            raise SettingsError(
                f"{', '.join(self.sources)}: no trial there has a finite result within this search space"
            )

    @property
    def n_evaluations(self) -> int:
        """Trials of all tasks."""
        return sum(len(task.configs) for task in self.tasks)

    @property
    def digest(self) -> str:
        """SHA-256 of the evaluations, independent of the names of the sources."""
        return hashlib.sha256(json.dumps(self.to_json()["tasks"], sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Json]:
        """Return the data that :meth:`from_json` reads."""
        tasks: Json = [
            {
                "name": task.name,
                "configs": [dict(config) for config in task.configs],
                "losses": list(task.losses),
            }
            for task in self.tasks
        ]
        return {"sources": list(self.sources), "tasks": tasks}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> TransferEvaluations:
        """The inverse of :meth:`to_json`.

        Raises
        ------
        SettingsError
            The data are no evaluations.
        """
        try:
            stored: Sequence[Mapping[str, Any]] = data["tasks"]
            tasks = [
                Task(name=task["name"], configs=tuple(task["configs"]), losses=tuple(task["losses"]))
                for task in stored
            ]
            return TransferEvaluations(sources=tuple(data["sources"]), tasks=tuple(tasks))
        except (KeyError, TypeError) as error:
            raise SettingsError(f"The stored evaluations cannot be read: {error!r}") from None


@final
class SpaceMapping:
    """Maps earlier configurations to a space, and records its changes.

    Of a configuration those hyperparameters count that the space tunes. A number between two legal ones becomes the
    nearer one. A configuration with a value outside of a domain, or that breaks a relation, is left out. A
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
        self._broken: Counter[str] = Counter()

    def map(self, config: Config) -> dict[str, ConfigValue] | None:
        """Return the configuration in the space; None if it lies outside."""
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
        if not self._space.allows(mapped):
            self._broken[", ".join(self._space.constraints)] += 1
            return None
        for name in self._space.domains:
            self._lacking[name] += name in mapped and name not in values
        return mapped

    def notices(self) -> list[str]:
        """Changes and omissions, one line for each kind."""
        kinds = (
            ("left out, as outside of the domain", self._outside),
            ("left out, as a constraint is broken", self._broken),
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
