"""Blackbox: the learning curves of a training problem without the training, and blackboxes from Python functions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from tunewright.exceptions import TableError, UnknownNameError
from tunewright.space import SearchSpace
from tunewright.types import Config, Json

Array = NDArray[np.floating[Any]]
"""Numbers of single or double precision."""


class Values(StrEnum):
    """Origin of the numbers."""

    RECORDED = "recorded"
    """Measured in real training runs."""
    SURROGATE = "surrogate"
    """Predicted by a model that was fitted to recorded runs."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Content of a blackbox, and the origin of its numbers.

    Raises
    ------
    TableError
        The parts contradict each other.
    """

    name: str
    """Of the table, such as ``"fcnet"``."""
    dataset: str
    """The one of its data sets that this is, such as ``"protein_structure"``."""
    space: SearchSpace
    """The hyperparameters; entries of a configuration beyond them are passed over."""
    metrics: tuple[str, ...]
    """Metrics of each report, the elapsed time included."""
    elapsed: str
    """The metric that holds the seconds since the start of training."""
    levels: tuple[int, ...]
    """Resources at which there are reports, ascending, >= 1."""
    resource: str = "epoch"
    """Unit of the resource."""
    n_seeds: int = 1
    """Repetitions of each configuration with other random numbers."""
    values: Values = Values.RECORDED
    note: str = ""
    """Limitations of the numbers."""
    untrained: Mapping[str, float] = field(default_factory=dict[str, float])
    """Metrics before training, medians over configurations; the analysis scales regrets by them. Empty: not recorded."""
    version: int = 1
    """Of the recipe that made the stored data set."""
    digest: str = ""
    """Checksum of the stored table; empty: it was not read from the repository."""

    def __post_init__(self) -> None:
        if self.elapsed not in self.metrics:
            raise TableError(f"{self.full_name}: the elapsed time {self.elapsed!r} is not among its metrics")
        if len(set(self.metrics)) < len(self.metrics):
            raise TableError(f"{self.full_name}: two metrics have one name: {', '.join(self.metrics)}")
        if not self.levels or self.levels[0] < 1 or list(self.levels) != sorted(set(self.levels)):
            raise TableError(f"{self.full_name}: the levels must be ascending and >= 1, not {self.levels}")
        if self.n_seeds < 1:
            raise TableError(f"{self.full_name}: n_seeds must be >= 1, not {self.n_seeds}")

    @property
    def full_name(self) -> str:
        """Table and data set in one word."""
        return f"{self.name}/{self.dataset}"

    def summary(self) -> dict[str, Json]:
        """Entry in the metadata of experiments that use the blackbox."""
        return {
            "table": self.name,
            "dataset": self.dataset,
            "values": str(self.values),
            "note": self.note,
            "digest": self.digest,
        }


class Blackbox(ABC):
    """Returns the reports of a configuration; equal arguments always give equal reports."""

    def __init__(self, description: Description) -> None:
        self.description = description
        self.elapsed_index = description.metrics.index(description.elapsed)

    @property
    def space(self) -> SearchSpace:
        """The hyperparameters."""
        return self.description.space

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the columns of a curve."""
        return self.description.metrics

    @property
    def levels(self) -> tuple[int, ...]:
        """The resources of the rows of a curve."""
        return self.description.levels

    @property
    def n_seeds(self) -> int:
        """Repetitions of each configuration."""
        return self.description.n_seeds

    @abstractmethod
    def curve(self, config: Config, seed: int = 0) -> Array:
        """All reports of a configuration.

        Parameters
        ----------
        config
            A value for every hyperparameter; other entries are passed over.
        seed
            Which repetition, ``0 <= seed < n_seeds``.

        Returns
        -------
        array of shape (len(levels), len(metrics))
            From the row on in which the elapsed time is NaN there are no reports. Not to be written to.

        Raises
        ------
        TableError
            There is no answer for this configuration.
        """

    @final
    def evaluate(self, config: Config, resource: int | None = None, seed: int = 0) -> dict[str, float]:
        """Report of a configuration at one of the levels, by default the last.

        Raises
        ------
        TableError
            There is no such level, or no answer for this configuration.
        """
        level = self.levels[-1] if resource is None else resource
        if level not in self.levels:
            raise TableError(f"{self.description.full_name} has no level {level}, only {self.levels}")
        row = self.curve(config, seed)[self.levels.index(level)]
        return dict(zip(self.metrics, row.tolist(), strict=True))

    @final
    def metric_index(self, name: str) -> int:
        """The column of a metric.

        Raises
        ------
        UnknownNameError
            There is no such metric.
        """
        if name not in self.metrics:
            raise UnknownNameError(f"metric of {self.description.full_name}", name, self.metrics)
        return self.metrics.index(name)


Evaluation: TypeAlias = Callable[[Config, int, int], Mapping[str, float]]
"""``(config, resource, seed) -> metrics``, the elapsed seconds since the start of training among them."""


@final
class FunctionBlackbox(Blackbox):
    """Asks a function for every level of a curve.

    Parameters
    ----------
    description
        Metrics that the function returns.
    function
        Must be deterministic.
    """

    def __init__(self, description: Description, function: Evaluation) -> None:
        super().__init__(description)
        self._function = function

    @override
    def curve(self, config: Config, seed: int = 0) -> Array:
        """The function's values at all levels.

        Raises
        ------
        TableError
            The function leaves out one of the metrics.
        """
        reports = [self._function(config, level, seed) for level in self.levels]
        try:
            return np.array([[report[name] for name in self.metrics] for report in reports], dtype=np.float64)
        except KeyError as missing:
            raise TableError(f"The function of {self.description.full_name} gives no {missing}") from None


def from_function(description: Description, function: Evaluation) -> FunctionBlackbox:
    """A blackbox that asks ``function``; see `FunctionBlackbox`."""
    return FunctionBlackbox(description, function)
