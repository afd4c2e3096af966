"""SearcherContext: space, seed, initial points and listed candidates of a searcher."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import final

from tunewright.searchers.model_free import RandomSearcher, RestrictedSearcher
from tunewright.searchers.unit_cube import UnitCube
from tunewright.space import SearchSpace
from tunewright.types import Config


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
    """The only configurations that are suggested; None: all of the space."""

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
