"""Evaluations of earlier experiments, as configurations of the space that is searched now."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

from tunewright.exceptions import SettingsError
from tunewright.types import Config, Json


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is known of one benchmark: each trial with its newest result."""

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
    """All that is known from before; at least one task with a trial.

    Raises
    ------
    SettingsError
        There is none.
    """

    sources: tuple[str, ...]
    """What the user named."""
    tasks: tuple[Task, ...]
    notices: tuple[str, ...] = field(default=(), compare=False)
    """What had to be changed or left out, in lines for the user."""

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
        """Equal for equal evaluations, whatever the sources are called."""
        return hashlib.sha256(json.dumps(self.to_json()["tasks"], sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Json]:
        """What :meth:`from_json` reads."""
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
