"""ASHA: asynchronous successive halving by promotion or by stopping; and RUSH's limit of promotions.

References
----------
.. [Zappella2021] Zappella, Salinas, Archambeau: A Resource-Efficient Method for Repeated HPO and NAS. AutoML workshop
   at ICML 2021.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate, pairwise
from typing import Final, TypeAlias, final

from typing_extensions import override

from tunewright.exceptions import SettingsError, choice
from tunewright.history import History
from tunewright.interfaces import Scheduler, Searcher
from tunewright.metric import Metric
from tunewright.schedulers.first_rung import FirstRung
from tunewright.schedulers.objectives import Objectives
from tunewright.schedulers.rungs import (
    Rung,
    bracket_weights,
    first_level,
    rung_levels,
    whole_number,
    with_max_resource,
    with_searchers_part,
)
from tunewright.searchers.repeats import Repeats
from tunewright.seeding import Stream, generator
from tunewright.trial import CONTINUE, KNOWN, Decision, Result, Resume, Run, Start, TrialStatus, Verdict
from tunewright.types import Config, Note

_OF_RUNS: Final = "st_worker_"
"""Prefix of values that ``Reporter`` counts from the start of each run."""
_MOST: Final = 1e290
"""Maximum cost; larger values count as this one, so that sums stay finite."""


@final
class CostMeter:
    """Adds up a reported cost over the runs of a trial.

    The value is the trial's cost since its training began. Values that ``Reporter`` adds restart from zero with each
    run, and so does a value that falls: these are added to the cost of earlier runs.

    Parameters
    ----------
    name
        The key in reports.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._before: dict[int, float] = {}
        self._newest: dict[int, float] = {}

    def begin(self, trial_id: int) -> None:
        """A run begins."""
        if self._name.startswith(_OF_RUNS):
            self._close(trial_id)

    def total(self, trial_id: int, metrics: Mapping[str, float]) -> float:
        """Return the cost so far, >= 0, after a report; a value that is not finite adds nothing."""
        value, newest = metrics.get(self._name, math.nan), self._newest.get(trial_id, 0.0)
        if math.isfinite(value):
            if value < newest:
                self._close(trial_id)
            self._newest[trial_id] = min(max(value, 0.0), _MOST)
        return self._before.get(trial_id, 0.0) + self._newest.get(trial_id, 0.0)

    def _close(self, trial_id: int) -> None:
        self._before[trial_id] = self._before.get(trial_id, 0.0) + self._newest.pop(trial_id, 0.0)


BracketWeights: TypeAlias = Callable[[History], Sequence[float] | None]
"""Weights of the brackets, >= 0 and not all zero; a function of History."""


class ASHAKind(StrEnum):
    """Treatment of trials at a rung."""

    PROMOTION = "promotion"
    """It pauses, and goes on once it is among the best of the rung."""
    STOPPING = "stopping"
    """It goes on at once or stops for good."""


@dataclass(frozen=True, kw_only=True)
class RungSettings:
    """Rungs and brackets of asynchronous successive halving, for a full run of any length; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work; the message has the legal ones.
    """

    kind: ASHAKind = ASHAKind.PROMOTION
    """``promotion`` (trials pause at rungs and the best go on) or ``stopping``."""
    grace_period: int | None = None
    """The first rung level, >= 1; None: ``ceil(max_resource / eta**4)``, which is 1 for up to 81 units with ``eta=3``."""
    eta: float = 3
    """Reduction factor, >= 2: about one in ``eta`` trials of a rung goes further."""
    brackets: int = 1
    """Number of brackets, >= 1, drawn as in Hyperband; bracket s has no comparison at the first s rungs."""
    rung_levels: tuple[int, ...] | None = None
    """Own levels instead of ``grace_period * eta**j``: strictly increasing, >= 1."""
    shared_rungs: bool = True
    """Whether the trials of all brackets are compared with one another."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", choice("kind", ASHAKind, self.kind))
        if not 2 <= self.eta < math.inf:
            raise SettingsError(f"eta={self.eta} must be >= 2 and finite")
        if self.grace_period is not None and self.grace_period < 1:
            raise SettingsError(f"grace_period={self.grace_period} must be >= 1")
        if self.brackets < 1:
            raise SettingsError(f"brackets={self.brackets} must be >= 1")
        levels = self.rung_levels
        if levels is not None and not (levels and all(low < high for low, high in pairwise((0, *levels)))):
            raise SettingsError(f"rung_levels={levels} must be strictly increasing and >= 1")

    @property
    def promotion_eta(self) -> float | None:
        """The reduction factor if trials wait at rungs for their promotion, else None."""
        return self.eta if self.kind is ASHAKind.PROMOTION else None

    def within(
        self,
        max_resource: int,
        *,
        fewer_brackets: bool = False,
        cost: str | None = None,
        elapsed: str | None = None,
        drop_first_rung: bool = False,
    ) -> ASHASettings:
        """Return the settings of a scheduler whose full runs are ``max_resource`` long.

        Parameters
        ----------
        max_resource
            The resource of a full run, >= 2.
        fewer_brackets
            Whether more brackets than there are rungs mean as many as there are rungs.
        cost, elapsed, drop_first_rung
            See `ASHASettings`.

        Raises
        ------
        SettingsError
            They do not fit the benchmark.
        """
        brackets = self.brackets
        if fewer_brackets:
            one_bracket = with_max_resource(ASHASettings, self, max_resource, brackets=1)
            brackets = min(brackets, len(one_bracket.levels))
        return with_max_resource(
            ASHASettings,
            self,
            max_resource,
            brackets=brackets,
            cost=cost,
            elapsed=elapsed,
            drop_first_rung=drop_first_rung,
        )


@final
@dataclass(frozen=True, kw_only=True)
class ASHASettings(RungSettings):
    """How :class:`ASHA` compares trials; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work; the message has the legal ones.
    """

    max_resource: int
    """The resource of a full run, >= 2; above ``grace_period`` and all ``rung_levels``."""
    cost: str | None = None
    """Name of the reported cost of a trial so far: promotions then go by shares of cost. None: by counts."""
    elapsed: str | None = None
    """Name of the reported elapsed time: a trial whose report at a rung repeats an earlier trial's, this value included, takes no
    place there and is stopped. None: it is treated as any other."""
    drop_first_rung: bool = False
    """Whether new trials start at the second rung while the first one's order says nothing about it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_resource < 2:
            raise SettingsError(
                f"max_resource={self.max_resource} leaves no room for a rung: it must be >= 2"
            )
        if self.grace_period is not None and self.grace_period >= self.max_resource:
            raise SettingsError(
                f"grace_period={self.grace_period} must be >= 1 and below max_resource={self.max_resource}"
            )
        if self.rung_levels is not None and self.rung_levels[-1] >= self.max_resource:
            raise SettingsError(
                f"rung_levels={self.rung_levels} must be strictly increasing, >= 1 and below "
                f"max_resource={self.max_resource}"
            )
        check_cost(self.cost, self)
        most = len(self.levels) + 1
        if self.brackets > most:
            raise SettingsError(
                f"brackets={self.brackets} must be between 1 and {most}: the rung levels are {self.levels}"
            )

    @property
    def levels(self) -> tuple[int, ...]:
        """The rung levels, strictly increasing, all below ``max_resource``."""
        if self.rung_levels is not None:
            return self.rung_levels
        grace_period = first_level(self.grace_period, self.max_resource, self.eta)
        return rung_levels(self.max_resource, grace_period=grace_period, eta=self.eta)


def check_cost(cost: str | None, rungs: RungSettings) -> None:
    """Check that promotions can go by a reported cost.

    Raises
    ------
    SettingsError
        The name is empty, or nothing is promoted.
    """
    if cost is not None and (not cost or rungs.promotion_eta is None):
        raise SettingsError("cost must name a reported value, and needs kind=promotion")


class PromotionLimit(ABC):
    """Keeps promotions below a resource, which may grow (as in PASHA)."""

    @property
    @abstractmethod
    def resource(self) -> int:
        """No trial is promoted beyond it."""

    @abstractmethod
    def observe(self, trial_id: int, resource: int, loss: float, rungs: Sequence[Rung]) -> None:
        """Take in a result; ``rungs`` (lowest first) hold it already if it reached one."""

    def admits(self, trial_id: int, level: int, loss: float) -> bool:
        """Whether a trial that is due for promotion at this level may go on (as in RUSH); all may, unless overridden."""
        return True


@final
class ASHA(Scheduler):
    """Asynchronous successive halving (Li et al., MLSys 2020) over any searcher.

    **Promotion** (Algorithm 2 there). A trial pauses at each rung. A free worker resumes the best paused trial that is
    among the top ``floor(n / eta)`` of its rung, looking from the highest rung down; if there is none, it starts a
    new trial. Comparing with the 1/eta quantile instead would let ``floor((n - 1) / eta) + 1`` trials pass: with
    ``eta=3`` the first of 2 and the second of 4. That is one trial too many in every rung, and the top rungs, where
    trials are few and long, would cost up to twice their share. Waiting is no loss, as the worker starts another trial.

    **Stopping**. A trial that does not go on at once never does, so no worker waits: it goes on
    if its loss is within the 1/eta quantile of the rung, itself included, and the first of a rung always does.

    **Promotion by cost** (`ASHASettings.cost`). The top of a rung is the longest list of its best trials whose costs add
    up to no more than one eta-th of what all trials spent up to there, so that each rung gets its share of cost, not of
    trials: many cheap ones rise, or few expensive ones.

    **Repeats** (`ASHASettings.elapsed`). In recorded tables several configurations may share a cell. Such a trial says nothing
    new: it is stopped at its first rung and does not count there.

    **First rung** (`ASHASettings.drop_first_rung`). See :class:`~tunewright.schedulers.first_rung.FirstRung`. The evidence are trials
    of other brackets than the first, so that there must be several. A change is announced as ``message`` in the note of the
    next new trial.

    A report that jumps over rungs counts for all that it reached and had not been counted for: it waits (or is judged)
    at the highest of them, and holds a place in the lower ones; a known result (`tunewright.trial.KNOWN`) holds none there, since
    it was trained longer than the trials that it would push aside, and one of a full run holds none at all. A non-finite loss is the worst and never promoted. A
    trial that ended by itself counts for the rung that it was running to and is not resumed; a failed one keeps the
    places that it had. Reports beyond ``max_resource`` end the trial; the one at ``max_resource`` lets the script come
    to its own end, so that the trial is COMPLETED.

    Parameters
    ----------
    searcher
        Chooses the configurations of new trials.
    settings
        Rungs, brackets and kind.
    metric
        The metric to compare; several objectives as in :class:`~tunewright.schedulers.objectives.Objectives`.
    seed
        Draws the brackets of new trials.
    limit
        Keeps promotions below a resource; None: up to the end. Of several objectives it sees the first.
    weights
        Weights of the brackets of new trials as a function of History. If it is absent or
        returns None, Hyperband's shares are taken.
    """

    def __init__(
        self,
        searcher: Searcher,
        settings: ASHASettings,
        *,
        metric: Metric | Objectives,
        seed: int,
        limit: PromotionLimit | None = None,
        weights: BracketWeights | None = None,
    ) -> None:
        self._searcher = searcher
        self._limit = limit
        self._metrics = (metric,) if isinstance(metric, Metric) else metric.metrics
        ranking = None if isinstance(metric, Metric) else metric.scores
        self._seed = seed
        self._kind = settings.kind
        self._max_resource = settings.max_resource
        self._levels = settings.levels
        self._ends = (*self._levels, None)
        self._weights = weights
        self._shares = bracket_weights(self._levels, settings.max_resource, settings.brackets)
        n_systems = 1 if settings.shared_rungs else settings.brackets
        self._systems = [
            [Rung(level, settings.eta, ranking) for level in self._levels] for _ in range(n_systems)
        ]
        self._top_down = [rung for tier in reversed(list(zip(*self._systems, strict=True))) for rung in tier]
        self._brackets: dict[int, int] = {}
        self._counted: dict[int, int] = {}
        self._known: dict[int, int] = {}
        """Highest resource of the known results of a trial that has some."""
        self._waiting: dict[int, Rung] = {}
        self._meter = None if settings.cost is None else CostMeter(settings.cost)
        self._repeats = None if settings.elapsed is None else Repeats(settings.elapsed)
        self._announced = self._levels[0]
        self._first_rung: FirstRung | None = None
        if settings.drop_first_rung and len(self._levels) > 1:
            self._first_rung = FirstRung(*self._levels[:2])

    @override
    def suggest(self, history: History) -> Start | Resume | None:
        """A promotion if one is due, else a new trial; None when the space is exhausted."""
        highest = self._max_resource if self._limit is None else self._limit.resource
        for rung in self._top_down:
            trial_id = self._promotable(rung) if rung.level < highest else None
            if trial_id is not None:
                note = {"bracket": self._brackets[trial_id]}
                return Resume(trial_id=trial_id, until=self._ends[self._counted[trial_id]], note=note)
        bracket, until = self._place(history)
        suggestion = self._searcher.suggest(history, until=until)
        if suggestion is None:
            return None
        note = with_searchers_part({"bracket": bracket, **self._announcement()}, suggestion.note)
        return Start(config=suggestion.config, until=until, note=note)

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Take in a new trial, or take a promoted one off the waiting list."""
        trial_id = run.trial_id
        if self._meter is not None:
            self._meter.begin(trial_id)
        if trial_id not in self._brackets:
            note = history.note(trial_id)
            self._brackets[trial_id] = whole_number(note, "bracket")
            self._counted[trial_id] = self._brackets[trial_id]
            if KNOWN in note:
                self._known[trial_id] = whole_number(note, KNOWN)
            self._announced = whole_number(note, "first_rung", self._announced)
            if self._first_rung is not None:
                self._first_rung.look(history.n_trials)
            return
        rung = self._waiting.pop(trial_id, None)
        if rung is not None:
            rung.release(trial_id)

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        if self._first_rung is not None and self._brackets[trial_id] > 0:
            loss = self._metrics[0].loss_of(result.metrics)
            self._first_rung.observe(trial_id, result.resource, loss)
        original = None if self._repeats is None else self._repeats.original(trial_id, result)
        if original is not None and self._is_at_rung(trial_id, result.resource):
            return Verdict(decision=Decision.STOP, reason=f"repeats trial {original}")
        reached = self._count(trial_id, result.resource, result)
        if self._limit is not None:
            loss = self._metrics[0].loss_of(result.metrics)
            self._limit.observe(trial_id, result.resource, loss, self._system(trial_id))
        if result.resource >= self._max_resource:
            if result.resource == self._max_resource:
                return CONTINUE
            return Verdict(decision=Decision.STOP, reason=f"beyond max_resource {self._max_resource}")
        if not reached:
            return CONTINUE
        if self._kind is ASHAKind.PROMOTION:
            return Verdict(decision=Decision.PAUSE, reason=f"rung {reached[-1].level}")
        for rung in reached:
            if not rung.survives(trial_id) or not self._admits(trial_id, rung, rung.loss(trial_id)):
                reason = f"rung {rung.level}: not among the best of {len(rung)}"
                return Verdict(decision=Decision.STOP, reason=reason)
        return CONTINUE

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Let a paused trial wait for its promotion; count a completed one for the rung that it was running to."""
        if status is TrialStatus.PAUSED:
            counted = self._counted[trial_id]
            if counted > self._brackets[trial_id]:
                rung = self._system(trial_id)[counted - 1]
                if rung.admit(trial_id):
                    self._waiting[trial_id] = rung
        elif status is TrialStatus.COMPLETED:
            until, last = history.until(trial_id), history.last(trial_id)
            if until is not None and last is not None:
                self._count(trial_id, until, last)

    @override
    def resumable(self, history: History) -> Collection[int]:
        """Paused trials with a finite loss: any of them may rise as others do worse."""
        return self._waiting.keys()

    @override
    def start_requested(self, history: History, config: Config) -> Start:
        bracket, until = self._place(history)
        return Start(config=config, until=until, note={"bracket": bracket, **self._announcement()})

    @override
    def resume_requested(self, history: History, trial_id: int) -> Resume:
        """On to the rung to which it was running."""
        note = {"bracket": self._brackets[trial_id]}
        return Resume(trial_id=trial_id, until=history.until(trial_id), note=note)

    def _place(self, history: History) -> tuple[int, int | None]:
        """The bracket of the next new trial, and the end of its first run."""
        bracket = self._draw_bracket(history)
        return bracket, self._ends[bracket] if self._kind is ASHAKind.PROMOTION else None

    def _promotable(self, rung: Rung) -> int | None:
        found = (trial_id for loss, trial_id in rung.promotable_all() if self._admits(trial_id, rung, loss))
        return next(found, None)

    def _admits(self, trial_id: int, rung: Rung, loss: float) -> bool:
        return self._limit is None or self._limit.admits(trial_id, rung.level, loss)

    def _draw_bracket(self, history: History) -> int:
        lowest = 0 if self._first_rung is None else int(self._first_rung.is_dropped)
        if len(self._shares) == 1:
            return lowest
        shares = (self._weights and self._weights(history)) or self._shares
        place = generator(self._seed, Stream.BRACKET, history.n_runs).random() * math.fsum(shares)
        return max(lowest, min(bisect_right(list(accumulate(shares)), place), len(shares) - 1))

    def _announcement(self) -> Note:
        """Part of a new trial's note if the first rung of new trials has changed."""
        first = self._first_rung
        if first is None or first.level == self._announced:
            return {}
        return {"first_rung": first.level, "message": first.text()}

    def _is_at_rung(self, trial_id: int, resource: int) -> bool:
        counted = self._counted[trial_id]
        return counted < len(self._levels) and self._levels[counted] <= resource

    def _system(self, trial_id: int) -> list[Rung]:
        return self._systems[self._brackets[trial_id] if len(self._systems) > 1 else 0]

    def _count(self, trial_id: int, resource: int, result: Result) -> list[Rung]:
        """Record a result in all rungs up to ``resource`` that lack the trial; return these."""
        cost = None if self._meter is None else self._meter.total(trial_id, result.metrics)
        begin = end = self._counted[trial_id]
        while end < len(self._levels) and self._levels[end] <= resource:
            end += 1
        self._counted[trial_id] = end
        if resource <= self._known.get(trial_id, 0):
            is_full = resource >= self._max_resource
            begin = end if is_full else max(begin, end - 1)
        if begin == end:
            return []
        reached = self._system(trial_id)[begin:end]
        losses = [metric.loss_of(result.metrics) for metric in self._metrics]
        for rung in reached:
            rung.record(trial_id, *losses, cost=cost)
        return reached


@final
class CandidateLimit(PromotionLimit):
    """RUSH's limit: the lowest loss of the first trials at each rung; it binds all other trials ([Zappella2021]_, section 3).

    The first rungs may be exempt: few units of training rank trials by chance, and one lucky candidate would then end
    nearly all others.

    Parameters
    ----------
    n_candidates
        Number of first trials that set it, >= 0; only the rungs limit these trials themselves.
    max_resource
        Of a full run.
    first_level
        The first level whose limit binds.
    """

    def __init__(self, n_candidates: int, max_resource: int, first_level: float = 0) -> None:
        self._n_candidates = n_candidates
        self._first_level = first_level
        self._max_resource = max_resource
        self._lowest: dict[int, float] = {}
        self._seen: dict[int, int] = {}

    @property
    @override
    def resource(self) -> int:
        """Promotions go up to the full resource."""
        return self._max_resource

    @override
    def observe(self, trial_id: int, resource: int, loss: float, rungs: Sequence[Rung]) -> None:
        """Lower the limit of the rungs that a candidate reaches with this result."""
        if trial_id >= self._n_candidates:
            return
        for rung in rungs:
            if self._seen.get(trial_id, 0) < rung.level <= resource and trial_id in rung:
                self._lowest[rung.level] = min(self._lowest.get(rung.level, math.inf), loss)
        self._seen[trial_id] = resource

    @override
    def admits(self, trial_id: int, level: int, loss: float) -> bool:
        if trial_id < self._n_candidates or level < self._first_level:
            return True
        return loss <= self._lowest.get(level, math.inf)
