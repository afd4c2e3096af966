"""The frame of model-based searchers: initial points, random draws, then a proposer's points, none twice."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import final

import numpy as np
from typing_extensions import override

from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.models.arrays import Array
from tunewright.searchers.encoding import Observations, Snapshot
from tunewright.searchers.model_free import SearcherContext
from tunewright.seeding import Stream, generator
from tunewright.trial import Suggestion
from tunewright.types import Config, Json, Note


@final
@dataclass(frozen=True, slots=True)
class Proposal:
    """Points in the order in which they should be tried."""

    points: Array
    """(k, d), best first. The first that is new is taken."""
    note: Note = field(default_factory=dict[str, Json])
    """Part of the note: data that a later suggestion needs."""


class Proposer(ABC):
    """Finds promising points from observations."""

    @abstractmethod
    def propose(
        self, snapshot: Snapshot, rng: np.random.Generator, until: int | None = None
    ) -> Proposal | None:
        """Points for the next trial, which runs to ``until`` first; None if there are too few results: a random configuration is suggested then.

        A function of the arguments: caches may save time, but never change a result.
        """


@final
class InitialProposer(Proposer):
    """One proposer for the initial trials, and whenever the other one has too few results.

    Parameters
    ----------
    first
        Needs no results.
    n_initial
        Trials before the other proposer is asked.
    then
        The other proposer.
    """

    def __init__(self, first: Proposer, n_initial: int, then: Proposer) -> None:
        self._first = first
        self._n_initial = n_initial
        self._then = then

    @override
    def propose(
        self, snapshot: Snapshot, rng: np.random.Generator, until: int | None = None
    ) -> Proposal | None:
        has_begun = len(snapshot.points) >= self._n_initial
        found = self._then.propose(snapshot, rng, until) if has_begun else None
        return self._first.propose(snapshot, rng, until) if found is None else found


@final
class NewConfigs:
    """Configurations that were not tried: given points, random draws, and those of proposed points.

    Parameters
    ----------
    context
        Space, seed and initial points; of listed candidates the nearest to a proposed point is taken.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """

    def __init__(self, context: SearcherContext) -> None:
        self._context = context
        self._random = context.random_searcher()
        if context.candidates is not None:
            self._places = context.space.encode(context.candidates)

    @property
    def n_initial(self) -> int:
        """Number of given points."""
        return self._random.n_initial

    def drawn(self, history: History) -> Suggestion | None:
        """The next given point, else a random draw; None when every configuration was tried."""
        return self._random.suggest(history)

    def taken(self, history: History, proposal: Proposal) -> Suggestion | None:
        """The first proposed configuration that is new and keeps the relations of the space, else a random draw; None when every configuration was tried."""
        space = self._context.space
        for point in proposal.points:
            config = self._config_at(point)
            if not history.contains(config) and space.allows(config):
                return Suggestion(config=config, note=proposal.note)
        drawn = self.drawn(history)
        return None if drawn is None else Suggestion(config=drawn.config, note=proposal.note)

    def _config_at(self, point: Array) -> Config:
        candidates = self._context.candidates
        if candidates is None:
            return self._context.space.decode(point[np.newaxis])[0]
        return candidates[int(np.argmin(((self._places - point) ** 2).sum(axis=1)))]


@final
class ModelBasedSearcher(Searcher):
    """Ask a proposer, once there is something to learn from.

    The first trials are the given points, then random draws, the same that random search would make. Where all
    proposed points were tried before, the next random draw is taken; None comes when the space is exhausted.

    Parameters
    ----------
    context
        Space, seed and initial points; of listed candidates the nearest to a proposed point is suggested.
    proposer
        Proposes points after the initial trials.
    observations
        Reads History for it.
    n_initial
        Trials, the given points included, before the proposer is asked.

    Raises
    ------
    SpaceError
        One of the points to evaluate does not fit the space.
    """

    def __init__(
        self,
        context: SearcherContext,
        proposer: Proposer,
        observations: Observations,
        *,
        n_initial: int = 3,
    ) -> None:
        self._seed = context.seed
        self._new = NewConfigs(context)
        self._proposer = proposer
        self._observations = observations
        self.n_initial = max(n_initial, self._new.n_initial)

    @override
    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        """The next given point, random draw or proposed configuration; None when every configuration was tried."""
        if history.n_suggested < self.n_initial:
            return self.drawn(history)
        snapshot = self._observations.read(history)
        rng = generator(self._seed, Stream.MODEL, history.n_runs)
        proposal = self._proposer.propose(snapshot, rng, until)
        return self.drawn(history) if proposal is None else self.taken(history, proposal)

    def drawn(self, history: History) -> Suggestion | None:
        """The next given point, else a random draw; None when every configuration was tried."""
        return self._new.drawn(history)

    def taken(self, history: History, proposal: Proposal) -> Suggestion | None:
        """The first proposed configuration that is new, else a random draw; None when every configuration was tried."""
        return self._new.taken(history, proposal)
