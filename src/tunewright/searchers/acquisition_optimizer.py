"""Maximisation of acquisition functions: spread candidates, then local search from the best."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, final

import numpy as np

from tunewright.models.acquisition import Acquisition
from tunewright.models.arrays import Array, from_scipy
from tunewright.searchers.unit_cube import UnitCube

N_INCUMBENTS: Final = 5
"""Number of best known points around which candidates are drawn."""
_MOST_ROWS_OF_WIDE: Final = 100
"""Observations of a model up to which a wide search costs 2 ms at most."""
_MOST_STEPS: Final = 20
_MOST_MOVES: Final = 10


class Spread(StrEnum):
    """Distribution of the candidates in a space that is not enumerated."""

    LATIN_HYPERCUBE = "latin_hypercube"
    """Even in every hyperparameter."""
    SOBOL = "sobol"
    """Scrambled Sobol points: even in every hyperparameter, and nearly so in every pair."""


class SearchWidth(StrEnum):
    """Number of candidates of a search, and of those that are improved."""

    WIDE = "wide"
    """1,024 and 6 while the model has at most 100 observations, then as ``narrow``."""
    NARROW = "narrow"
    """384 and 3."""


@final
@dataclass(frozen=True, slots=True)
class _Numbers:
    """Candidates over the cube and around incumbents, and how many are improved."""

    spread: int
    around: int
    starts: int


_NUMBERS: Final = {SearchWidth.WIDE: _Numbers(682, 342, 6), SearchWidth.NARROW: _Numbers(256, 128, 3)}


@final
class AcquisitionOptimizer:
    """Maximise acquisition functions over a cube.

    All points of a small finite space are compared, and 2048 random ones of a long list. In other spaces candidates are spread over the
    cube and around the incumbents. From the best few, domains of few values are changed one at a time while that helps, and
    continuous columns are improved by L-BFGS-B, all points together: one evaluation of three costs little more than of one.
    Candidates keep the relations of the space; a point that leaves them on the way is drawn back towards its start.

    Parameters
    ----------
    cube
        The unit cube to search.
    spread
        Distribution of the candidates.
    width
        How many there are.
    """

    def __init__(
        self,
        cube: UnitCube,
        spread: Spread = Spread.LATIN_HYPERCUBE,
        width: SearchWidth = SearchWidth.NARROW,
    ) -> None:
        self._cube = cube
        self._width = width
        self._spread = cube.net if spread is Spread.SOBOL else cube.spread

    def pool(self, incumbents: Array, rng: np.random.Generator, n_observations: int = 0) -> Array:
        """Candidates (m, d)."""
        listed = self._cube.listed(rng)
        if listed is not None:
            return listed
        numbers = self._numbers(n_observations)
        spread = self._spread(numbers.spread, rng)
        return np.concatenate([spread, self._cube.around(incumbents, numbers.around, rng)])

    def _numbers(self, n_observations: int) -> _Numbers:
        return _NUMBERS[SearchWidth.NARROW if n_observations > _MOST_ROWS_OF_WIDE else self._width]

    def best_points(
        self, acquisition: Acquisition, incumbents: Array, rng: np.random.Generator, n_observations: int = 0
    ) -> Array:
        """Points (m, d) of the cube, best first.

        Parameters
        ----------
        acquisition
            The function to maximise.
        incumbents
            Good known points (k, d), around which candidates are drawn.
        rng
            Draws candidates.
        n_observations
            Of the model: the time of a prediction grows with it.
        """
        pool = self.pool(incumbents, rng, n_observations)
        values = acquisition.values(pool)
        order = np.argsort(-values, kind="stable")
        if self._cube.everything is not None:
            return pool[order]
        starts = pool[order[: self._numbers(n_observations).starts]]
        if self._cube.has_levels:
            starts = np.stack([self._changed(acquisition, start) for start in starts])
        if len(self._cube.free):
            starts = self._cube.drawn_back(self._moved(acquisition, starts), starts)
        found = acquisition.values(starts)
        points, both = np.concatenate([starts, pool]), np.concatenate([found, values])
        return points[np.argsort(-both, kind="stable")]

    def _changed(self, acquisition: Acquisition, point: Array) -> Array:
        """Change one domain of few values at a time, to the best."""
        best = float(acquisition.values(point[np.newaxis])[0])
        for _ in range(_MOST_MOVES):
            others = self._cube.neighbours(point)
            if not len(others):
                break
            values = acquisition.values(others)
            place = int(np.argmax(values))
            if not values[place] > best:
                break
            point, best = others[place], float(values[place])
        return point

    def _moved(self, acquisition: Acquisition, starts: Array) -> Array:
        """Improve the continuous columns, the others as they are."""
        free = self._cube.free
        points = starts.copy()

        def objective(flat: Array) -> tuple[float, Array]:
            points[:, free] = flat.reshape(len(points), len(free))
            values, gradient = acquisition.values_and_gradient(points)
            return -float(values.sum()), -gradient[:, free].ravel()

        begin = starts[:, free].ravel()
        place, _, _ = from_scipy("optimize", "fmin_l_bfgs_b")(
            objective,
            begin,
            bounds=[(0.0, 1.0)] * len(begin),
            maxiter=_MOST_STEPS,
            factr=1e-4 / np.finfo(np.float64).eps,
        )
        improved = starts.copy()
        improved[:, free] = np.clip(np.asarray(place), 0.0, 1.0).reshape(len(points), len(free))
        return improved
