"""What simulated runs train: a Python function, or recorded curves."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias, final

from typing_extensions import override

from tunewright.blackbox.tables.blackbox import Array, Blackbox
from tunewright.seeding import Stream, generator
from tunewright.types import Config

TrainingFunction: TypeAlias = Callable[[Config, int], tuple[Mapping[str, Any], float]]
"""``(config, resource) -> (metrics, seconds)``: what one unit of training reports, and how long it takes.

The same arguments must always give the same answer. StopIteration is the script's own end, before ``max_resource``;
any other exception is its crash.
"""


class Step(NamedTuple):
    """One report of a script, and the training before it."""

    resource: int
    """The resource at which it reports."""
    metrics: Mapping[str, Any]
    seconds: float
    """From the report before, or from the start of training."""


class Training(ABC):
    """How one configuration trains. The same resource always gives the same step."""

    @abstractmethod
    def after(self, resource: int) -> Step | None:
        """The step that follows ``resource`` (0: the first one); None where the script comes to its own end."""


class Workload(ABC):
    """What the trials of a simulated backend train."""

    @abstractmethod
    def training(self, trial_id: int, config: Config) -> Training:
        """The training of one trial; the same arguments always give the same one. An exception is its crash."""


@final
class FunctionWorkload(Workload):
    """Trials train by a Python function, one unit of resource a step."""

    def __init__(self, function: TrainingFunction) -> None:
        self._function = function

    @override
    def training(self, trial_id: int, config: Config) -> Training:
        """The function with its configuration; ``trial_id`` changes nothing."""
        return _FunctionTraining(self._function, config)


@final
class BlackboxWorkload(Workload):
    """Trials train as a blackbox says.

    Parameters
    ----------
    blackbox
        Where the curves come from.
    seed
        The experiment's seed, >= 0: each trial follows one of the blackbox's recorded seeds, drawn by its id.
    blackbox_seed
        The recorded seed that all trials follow instead; None: drawn.
    """

    def __init__(self, blackbox: Blackbox, *, seed: int, blackbox_seed: int | None = None) -> None:
        self._blackbox = blackbox
        self._seed = seed
        self._blackbox_seed = blackbox_seed

    @override
    def training(self, trial_id: int, config: Config) -> Training:
        """The curve of a configuration.

        Raises
        ------
        TableError
            The blackbox holds no such configuration.
        """
        blackbox = self._blackbox
        return _CurveTraining(blackbox, blackbox.curve(config, self._recorded_seed(trial_id)))

    def _recorded_seed(self, trial_id: int) -> int:
        if self._blackbox_seed is not None or self._blackbox.n_seeds == 1:
            return self._blackbox_seed or 0
        return int(generator(self._seed, Stream.TABLE, trial_id).integers(self._blackbox.n_seeds))


@final
class _FunctionTraining(Training):
    __slots__ = ("_config", "_function")

    def __init__(self, function: TrainingFunction, config: Config) -> None:
        self._function = function
        self._config = config

    @override
    def after(self, resource: int) -> Step | None:
        try:
            metrics, seconds = self._function(self._config, resource + 1)
        except StopIteration:
            return None
        return Step(resource + 1, metrics, seconds)


@final
class _CurveTraining(Training):
    __slots__ = ("_curve", "_elapsed_index", "_levels", "_names")

    def __init__(self, blackbox: Blackbox, curve: Array) -> None:
        self._curve = curve
        self._levels = blackbox.levels
        self._names = blackbox.metrics
        self._elapsed_index = blackbox.elapsed_index

    @override
    def after(self, resource: int) -> Step | None:
        index = bisect_right(self._levels, resource)
        if index == len(self._levels):
            return None
        row = self._curve[index].tolist()
        elapsed = row[self._elapsed_index]
        if math.isnan(elapsed):  # the curve has ended
            return None
        before = self._curve.item(index - 1, self._elapsed_index) if index else 0.0
        return Step(self._levels[index], dict(zip(self._names, row, strict=True)), elapsed - before)
