"""Random search: independent draws, none twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.searchers.initial import initial_configs
from tunewright.seeding import Stream, generator
from tunewright.space import SearchSpace
from tunewright.trial import Suggestion
from tunewright.types import Config

_DRAWS: Final = 64
"""Draws that may collide with earlier trials before the rest of a finite space is listed."""


@final
class RandomSearcher(Searcher):
    """Draw each configuration from the space's own distribution, independently of all results.

    A configuration that was tried is drawn anew. Once a finite space is nearly exhausted, the choice is uniform among
    what is left; when nothing is, :meth:`suggest` gives None. A draw is a function of the seed and the number of
    trials begun, so that methods with the same seed try the same configurations.

    Parameters
    ----------
    space
        What to draw from.
    seed
        The experiment's seed, >= 0.
    points_to_evaluate
        Configurations that come first, as in :func:`~tunewright.searchers.initial.initial_configs`.

    Raises
    ------
    SpaceError
        Where one of ``points_to_evaluate`` does not fit the space.
    """

    def __init__(
        self, space: SearchSpace, *, seed: int, points_to_evaluate: Sequence[Config] | None = None
    ) -> None:
        self._space = space
        self._seed = seed
        self._initial = initial_configs(space, points_to_evaluate)

    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:  # noqa: ARG002
        """The next initial point, else a new draw; None when every configuration was tried."""
        n_trials = history.n_trials
        if n_trials < len(self._initial):
            return Suggestion(config=self._initial[n_trials])
        rng = generator(self._seed, Stream.CONFIG, n_trials)
        is_finite = self._space.size is not None
        n_draws = 0
        while not is_finite or n_draws < _DRAWS:
            config = self._space.sample(rng)
            if not history.contains(config):
                return Suggestion(config=config)
            n_draws += 1
        left = [config for config in self._space.enumerate() if not history.contains(config)]
        return Suggestion(config=left[int(rng.integers(len(left)))]) if left else None
