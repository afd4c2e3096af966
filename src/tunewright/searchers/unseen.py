"""Drawing a configuration that no trial has yet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np

from tunewright.history import History
from tunewright.types import Config

_DRAWS: Final = 64


class Everything(Protocol):
    """Finitely many configurations by number, such as a `ConfigGrid`."""

    @property
    def size(self) -> int:
        """Number of configurations."""
        ...

    def at(self, index: int, /) -> Config:
        """The configuration number ``index``."""
        ...


def draw_unseen(
    history: History, draw: Callable[[], Config], everything: Everything | None, rng: np.random.Generator
) -> Config | None:
    """Draw until a configuration is new.

    Parameters
    ----------
    history
        Says which configurations were tried.
    draw
        Draws one; called again after a collision.
    everything
        All that ``draw`` can give; None where that is infinite. After 64 collisions the rest is found by going through
        it from a random place on, so that a few left ones among many are found at once.
    rng
        Draws that place.

    Returns
    -------
    Config or None
        None where every configuration of ``everything`` was tried.
    """
    n_draws = 0
    while everything is None or n_draws < _DRAWS:
        config = draw()
        if not history.contains(config):
            return config
        n_draws += 1
    start = place(rng, everything.size)
    for step in range(everything.size):
        config = everything.at((start + step) % everything.size)
        if not history.contains(config):
            return config
    return None


def place(rng: np.random.Generator, size: int) -> int:
    """A random number below ``size``, however large that is."""
    return int(rng.random() * size) % size
