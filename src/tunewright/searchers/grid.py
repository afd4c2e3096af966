"""Grid search: every combination of a few values per hyperparameter, each once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.searchers.initial import initial_configs
from tunewright.searchers.unseen import draw_unseen, place
from tunewright.seeding import Stream, generator
from tunewright.space import SearchSpace
from tunewright.trial import Suggestion
from tunewright.types import Config


@final
class GridSearcher(Searcher):
    """Go through all combinations of evenly spread values, then stop.

    Categorical hyperparameters take all their values, the others at most ``n_per_domain``, evenly spread on their own
    scale, both ends included. Combinations that stand among the initial points are not repeated.

    Parameters
    ----------
    space
        What to spread the grid over.
    seed
        The experiment's seed, >= 0; orders a shuffled grid.
    shuffle
        Whether the combinations come in random order, so that a run that ends early has seen something of every
        hyperparameter. Otherwise the last hyperparameter changes fastest.
    points_to_evaluate
        Configurations that come first, as in :func:`~tunewright.searchers.initial.initial_configs`.
    n_per_domain
        Values per hyperparameter, >= 1.

    Raises
    ------
    SpaceError
        Where one of ``points_to_evaluate`` does not fit the space, or ``n_per_domain`` is below 1.
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int,
        shuffle: bool = True,
        points_to_evaluate: Sequence[Config] | None = None,
        n_per_domain: int = 5,
    ) -> None:
        self._initial = initial_configs(space, points_to_evaluate)
        self._grid = space.grid(n_per_domain)
        self._seed = seed
        self._shuffle = shuffle
        numbers = {self._grid.number(config) for config in self._initial}
        self._passed_over = sorted(number for number in numbers if number is not None)

    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:  # noqa: ARG002
        """The next initial point, else the next combination; None after the last."""
        n_trials = history.n_trials
        if n_trials < len(self._initial):
            return Suggestion(config=self._initial[n_trials])
        config = self._draw(history) if self._shuffle else self._next(n_trials - len(self._initial))
        return None if config is None else Suggestion(config=config)

    def _draw(self, history: History) -> Config | None:
        rng, grid = generator(self._seed, Stream.GRID, history.n_trials), self._grid
        return draw_unseen(history, lambda: grid.at(place(rng, grid.size)), grid, rng)

    def _next(self, number: int) -> Config | None:
        for passed_over in self._passed_over:
            if passed_over <= number:
                number += 1
        return self._grid.at(number) if number < self._grid.size else None
