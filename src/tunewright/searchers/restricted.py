"""Random search among listed configurations, such as those of a recorded table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from tunewright.exceptions import SpaceError
from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.searchers.initial import initial_configs
from tunewright.searchers.unseen import draw_unseen, place
from tunewright.seeding import Stream, generator
from tunewright.space import SearchSpace
from tunewright.trial import Suggestion
from tunewright.types import Config


@final
class RestrictedSearcher(Searcher):
    """Draw from a list, none twice; a suggestion costs the same however long the list is.

    Parameters
    ----------
    candidates
        The only configurations that are suggested, with all entries of the space. They are not copied.
    space
        Completes and checks the initial points.
    seed
        The experiment's seed, >= 0.
    points_to_evaluate
        Configurations that come first; each must be a candidate. None: none.

    Raises
    ------
    SpaceError
        There is no candidate, or an initial point is not among them.
    """

    def __init__(
        self,
        candidates: Sequence[Config],
        *,
        space: SearchSpace,
        seed: int,
        points_to_evaluate: Sequence[Config] | None = None,
    ) -> None:
        if not candidates:
            raise SpaceError("There is no configuration to choose from: widen the search space")
        self._candidates = _Candidates(candidates)
        self._seed = seed
        self._exhausted_at = -1
        self._initial = initial_configs(space, points_to_evaluate or ())
        if self._initial:
            known = {space.key(config) for config in candidates}
            for config in self._initial:
                if space.key(config) not in known:
                    raise SpaceError(
                        f"The initial point {config} is not among the configurations to choose from"
                    )

    @property
    def n_initial(self) -> int:
        """How many configurations come before the first draw."""
        return len(self._initial)

    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:  # noqa: ARG002
        """The next initial point, else a new candidate; None when all were tried."""
        n_trials = history.n_trials
        if n_trials < len(self._initial):
            return Suggestion(config=self._initial[n_trials])
        if n_trials == self._exhausted_at:  # do not go through the list again at each event
            return None
        rng, candidates = generator(self._seed, Stream.CONFIG, n_trials), self._candidates
        config = draw_unseen(history, lambda: candidates.at(place(rng, candidates.size)), candidates, rng)
        if config is None:
            self._exhausted_at = n_trials
            return None
        return Suggestion(config=config)


@final
class _Candidates:
    def __init__(self, configs: Sequence[Config]) -> None:
        self._configs = configs
        self.size = len(configs)

    def at(self, index: int, /) -> Config:
        return self._configs[index]
