"""Rungs, on which all methods of the successive halving family compare trials.

A rung is a resource level at which trials are compared. Levels are ``round(grace_period * eta**j)``, strictly below
``max_resource``; a run to ``max_resource`` itself needs no comparison at its end.

References
----------
.. [Li2018] Li, Jamieson, DeSalvo, Rostamizadeh, Talwalkar: Hyperband. JMLR 18 (2018).
.. [Li2020] Li, Jamieson, Rostamizadeh, Gonina, Ben-tzur, Hardt, Recht, Talwalkar: A System for Massively Parallel
   Hyperparameter Tuning. MLSys 2020.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Final, TypeAlias, TypeVar, final

from tunewright.types import Dataclass, Note

SettingsT = TypeVar("SettingsT")

_MOST_RUNGS: Final = 4
"""Rungs below the full resource by default; Hyperband's example with 81 units has them."""
_ROUNDING: Final = 1e-9
"""Rounding error of a quotient by a power of a reduction factor."""

Ranking: TypeAlias = Callable[[Sequence[tuple[float, ...]]], Sequence[float]]
"""Several losses of each of n trials -> n numbers, lower is better, inf for trials that are never promoted."""


def rung_levels(max_resource: int, *, grace_period: int = 1, eta: float = 3) -> tuple[int, ...]:
    """The geometric rung levels below ``max_resource``.

    Parameters
    ----------
    max_resource
        End of a trial (excluded).
    grace_period
        The first level, >= 1.
    eta
        The ratio of one level to the one before it, >= 2.

    Returns
    -------
    tuple of int
        ``round(grace_period * eta**j)`` for j = 0, 1, ..., strictly increasing.
    """
    levels: list[int] = []
    level = float(grace_period)
    while round(level) < max_resource:
        levels.append(round(level))
        level *= eta
    return tuple(levels)


def first_level(grace_period: int | None, max_resource: int, eta: float) -> int:
    """The first rung level: ``grace_period``, or by default ``ceil(max_resource / eta**4)``.

    The default leaves at most four rungs below ``max_resource``, so that the first comparison of long runs is not made
    after a single unit of them. It is 1 for up to ``eta**4`` units: 81 with ``eta=3``.
    """
    if grace_period is not None:
        return grace_period
    return math.ceil(max_resource / eta**_MOST_RUNGS - _ROUNDING)


def bracket_weights(levels: Sequence[int], max_resource: int, n_brackets: int) -> tuple[float, ...]:
    """Probabilities of the brackets of new trials, for Hyperband's equal budget per bracket.

    Bracket s skips the first s rungs. With K = ``len(levels) + 1`` stages in bracket 0 and first level r_s, Hyperband
    gives bracket s a number of trials in proportion to ``K / ((K - s) * r_s)`` ([Li2018]_, Algorithm 1, line 3).

    Parameters
    ----------
    levels
        All rung levels, strictly increasing.
    max_resource
        The level that follows the last rung.
    n_brackets
        Number of brackets, at most K.

    Returns
    -------
    tuple of float
        Probabilities, one per bracket.
    """
    stages = (*levels, max_resource)
    n_stages = len(stages)
    weights = [n_stages / ((n_stages - s) * stages[s]) for s in range(n_brackets)]
    total = math.fsum(weights)
    return tuple(weight / total for weight in weights)


@final
class Rung:
    """The losses recorded at one level, and the trials that wait there for a promotion.

    Recording, asking and promoting cost O(log n) comparisons. A non-finite loss counts as the worst value: it takes a
    place in the rung, but its trial neither waits nor survives.

    Parameters
    ----------
    level
        The resource of this rung.
    eta
        One in ``eta`` trials goes further.
    ranking
        Maps the losses of all trials to one number each; a record then costs O(n log n), or as much as the ranking.
        None: there is one loss.
    """

    __slots__ = ("_costs", "_entries", "_eta", "_losses", "_ranking", "_several", "_waiting", "level")

    def __init__(self, level: int, eta: float, ranking: Ranking | None = None) -> None:
        self.level = level
        self._eta = eta
        self._ranking = ranking
        self._several: dict[int, tuple[float, ...]] = {}
        self._losses: dict[int, float] = {}
        self._entries: list[tuple[float, int]] = []
        self._waiting: list[tuple[float, int]] = []
        self._costs: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, trial_id: int) -> bool:
        return trial_id in self._losses

    @property
    def entries(self) -> Sequence[tuple[float, int]]:
        """All ``(loss, trial_id)`` recorded, best first; equal losses in the order of the ids. A live view until the next record."""
        return self._entries

    def record(self, trial_id: int, *losses: float, cost: float | None = None) -> None:
        """Enter a trial's loss, or its several losses if there is a ranking; a trial is entered once.

        Parameters
        ----------
        trial_id, losses
            The trial and its losses.
        cost
            What the trial has cost up to here, >= 0, if promotions go by cost: then for all trials or none.
        """
        if cost is not None:
            self._costs[trial_id] = cost
        if self._ranking is None:
            (loss,) = losses
            self._losses[trial_id] = loss
            insort(self._entries, (loss, trial_id))
            return
        self._several[trial_id] = losses
        self._losses = dict(zip(self._several, self._ranking(list(self._several.values())), strict=True))
        self._entries = sorted((loss, trial_id) for trial_id, loss in self._losses.items())
        self._waiting = sorted((self._losses[trial_id], trial_id) for _, trial_id in self._waiting)

    def admit(self, trial_id: int) -> bool:
        """Let a recorded trial wait for its promotion, now that it may be resumed.

        Returns
        -------
        bool
            Whether it waits: a trial with a non-finite loss is never promoted.
        """
        loss = self._losses[trial_id]
        if not math.isfinite(loss):
            return False
        insort(self._waiting, (loss, trial_id))
        return True

    def release(self, trial_id: int) -> None:
        """A waiting trial goes on: it keeps its place among the losses, and waits no longer."""
        del self._waiting[bisect_left(self._waiting, (self._losses[trial_id], trial_id))]

    def loss(self, trial_id: int) -> float:
        """The recorded loss of a trial, or its number in the ranking."""
        return self._losses[trial_id]

    def promotable(self) -> int | None:
        """The best waiting trial among the top ``floor(n / eta)`` of the n recorded ones ([Li2020]_, Algorithm 2).

        The trials already promoted keep their places, so it is enough to look at the best that waits.
        """
        return next((trial_id for _, trial_id in self.promotable_all()), None)

    def promotable_all(self) -> Iterator[tuple[float, int]]:
        """All ``(loss, trial_id)`` that wait among the top ``floor(n / eta)``, best first.

        If costs are recorded, the top is instead the longest list of best trials that together cost no more than
        one ``eta``-th of all; with equal costs these are the same.
        """
        if not self._waiting:
            return
        n_top = self._n_within_costs() if self._costs else len(self._entries) // self._eta
        for entry in self._waiting:
            if bisect_left(self._entries, entry) >= n_top:
                return
            yield entry

    def _n_within_costs(self) -> int:
        left = math.fsum(self._costs.values()) / self._eta * (1 + 1e-12)
        for place, (_, trial_id) in enumerate(self._entries):
            left -= self._costs[trial_id]
            if left < 0:
                return place
        return len(self._entries)

    def survives(self, trial_id: int) -> bool:
        """Whether a recorded trial may run on in ASHA's stopping variant.

        Its loss must not exceed the 1/eta quantile (linear interpolation) of all recorded ones, its own included. The
        first trial of a rung has nothing to be compared with and survives.
        """
        if len(self._entries) < 2:
            return True
        loss = self._losses[trial_id]
        return math.isfinite(loss) and loss <= self._quantile()

    def _quantile(self) -> float:
        position = (len(self._entries) - 1) / self._eta
        index = int(position)
        lower, upper = self._entries[index][0], self._entries[index + 1][0]
        if math.isinf(upper):  # no finite loss lies between the two
            return lower
        return lower + (position - index) * (upper - lower)


def with_max_resource(
    kind: type[SettingsT], settings: Dataclass, max_resource: int, **changes: object
) -> SettingsT:
    """Return settings of class ``kind``: the fields of ``settings``, with changes, for full runs of ``max_resource``.

    Raises
    ------
    SettingsError
        They do not fit the benchmark.
    """
    values = {field.name: getattr(settings, field.name) for field in fields(settings)}
    return kind(**{**values, **changes, "max_resource": max_resource})


def whole_number(note: Note, key: str, default: int = 0) -> int:
    """The whole number under ``key``; ``default`` if there is none."""
    value = note.get(key, default)
    return value if isinstance(value, int) else default


def with_searchers_part(note: Note, searchers: Note) -> Note:
    """A scheduler's note, and under ``"searcher"`` the searcher's, if it has one."""
    return {**note, "searcher": dict(searchers)} if searchers else note
