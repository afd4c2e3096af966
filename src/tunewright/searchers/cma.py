"""CMA-ES as a searcher: draws of a normal distribution that is updated as soon as enough results came in.

References
----------
.. [Auger2005] Auger, Hansen: A Restart CMA Evolution Strategy With Increasing Population Size. CEC 2005.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast, final

import numpy as np
from typing_extensions import override

from tunewright.exceptions import SettingsError, check_at_least, choice
from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.metric import Metric
from tunewright.models.arrays import Array
from tunewright.models.cma import Evolution, default_size
from tunewright.searchers.encoding import final_loss
from tunewright.searchers.model_free import RandomSearcher
from tunewright.seeding import Stream, generator
from tunewright.space import SearchSpace
from tunewright.trial import Suggestion
from tunewright.types import Config, Json, Note

_DRAWS: Final = 64
"""Draws per suggestion, so that one of them is new."""
_MOST_LEVELS: Final = 64
"""Values up to which a range is treated as discrete."""


class Restart(StrEnum):
    """Continuation after the distribution has converged."""

    IPOP = "ipop"
    """A new distribution around a random point, with twice the population."""
    NONE = "none"
    """The same distribution."""


class Outside(StrEnum):
    """Where a draw outside of the space is evaluated."""

    REFLECT = "reflect"
    """At its reflection; the update sees the draw itself."""
    CLIP = "clip"
    """At the nearest point of the space, which the update sees as well."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CMAESSettings:
    """Settings of CMA-ES; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    population_size: int | None = None
    """lambda, >= 4: results of an update; None: ``4 + floor(3 ln d)`` for d columns."""
    sigma: float = 0.3
    """First standard deviation, as a part of each range, above 0 and at most 1."""
    restart: Restart = Restart.IPOP
    """After convergence: a new distribution with twice the population (``ipop``), or ``none``."""
    outside: Outside = Outside.REFLECT
    """A draw outside of the space is evaluated at its reflection (``reflect``), or at the nearest point, which the update then sees (``clip``)."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "outside", choice("outside", Outside, self.outside))
        object.__setattr__(self, "restart", choice("restart", Restart, self.restart))
        if self.population_size is not None:
            check_at_least(self, 4, "population_size")
        if not 0.0 < self.sigma <= 1.0:
            raise SettingsError(f"sigma={self.sigma} must be above 0 and at most 1")


@final
@dataclass(frozen=True, slots=True)
class _State:
    """The search at one instant."""

    evolution: Evolution
    round: int
    """Number of restarts."""
    waiting: Mapping[int, tuple[int, Array]]
    """By trial whose result no update has used: the generation of its draw, and the draw."""


@final
class CMAESSearcher(Searcher):
    """Draw from the distribution of the present generation.

    The given points come first. The distribution starts around the best of those that have ended by then, else around the
    first of them, or the centre of the space. It is updated as soon as ``population_size`` trials have ended, of this generation or late
    ones of earlier generations; until then further draws come from it. Failed trials and losses that are not finite rank
    last. The note of a trial has its draw (``point``); that of the first trial after an update names the trials
    that the update used (``told``), so that the distribution is a function of History.

    A point outside of the cube is reflected at its faces before it is evaluated, and the update sees the draw itself; with ``outside=clip`` it
    moves to the nearest point of the cube, for the update too. Columns of at most
    64 ordered values, or of two categories, keep a margin of probability of other values; other categories are columns in [0, 1], the
    largest of which decides. Draws that break a relation of the space are dropped; if all of 64 do, the trial is a random one.

    Parameters
    ----------
    space, settings, metric
        The space, the distribution, and the metric to tune.
    seed
        The experiment's seed, >= 0.
    points_to_evaluate
        Configurations that come first, as in :func:`~tunewright.searchers.model_free.initial_configs`.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """

    def __init__(
        self,
        space: SearchSpace,
        settings: CMAESSettings,
        *,
        metric: Metric,
        seed: int,
        points_to_evaluate: Sequence[Config] | None = None,
    ) -> None:
        self._space = space
        self._settings = settings
        self._metric = metric
        self._seed = seed
        self._random = RandomSearcher(space, seed=seed, points_to_evaluate=points_to_evaluate)
        self._levels = _levels(space)
        self._borders = {column: (places[1:] + places[:-1]) / 2 for column, places in self._levels.items()}
        self._history: History | None = None
        self._n_trials = 0
        self._state: _State | None = None
        self._updated: tuple[_State, tuple[int, ...], _State] | None = None

    @override
    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        """The next given point or draw; None when every configuration was tried."""
        if history.n_suggested < self._random.n_initial or not self._space.n_columns:
            return self._random.suggest(history)
        self._read(history)
        note: dict[str, Json] = {}
        state = self._state
        if state is None:
            start = self._best_given(history)
            note["start"] = start
            state = self._begun(history, start)
        told = self._ended(history, state)
        if told:
            note["told"] = [*told]
            state = self._after(history, state, told)
        return self._drawn(history, state.evolution, note)

    def _drawn(self, history: History, evolution: Evolution, note: Note) -> Suggestion | None:
        """The first of some draws that is new and keeps the relations of the space, else a random configuration; None when every configuration was tried."""
        rng = generator(self._seed, Stream.MODEL, history.n_runs)
        points = evolution.draws(_DRAWS, rng)
        if self._settings.outside is Outside.CLIP:
            points = evolution.clipped(points)
        for point, place in zip(points, evolution.evaluated(points), strict=True):
            for column, places in self._levels.items():
                place[column] = places[np.argmin(np.abs(places - place[column]))]
            config = self._space.decode(place[np.newaxis])[0]
            if not history.contains(config) and self._space.allows(config):
                return Suggestion(config=config, note={**note, "point": point.tolist()})
        found = self._random.suggest(history)
        if found is None:
            return None
        place = self._space.encode([found.config])[0]
        return Suggestion(config=found.config, note={**note, "point": place.tolist()})

    def _read(self, history: History) -> None:
        """Follow the notes of the trials that began since the last call."""
        if history is not self._history:
            self._history, self._n_trials, self._state = history, 0, None
        for trial_id in range(self._n_trials, history.n_trials):
            note: Any = history.note(trial_id, 0).get("searcher", {})
            if "start" in note:
                self._state = self._begun(history, note["start"])
            state = self._state
            if state is None or "point" not in note:
                continue
            if "told" in note:
                state = self._after(history, state, tuple(cast("Sequence[int]", note["told"])))
            draw = state.evolution.generation, np.array(note["point"], dtype=np.float64)
            self._state = _State(state.evolution, state.round, {**state.waiting, trial_id: draw})
        self._n_trials = history.n_trials

    def _best_given(self, history: History) -> int | None:
        """The best given trial that has ended, else the first; None without any."""
        n_added = history.n_trials - history.n_suggested
        given = range(min(self._random.n_initial + n_added, history.n_trials))
        losses = [final_loss(history, trial, self._metric) for trial in given]
        return int(np.argmin([math.inf if loss is None else loss for loss in losses])) if losses else None

    def _begun(self, history: History, start: int | None) -> _State:
        if start is None:
            mean = np.full(self._space.n_columns, 0.5)
        else:
            mean = self._space.encode([history.trial(start).config])[0]
        return self._started(mean, 0)

    def _started(self, mean: Array, number: int) -> _State:
        size = self._settings.population_size or default_size(self._space.n_columns)
        evolution = Evolution.start(mean, self._settings.sigma, size * 2**number)
        return _State(evolution.with_margin(self._borders), number, {})

    def _ended(self, history: History, state: _State) -> tuple[int, ...]:
        """The trials of the next update, oldest first; empty if too few have ended."""
        size = state.evolution.constants.size
        ended = [t for t in state.waiting if final_loss(history, t, self._metric) is not None]
        return tuple(ended[:size]) if len(ended) >= size else ()

    def _after(self, history: History, state: _State, told: tuple[int, ...]) -> _State:
        """The state after an update; its draws are late for the next one."""
        if self._updated is None or self._updated[0] is not state or self._updated[1] != told:
            self._updated = state, told, self._update(history, state, told)
        return self._updated[2]

    def _update(self, history: History, state: _State, told: tuple[int, ...]) -> _State:
        draws = [state.waiting[trial] for trial in told]
        evolution = state.evolution.updated(
            np.array([point for _, point in draws]),
            np.array([final_loss(history, trial, self._metric) for trial in told], dtype=np.float64),
            np.array([generation < state.evolution.generation for generation, _ in draws], dtype=np.float64),
        ).with_margin(self._borders)
        if self._settings.restart is Restart.IPOP and evolution.has_converged:
            number = state.round + 1
            mean = generator(self._seed, Stream.DESIGN, number).random(self._space.n_columns)
            return self._started(mean, number)
        used = set(told)
        waiting = {trial: draw for trial, draw in state.waiting.items() if trial not in used}
        return _State(evolution, state.round, waiting)


def _levels(space: SearchSpace) -> dict[int, Array]:
    """By column of few values their places, ascending."""
    found: dict[int, Array] = {}
    start = 0
    for domain in space.domains.values():
        if domain.width == 1 and domain.size is not None and 2 <= domain.size <= _MOST_LEVELS:
            places = [domain.encode(domain.at(index))[0] for index in range(domain.size)]
            found[start] = np.array(places, dtype=np.float64)
        start += domain.width
    return found
