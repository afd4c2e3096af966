"""Blackboxes from Python functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias, final

import numpy as np

from tunewright.blackbox.blackbox import Array, Blackbox, Description
from tunewright.exceptions import TableError
from tunewright.types import Config

Evaluation: TypeAlias = Callable[[Config, int, int], Mapping[str, float]]
"""``(config, resource, seed) -> metrics``, the elapsed seconds since the start of training among them."""


@final
class FunctionBlackbox(Blackbox):
    """Asks a function for every level of a curve.

    Parameters
    ----------
    description
        What the function gives.
    function
        Must be deterministic.
    """

    def __init__(self, description: Description, function: Evaluation) -> None:
        super().__init__(description)
        self._function = function

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
