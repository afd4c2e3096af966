"""Random search: independent draws, none twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.searchers.initial import initial_configs
from tunewright.searchers.unseen import draw_unseen
from tunewright.seeding import Stream, generator
from tunewright.space import SearchSpace
from tunewright.trial import Suggestion
from tunewright.types import Config


@final
class RandomSearcher(Searcher):
    """Draw each configuration from the space's own distribution, independently of all results.

    No configuration comes twice; once all of a finite space were tried, :meth:`suggest` gives None. A draw is a function of the seed and the number of
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
        self._everything = None if space.size is None else space.enumerate()

    @property
    def n_initial(self) -> int:
        """How many configurations come before the first draw."""
        return len(self._initial)

    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:  # noqa: ARG002
        """The next initial point, else a new draw; None when every configuration was tried."""
        n_trials = history.n_trials
        if n_trials < len(self._initial):
            return Suggestion(config=self._initial[n_trials])
        rng = generator(self._seed, Stream.CONFIG, n_trials)
        config = draw_unseen(history, lambda: self._space.sample(rng), self._everything, rng)
        return None if config is None else Suggestion(config=config)
