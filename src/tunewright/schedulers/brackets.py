"""Synchronous brackets: Hyperband's table, and one bracket on its way through its rungs.

References
----------
.. [Li2018] Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar: Hyperband. JMLR 18 (2018).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import final

from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.metric import Metric
from tunewright.schedulers.rungs import first_level, rung_levels, with_max_resource
from tunewright.trial import CONTINUE, Decision, TrialStatus, Verdict

_ROUNDING = 1e-9
"""Rounding error of a power of a reduction factor."""


@final
@dataclass(frozen=True, slots=True)
class Stage:
    """One rung of a bracket's plan."""

    level: int
    """The resource at which its trials are compared."""
    size: int
    """How many trials come here."""


@dataclass(frozen=True, kw_only=True)
class BracketSettings:
    """Synchronous brackets, for a full run of any length; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    grace_period: int | None = None
    """The first level of bracket 0, >= 1; None: ``ceil(max_resource / eta**4)``, which is 1 for up to 81 units with ``eta=3``."""
    eta: float = 3
    """Reduction factor, >= 2: about one in ``eta`` trials of a rung goes further."""
    brackets: int | None = None
    """How many different brackets take turns, >= 1; None: all. The last of all starts at the resource of a full run."""

    def __post_init__(self) -> None:
        if self.grace_period is not None and self.grace_period < 1:
            raise SettingsError(f"grace_period={self.grace_period} must be >= 1")
        if not 2 <= self.eta < math.inf:
            raise SettingsError(f"eta={self.eta} must be >= 2 and finite")
        if self.brackets is not None and self.brackets < 1:
            raise SettingsError(f"brackets={self.brackets} must be >= 1")

    def within(self, max_resource: int) -> HyperbandSettings:
        """Return the plan for full runs that are ``max_resource`` long.

        Raises
        ------
        SettingsError
            They do not fit the benchmark.
        """
        return with_max_resource(HyperbandSettings, self, max_resource)


@final
@dataclass(frozen=True, kw_only=True)
class HyperbandSettings(BracketSettings):
    """The plan of all brackets; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    max_resource: int
    """The resource of a full run, >= 2, above ``grace_period``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        grace_period = self._first_level
        if grace_period >= self.max_resource:
            raise SettingsError(
                f"grace_period={grace_period} must be >= 1 and below max_resource={self.max_resource}"
            )
        most = len(self.levels)
        if self.brackets is not None and self.brackets > most:
            raise SettingsError(
                f"brackets={self.brackets} must be between 1 and {most}: the levels are {self.levels}"
            )

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels of bracket 0: ``grace_period * eta**j``, and ``max_resource`` at the end."""
        below = rung_levels(self.max_resource, grace_period=self._first_level, eta=self.eta)
        return (*below, self.max_resource)

    @property
    def _first_level(self) -> int:
        return first_level(self.grace_period, self.max_resource, self.eta)

    @property
    def table(self) -> tuple[tuple[Stage, ...], ...]:
        """The stages of each bracket."""
        return hyperband_table(self.levels, self.eta)[: self.brackets]


def hyperband_table(levels: Sequence[int], eta: float) -> tuple[tuple[Stage, ...], ...]:
    """The stages of all brackets ([Li2018]_, Algorithm 1).

    Bracket b begins at level number b. With K levels and k = K - b of them left, it starts
    ``n = ceil(K / k * eta**(k - 1))`` trials, and its rung number i holds the best ``floor(n / eta**i)`` of them (the
    paper counts brackets by s = k - 1, and has K = s_max + 1).

    Parameters
    ----------
    levels
        All levels, strictly increasing, the full resource included.
    eta
        Reduction factor, >= 2.

    Examples
    --------
    ``hyperband_table((1, 3, 9, 27, 81), 3)`` is Table 1 of the paper: 81, 34, 15, 8 and 5 trials at first.
    """
    table: list[tuple[Stage, ...]] = []
    for bracket in range(len(levels)):
        left = levels[bracket:]
        n_trials = math.ceil(len(levels) / len(left) * eta ** (len(left) - 1) - _ROUNDING)
        sizes = [max(1, math.floor(n_trials / eta**rung + _ROUNDING)) for rung in range(len(left))]
        table.append(tuple(Stage(level, size) for level, size in zip(left, sizes, strict=True)))
    return tuple(table)


@final
@dataclass(frozen=True, slots=True, order=True)
class Standing:
    """Standing of a trial in a rung after its run; better ones are smaller, equal losses are ordered by age."""

    loss: float
    """``inf`` if the trial failed, a user took it away, or its loss is not finite."""
    trial_id: int
    reached: int
    """Its highest resource."""
    is_paused: bool
    """Whether it may be resumed."""

    def may_enter(self, level: int) -> bool:
        """Whether it can be promoted to a level: it goes on, or has been there already."""
        return math.isfinite(self.loss) and (self.is_paused or self.reached >= level)


def standing_of(history: History, trial_id: int, status: TrialStatus, metric: Metric) -> Standing:
    """Return the standing of a trial whose run has ended: by its last result, or the worst if it failed or a user took it away."""
    last = history.last(trial_id)
    is_missing = status is TrialStatus.FAILED or history.is_withdrawn(trial_id)
    return Standing(
        metric.loss_of(last.metrics) if last and not is_missing else math.inf,
        trial_id,
        last.resource if last else 0,
        status is TrialStatus.PAUSED,
    )


def verdict_at(resource: int, until: int | None, max_resource: int) -> Verdict:
    """Pause a run at the level that it was to reach; let it come to its own end at ``max_resource``, and stop it beyond."""
    if resource > max_resource:
        return Verdict(decision=Decision.STOP, reason=f"beyond max_resource {max_resource}")
    if until is None or resource < until or resource == max_resource:
        return CONTINUE
    return Verdict(decision=Decision.PAUSE, reason=f"reached {until}")


@final
class Bracket:
    """Successive halving with a fixed number of trials in each rung.

    A rung is over when all its trials have ended their runs. Then the best of those that can go on are promoted, as
    many as the next stage has places; fewer if too many failed or diverged. A trial whose report jumped to the
    next level takes its place there without a run. The order in which runs end changes nothing.

    Parameters
    ----------
    number
        Counts brackets in the order of their opening.
    stages
        Its plan.
    held
        Set of the paused trials of all brackets that may still be promoted; this bracket keeps its own up to date.
    """

    def __init__(self, number: int, stages: Sequence[Stage], held: dict[int, None]) -> None:
        self.number = number
        self.rung = 0
        """The present rung."""
        self._stages = stages
        self._held = held
        self._n_begun = 0
        self._running: set[int] = set()
        self._ended: list[Standing] = []
        self._due: list[int] = []

    @property
    def has_place(self) -> bool:
        """Whether a new trial can be started in the first rung."""
        return self.rung == 0 and self._n_begun < self._stages[0].size

    @property
    def is_over(self) -> bool:
        """Whether nothing will ever be run in it again."""
        return not self.has_place and not self._running and not self._due

    @property
    def due(self) -> int | None:
        """The best promoted trial that has not gone on yet."""
        return self._due[0] if self._due else None

    def until(self, rung: int) -> int | None:
        """Resource at which a run in a rung ends; None: at the end of the training."""
        return self._stages[rung].level if rung < len(self._stages) - 1 else None

    def due_if_full(self) -> tuple[int, int] | None:
        """The trial and its rung that would be due if no further trial came into the first rung; None: nothing."""
        if not self.has_place or self._running:
            return None
        rung, standings = self._promoted()
        level = self._stages[rung].level
        return next(((s.trial_id, rung) for s in standings if s.reached < level), None)

    def begin(self, trial_id: int, rung: int) -> None:
        """A run begins: of a new trial, or of the one that was due in ``rung``."""
        if rung > self.rung:
            self._close()
        if rung == 0:
            self._n_begun += 1
        else:
            self._due.remove(trial_id)
        self._held.pop(trial_id, None)
        self._running.add(trial_id)

    def end(self, standing: Standing) -> None:
        """A run has ended; the last one of a rung closes it."""
        self._running.discard(standing.trial_id)
        self._ended.append(standing)
        if not self._running and not self._due and not self.has_place:
            self._close()
        elif self.rung + 1 < len(self._stages):
            self._hold(self._best(self._ended, self.rung + 1))

    def _close(self) -> None:
        rung, standings = self._promoted()
        self._hold(standings)
        self.rung = rung
        level = self._stages[rung].level
        self._ended = [standing for standing in standings if standing.reached >= level]
        self._due = [standing.trial_id for standing in standings if standing.reached < level]

    def _promoted(self) -> tuple[int, list[Standing]]:
        """The next rung with trials to run, and all its trials, best first."""
        rung, standings = self.rung, self._ended
        while rung + 1 < len(self._stages):
            rung += 1
            level = self._stages[rung].level
            standings = self._best(standings, rung)
            if any(standing.reached < level for standing in standings):
                return rung, standings
        return rung, []

    def _best(self, standings: Iterable[Standing], rung: int) -> list[Standing]:
        """The trials that would be promoted to a rung, best first."""
        stage = self._stages[rung]
        return sorted(standing for standing in standings if standing.may_enter(stage.level))[: stage.size]

    def _hold(self, standings: Iterable[Standing]) -> None:
        """Of the trials that ended in this rung, the given ones may still be promoted."""
        for standing in self._ended:
            self._held.pop(standing.trial_id, None)
        self._held.update({standing.trial_id: None for standing in standings if standing.is_paused})


@final
class EvolvingBracket:
    """A bracket in which each rung is filled with new trials, once those of the rung before it have ended.

    Parameters
    ----------
    number
        Counts brackets in the order of their opening.
    stages
        Its plan.
    """

    def __init__(self, number: int, stages: Sequence[Stage]) -> None:
        self.number = number
        self.rung: int = 0
        """The present rung."""
        self._stages = stages
        self._n_begun = 0
        self._n_ended = 0

    @property
    def has_place(self) -> bool:
        """Whether a trial can be started in the present rung."""
        return not self.is_over and self._n_begun < self._stages[self.rung].size

    @property
    def is_over(self) -> bool:
        """Whether all rungs have ended."""
        return self.rung == len(self._stages)

    def begin(self) -> None:
        """A trial of the present rung begins."""
        self._n_begun += 1

    def end(self) -> None:
        """A trial of the present rung has ended; after the last one comes the next rung."""
        self._n_ended += 1
        if self._n_ended == self._stages[self.rung].size:
            self.rung += 1
            self._n_begun = self._n_ended = 0
