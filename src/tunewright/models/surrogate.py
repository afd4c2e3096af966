"""What an acquisition function needs to know of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

from tunewright.models.arrays import Array

Pullback: TypeAlias = Callable[[Array, Array], Array]
"""dF/dmeans (m, s) and dF/ddeviations (m,) -> dF/dpoints (m, d)."""


class Surrogate(ABC):
    """A function predicted at points, in s versions (fantasies) that share their uncertainty; lower is better."""

    @abstractmethod
    def means(self, a: Array) -> Array:
        """Means (m, s) at points (m, d)."""

    @abstractmethod
    def predict(self, a: Array) -> tuple[Array, Array]:
        """Means (m, s) and deviations (m,), > 0, at points (m, d)."""

    @abstractmethod
    def predict_with_pullback(self, a: Array) -> tuple[Array, Array, Pullback]:
        """As :meth:`predict`, and its derivative."""

    @abstractmethod
    def samples(self, a: Array, normal: Array) -> Array:
        """Joint draws (m, k) of the function of the first version at points (m, d), from standard normal numbers (m, k)."""
