"""Configurations that are evaluated before a searcher makes its own choices."""

from __future__ import annotations

from collections.abc import Sequence

from tunewright.space import SearchSpace
from tunewright.types import Config


def initial_configs(space: SearchSpace, points: Sequence[Config] | None) -> tuple[Config, ...]:
    """Complete a user's ``points_to_evaluate``.

    Trial number i gets the i-th of them, so that a searcher finds its place by ``history.n_trials``.

    Parameters
    ----------
    space
        Says what is legal, and the defaults of what is missing.
    points
        Full or partial configurations; None stands for one default configuration, an empty sequence for none.

    Returns
    -------
    tuple of Config
        Full configurations in the given order, each once.

    Raises
    ------
    SpaceError
        Where a point holds an unknown name or an illegal value.
    """
    unique: dict[object, Config] = {}
    for point in [{}] if points is None else points:
        config = space.complete(point)
        unique.setdefault(space.key(config), config)
    return tuple(unique.values())
