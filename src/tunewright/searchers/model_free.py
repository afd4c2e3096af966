"""Searchers without a model (initial points, then random draws, listed configurations or a grid), and the context of any searcher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SpaceError
from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.searchers.unit_cube import UnitCube
from tunewright.seeding import Stream, generator
from tunewright.space import SearchSpace
from tunewright.trial import Suggestion
from tunewright.types import Config


def initial_configs(space: SearchSpace, points: Sequence[Config] | None) -> tuple[Config, ...]:
    """Complete a user's ``points_to_evaluate``.

    The i-th suggested trial gets the i-th of them, so that a searcher finds its place by ``history.n_suggested``.

    Parameters
    ----------
    space
        Defines legal values, and defaults of missing ones.
    points
        Full or partial configurations; None stands for one default configuration, an empty sequence for none.

    Returns
    -------
    tuple of Config
        Full configurations in the given order, each once.

    Raises
    ------
    SpaceError
        A point holds an unknown name or an illegal value.
    """
    unique: dict[object, Config] = {}
    given: Sequence[Config] = [{}] if points is None else points
    for point in given:
        config = space.complete(point)
        unique.setdefault(space.key(config), config)
    return tuple(unique.values())


_DRAWS: Final = 64
_MOST_DRAWS: Final = 10_000
"""Draws from a space that is not listed; only relations make one so small that as many collide."""


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
        All that ``draw`` can give; None if that is infinite or not listed. After 64 collisions the rest is found by going
        through it from a random place on, so that a few left ones among many are found at once.
    rng
        Draws that place.

    Returns
    -------
    Config or None
        None if every configuration of ``everything`` was tried, or all of 10,000 draws of a space that is not listed.
    """
    for _ in range(_MOST_DRAWS if everything is None else _DRAWS):
        config = draw()
        if not history.contains(config):
            return config
    if everything is None:
        return None
    start = place(rng, everything.size)
    for step in range(everything.size):
        config = everything.at((start + step) % everything.size)
        if not history.contains(config):
            return config
    return None


def place(rng: np.random.Generator, size: int) -> int:
    """A random number below ``size``, however large that is."""
    return int(rng.random() * size) % size


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
        Configurations that come first, as in :func:`~tunewright.searchers.model_free.initial_configs`.

    Raises
    ------
    SpaceError
        One of ``points_to_evaluate`` does not fit the space.
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

    @override
    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        """The next initial point, else a new draw; None when every configuration was tried."""
        n_trials, number = history.n_trials, history.n_suggested
        if number < len(self._initial):
            return Suggestion(config=self._initial[number])
        rng = generator(self._seed, Stream.CONFIG, n_trials)
        config = draw_unseen(history, lambda: self._space.sample(rng), self._everything, rng)
        return None if config is None else Suggestion(config=config)


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

    @override
    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        """The next initial point, else a new candidate; None when all were tried."""
        n_trials, number = history.n_trials, history.n_suggested
        if number < len(self._initial):
            return Suggestion(config=self._initial[number])
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
        Configurations that come first, as in :func:`~tunewright.searchers.model_free.initial_configs`.
    n_per_domain
        Values per hyperparameter, >= 1.

    Raises
    ------
    SpaceError
        One of ``points_to_evaluate`` does not fit the space, ``n_per_domain`` is below 1, or no combination keeps the
        relations of the space.
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
        if not self._grid.size:
            raise SpaceError(
                f"no combination of {n_per_domain} values per hyperparameter keeps the constraints: raise n_per_domain"
            )
        self._seed = seed
        self._shuffle = shuffle
        numbers = {self._grid.number(config) for config in self._initial}
        self._passed_over = sorted(number for number in numbers if number is not None)

    @override
    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        """The next initial point, else the next combination; None after the last."""
        number = history.n_suggested
        if number < len(self._initial):
            return Suggestion(config=self._initial[number])
        config = self._draw(history) if self._shuffle else self._next(number - len(self._initial))
        return None if config is None else Suggestion(config=config)

    def _draw(self, history: History) -> Config | None:
        rng, grid = generator(self._seed, Stream.GRID, history.n_trials), self._grid
        return draw_unseen(history, lambda: grid.at(place(rng, grid.size)), grid, rng)

    def _next(self, number: int) -> Config | None:
        for passed_over in self._passed_over:
            if passed_over <= number:
                number += 1
        return self._grid.at(number) if number < self._grid.size else None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SearcherContext:
    """Space, seed, initial points and listed candidates of any searcher."""

    space: SearchSpace
    """The search space."""
    seed: int
    """The experiment's seed, >= 0."""
    points_to_evaluate: Sequence[Config] | None = None
    """Configurations that come first, as in :func:`~tunewright.searchers.model_free.initial_configs`; with ``candidates``,
    None stands for none."""
    candidates: Sequence[Config] | None = None
    """The only configurations that are suggested, without those that break a relation of the space; None: all of the space."""

    def __post_init__(self) -> None:
        if self.space.constraints and self.candidates is not None:
            allowed = [config for config in self.candidates if self.space.allows(config)]
            object.__setattr__(self, "candidates", allowed)

    def cube(self) -> UnitCube:
        """The space's cube, for a proposer."""
        return UnitCube(self.space, self.candidates)

    def random_searcher(self) -> RandomSearcher | RestrictedSearcher:
        """The given points, then independent draws from the space, or from the candidates.

        Raises
        ------
        SpaceError
            There is no candidate, or one of ``points_to_evaluate`` does not fit.
        """
        points = self.points_to_evaluate
        if self.candidates is None:
            return RandomSearcher(self.space, seed=self.seed, points_to_evaluate=points)
        return RestrictedSearcher(
            self.candidates, space=self.space, seed=self.seed, points_to_evaluate=points
        )
