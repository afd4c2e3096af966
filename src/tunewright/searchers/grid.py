"""Grid search: every combination of a few values per hyperparameter, each once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.searchers.initial import initial_configs
from tunewright.seeding import Stream, generator
from tunewright.space import SearchSpace
from tunewright.trial import Suggestion
from tunewright.types import Config, ConfigValue


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
        values = {name: domain.grid(n_per_domain) for name, domain in space.domains.items()}
        numbers = {_number(values, config) for config in self._initial}
        order = range(self._grid.size)
        if shuffle:
            order = generator(seed, Stream.GRID, 0).permutation(self._grid.size).tolist()
        self._order = [number for number in order if number not in numbers]

    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:  # noqa: ARG002
        """The next initial point, else the next combination; None after the last."""
        n_trials = history.n_trials
        if n_trials < len(self._initial):
            return Suggestion(config=self._initial[n_trials])
        index = n_trials - len(self._initial)
        return Suggestion(config=self._grid.at(self._order[index])) if index < len(self._order) else None


def _number(values: dict[str, list[ConfigValue]], config: Config) -> int | None:
    """The number of a configuration in the grid (mixed radix, first name most significant); None if it is not there."""
    number = 0
    for name, levels in values.items():
        if config[name] not in levels:
            return None
        number = number * len(levels) + levels.index(config[name])
    return number
