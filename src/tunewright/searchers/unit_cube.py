"""The unit cube of a space: candidates spread over it, moves between legal points, and one coordinate per hyperparameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from tunewright.models.arrays import Array, Indices, from_scipy
from tunewright.space import Categorical, Ordinal, SearchSpace
from tunewright.space.domain import Domain
from tunewright.types import Config, ConfigValue

_MOST_LEVELS: Final = 64
"""Values up to which a range is not treated as continuous; beyond it, rounding moves a point by less than 1/128."""

_MOST_CONFIGS: Final = 1024
"""Configurations up to which a space is enumerated."""
_MOST_LISTED: Final = 2048
"""Listed points that are compared in one suggestion."""

_MOST_ROUNDS: Final = 16
"""Further rounds of draws, if too few points of the first one keep the relations."""
_MOST_HALVINGS: Final = 10

_PLACES: Final = 256
_MOST_NEIGHBOURS: Final = 8


@final
@dataclass(frozen=True, slots=True)
class _Levels:
    """A domain of few values: their points, and their shares of its distribution."""

    columns: slice
    points: Array
    """(levels, width)"""
    number_at: Indices
    """Index of the level in each of 256 equal parts of the distribution; four parts for each of more than 64 levels."""
    is_ordered: bool

    def near(self, centre: Array, reach: float) -> Indices:
        """Levels at most ``reach`` from a point (d,) of the cube, and the next on either side; all without an order."""
        if not self.is_ordered:
            return np.arange(len(self.points))
        distances = np.abs(self.points[:, 0] - centre[self.columns.start])
        at = int(np.argmin(distances))
        is_near = distances <= reach
        is_near[max(at - 1, 0) : at + 2] = True
        return np.flatnonzero(is_near)


@final
class UnitCube:
    """Points of a space's unit cube, shape (n, d). Categories, and domains of at most 64 values, are only ever at a legal point.

    If the space has relations, all points keep them, and there may be fewer than asked for, at least one.

    Parameters
    ----------
    space
        The space.
    candidates
        The only configurations that may be suggested; None: all of the space.
    """

    def __init__(self, space: SearchSpace, candidates: Sequence[Config] | None = None) -> None:
        self._space = space
        self.n_columns = space.n_columns
        self._levels: list[_Levels] = []
        self._axes: list[int | _Levels] = []
        start = 0
        for domain in space.domains.values():
            columns = slice(start, start + domain.width)
            start += domain.width
            if domain.size is None or (domain.size > _MOST_LEVELS and not isinstance(domain, Categorical)):
                self._axes.append(columns.start)
            else:
                levels = _levels(domain, columns)
                self._levels.append(levels)
                self._axes.append(levels)
        self._starts = [a if isinstance(a, int) else int(a.columns.start) for a in self._axes]
        self._unordered = [None if isinstance(a, int) or a.is_ordered else a for a in self._axes]
        self.free = np.array([axis for axis in self._axes if isinstance(axis, int)], dtype=np.intp)
        """Columns along which a point may be moved continuously."""
        size = space.size
        if candidates is None and size is not None and size <= _MOST_CONFIGS:
            candidates = list(space.enumerate())
        self.everything = None if candidates is None else space.encode(candidates)
        """All points if they are listed or at most 1024, else None."""

    @property
    def has_levels(self) -> bool:
        """Whether some columns hold legal points only."""
        return bool(self._levels)

    def spread(self, n: int, rng: np.random.Generator) -> Array:
        """``n`` points that fill the cube evenly: a Latin hypercube in the domains' own distributions.

        References
        ----------
        .. [McKay1979] McKay, Beckman, Conover: A Comparison of Three Methods for Selecting Values of Input Variables.
           Technometrics 21 (1979).
        """
        return self._kept(n, lambda: self._placed(_latin_hypercube(n, len(self._axes), rng)), rng)

    def net(self, n: int, rng: np.random.Generator) -> Array:
        """``n`` points (n, d) that fill the cube evenly, all pairs of columns too: scrambled Sobol points in the domains' distributions."""
        return self._kept(n, lambda: self._placed(self._sobol(n, rng)), rng)

    def _sobol(self, n: int, rng: np.random.Generator) -> Array:
        """Scrambled Sobol points (n, hyperparameters)."""
        sampler = from_scipy("stats", "qmc").Sobol(len(self._axes), seed=rng)
        return np.asarray(sampler.random_base2((n - 1).bit_length())[:n], dtype=np.float64)

    def listed(self, rng: np.random.Generator) -> Array | None:
        """All points (n, d), or 2,048 random ones if there are more; None if they are not listed."""
        if self.everything is None or len(self.everything) <= _MOST_LISTED:
            return self.everything
        return rng.choice(self.everything, _MOST_LISTED)

    def settled(self, points: Array) -> Array:
        """Return the points with inactive hyperparameters at their defaults."""
        return self._space.settled(points)

    def _allowed(self, points: Array) -> Array:
        """The points that keep the relations of the space."""
        return points[self._space.allowed(points)] if self._space.constraints else points

    def _kept(self, n: int, draw: Callable[[], Array], rng: np.random.Generator) -> Array:
        """Settled points, n of them; with relations those of up to 17 rounds that keep them, else one draw from the space."""
        found = self._allowed(self.settled(draw()))
        for _ in range(_MOST_ROUNDS if self._space.constraints else 0):
            if len(found) >= n:
                break
            found = np.concatenate([found, self._allowed(self.settled(draw()))])
        return found[:n] if len(found) else self._space.encode([self._space.sample(rng)])

    def drawn_back(self, points: Array, starts: Array) -> Array:
        """Return settled points (n, d); those that break a relation are halved towards starts (n, d) that keep all."""
        settled = self.settled(points)
        if not self._space.constraints:
            return settled
        way = 1.0
        for _ in range(_MOST_HALVINGS):
            is_wrong = ~self._space.allowed(settled)
            if not is_wrong.any():
                return settled
            way /= 2.0
            nearer = self.settled(starts + way * (points - starts))
            settled = np.where(is_wrong[:, np.newaxis], nearer, settled)
        return np.where(self._space.allowed(settled)[:, np.newaxis], settled, starts)

    def around(self, points: Array, n: int, rng: np.random.Generator) -> Array:
        """``n`` points near the given ones in turn: each hyperparameter is changed with probability 2/d, at least one.

        A continuous one moves by a normal step of deviation 0.1 or 0.02, one of few values is drawn anew.
        """
        n_axes = len(self._axes)
        centres = points[np.arange(n) % len(points)]
        changed = rng.random((n, n_axes)) < 2.0 / n_axes
        changed[np.arange(n), rng.integers(n_axes, size=n)] = True
        return self._allowed(self._changed(centres, changed, (0.1, 0.02), rng))

    def exchanged(self, points: Array, n: int, rng: np.random.Generator) -> Array:
        """The one-exchange neighbourhood of each of k points: n changes of each of p hyperparameters alone, (k p n, d).

        A continuous one moves by a normal step of deviation 0.2, one of few values is drawn anew ([Hutter2011]_, section 4.3).
        A change that breaks a relation of the space is not made.

        References
        ----------
        .. [Hutter2011] Hutter, Hoos, Leyton-Brown: Sequential Model-Based Optimization for General Algorithm Configuration.
           LION 5, 2011.
        """
        each = np.repeat(np.eye(len(self._axes), dtype=bool), n, axis=0)
        changed = np.tile(each, (len(points), 1))
        centres = np.repeat(points, len(each), axis=0)
        found = self._changed(centres, changed, (0.2,), rng)
        if not self._space.constraints:
            return found
        return np.where(self._space.allowed(found)[:, np.newaxis], found, centres)

    def _changed(
        self,
        centres: Array,
        changed: NDArray[np.bool_],
        deviations: Sequence[float],
        rng: np.random.Generator,
    ) -> Array:
        """Points (n, d) of which the marked hyperparameters (n, p) are changed; each takes one of the deviations."""
        n, n_axes = changed.shape
        drawn = self._placed(rng.random((n, n_axes)))
        steps = rng.standard_normal((n, self.n_columns)) * rng.choice(deviations, size=(n, 1))
        drawn[:, self.free] = np.clip((centres + steps)[:, self.free], 0.0, 1.0)
        keep = np.ones((n, self.n_columns), dtype=bool)
        for axis, moves in zip(self._axes, changed.T, strict=True):
            columns = slice(axis, axis + 1) if isinstance(axis, int) else axis.columns
            keep[:, columns] = ~moves[:, np.newaxis]
        return self.settled(np.where(keep, centres, drawn))

    def relative(self, scales: Array) -> Array:
        """Scales (d,) of columns as one for each hyperparameter (p,); of those with an order the geometric mean is 1."""
        own = scales[self._starts]
        is_ordered = np.array([axis is None for axis in self._unordered], dtype=bool)
        return own / np.exp(np.log(own[is_ordered]).mean()) if is_ordered.any() else own

    def within(
        self, centre: Array, reach: Array, n: int, probability: float, rng: np.random.Generator
    ) -> Array:
        """``n`` points (n, d) that differ from one (d,) in some hyperparameters, at least one each.

        A hyperparameter is changed with the given probability: a number to a scrambled Sobol point of the interval of
        ``reach`` (p,) around the centre, cut off at the bounds; one of few ordered values to a value there, or
        to its neighbours if none is so near; one without an order to any of its values.
        """
        return self._kept(n, lambda: self._within(centre, reach, n, probability, rng), rng)

    def _within(
        self, centre: Array, reach: Array, n: int, probability: float, rng: np.random.Generator
    ) -> Array:
        n_axes = len(self._axes)
        quantiles = self._sobol(n, rng)
        is_changed = rng.random((n, n_axes)) < probability
        unchanged = np.flatnonzero(~is_changed.any(axis=1))
        is_changed[unchanged, rng.integers(n_axes, size=len(unchanged))] = True
        points = np.tile(centre, (n, 1))
        for axis, distance, column, moves in zip(self._axes, reach, quantiles.T, is_changed.T, strict=True):
            u = column[moves]
            if isinstance(axis, int):
                low, high = max(centre[axis] - distance, 0.0), min(centre[axis] + distance, 1.0)
                points[moves, axis] = low + (high - low) * u
            else:
                choices = axis.points[axis.near(centre, float(distance))]
                points[moves, axis.columns] = choices[(u * len(choices)).astype(np.intp)]
        return points

    def neighbours(self, point: Array) -> Array:
        """The points (k, d) that differ from one (d,) in one domain of few values: nearest ones in an order, all others without."""
        moved: list[Array] = []
        for levels in self._levels:
            distances = np.abs(levels.points - point[levels.columns]).sum(axis=1)
            order = np.argsort(distances, kind="stable")[1:]
            chosen = levels.points[order[:_MOST_NEIGHBOURS] if levels.is_ordered else order]
            rows = np.tile(point, (len(chosen), 1))
            rows[:, levels.columns] = chosen
            moved.append(rows)
        return self._allowed(self.settled(np.concatenate(moved)))

    @property
    def n_categories(self) -> Indices:
        """(hyperparameters,): number of values of each without an order; 0 for those with one."""
        return np.array([0 if a is None else len(a.points) for a in self._unordered], dtype=np.intp)

    @property
    def spacings(self) -> Array:
        """(hyperparameters,): the part of [0, 1] that each value of an ordered domain of few values has; 0 for others."""
        sizes = [0 if isinstance(a, int) or not a.is_ordered else len(a.points) for a in self._axes]
        return np.array([1.0 / size if size else 0.0 for size in sizes])

    def coded(self, points: Array) -> Array:
        """One column per hyperparameter, (n, p): its place in the cube, or the number of its category."""
        columns: list[Array] = []
        for start, axis in zip(self._starts, self._unordered, strict=True):
            if axis is None:
                columns.append(points[:, start])
            else:
                likeness = points[:, axis.columns] @ (2.0 * axis.points.T - 1.0)
                columns.append(np.argmax(likeness, axis=1).astype(np.float64))
        return np.stack(columns, axis=1)

    def uncoded(self, codes: Array) -> Array:
        """The points (n, d) of `coded` ones."""
        parts = [
            column[:, np.newaxis] if axis is None else axis.points[column.astype(np.intp)]
            for column, axis in zip(codes.T, self._unordered, strict=True)
        ]
        return np.concatenate(parts, axis=1)

    def _placed(self, quantiles: Array) -> Array:
        """Points from numbers in [0, 1), one per hyperparameter."""
        points = np.empty((len(quantiles), self.n_columns))
        for axis, column in zip(self._axes, quantiles.T, strict=True):
            if isinstance(axis, int):
                points[:, axis] = column
            else:
                points[:, axis.columns] = axis.points[
                    axis.number_at[(column * len(axis.number_at)).astype(np.intp)]
                ]
        return points


def _latin_hypercube(n: int, n_columns: int, rng: np.random.Generator) -> Array:
    strata = rng.permuted(np.tile(np.arange(n, dtype=np.float64)[:, np.newaxis], (1, n_columns)), axis=0)
    return (strata + rng.random((n, n_columns))) / n


def _levels(domain: Domain, columns: slice) -> _Levels:
    values = [domain.at(index) for index in range(domain.size or 0)]
    numbers = {value: number for number, value in enumerate(values)}
    n_places = max(_PLACES, 4 * len(values))
    places = [domain.quantile((place + 0.5) / n_places) for place in range(n_places)]
    return _Levels(
        columns,
        np.array([domain.encode(value) for value in values], dtype=np.float64),
        np.array([numbers[value] for value in places], dtype=np.intp),
        not isinstance(domain, Categorical),
    )


@final
class Coordinates:
    """A space's configurations as points of [0, 1]^d, d being the number of its hyperparameters.

    Listed values lie in their order, each in the middle of an equal part; ranges lie along their scale. (The unit cube
    of :class:`~tunewright.space.SearchSpace` is another one: it has a column for each value of a category.)

    Parameters
    ----------
    space
        The space.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._constants = dict(space.constants)
        self._names = tuple(space)
        self._axes = [(name, _Axis(domain)) for name, domain in space.domains.items()]

    def __len__(self) -> int:
        return len(self._axes)

    def encode(self, config: Config) -> list[float]:
        """Return the point of a legal configuration; inactive hyperparameters lie at their defaults."""
        if self._space.has_conditions:
            config = self._space.filled(config)
        return [axis.encode(config[name]) for name, axis in self._axes]

    def decode(self, point: Sequence[float]) -> dict[str, ConfigValue]:
        """The configuration at a point; numbers outside [0, 1] count as the nearer end."""
        return self._space.active(self.values(point))

    def values(self, point: Sequence[float]) -> dict[str, ConfigValue]:
        """A value for every name at a point, also for those that are not active there."""
        values = self._constants | {
            name: axis.decode(float(u)) for (name, axis), u in zip(self._axes, point, strict=True)
        }
        return {name: values[name] for name in self._names}


@final
class _Axis:
    def __init__(self, domain: Domain) -> None:
        self._domain = domain
        is_list = isinstance(domain, Categorical | Ordinal)
        self._values = [domain.at(index) for index in range(domain.size or 0)] if is_list else []

    def encode(self, value: ConfigValue) -> float:
        if self._values:
            return (self._values.index(value) + 0.5) / len(self._values)
        return self._domain.encode(value)[0]

    def decode(self, u: float) -> ConfigValue:
        n_values = len(self._values)
        return (
            self._values[min(max(int(u * n_values), 0), n_values - 1)]
            if n_values
            else self._domain.decode([u])
        )
