"""Two searchers that take turns: a model, and chance; the share of each is fixed or follows their results.

References
----------
.. [Thompson1933] Thompson: On the Likelihood that One Unknown Probability Exceeds Another in View of the Evidence of Two
   Samples. Biometrika 25 (1933).
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, final

import numpy as np
from scipy import special
from typing_extensions import override

from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.metric import Metric
from tunewright.models.arrays import Array
from tunewright.searchers.repeats import Repeats
from tunewright.seeding import Stream, generator
from tunewright.trial import Result, Suggestion, TrialStatus
from tunewright.types import Json

_NEWEST: Final = 50
"""Judged trials of a searcher that count: its newest ones, since models improve and spaces are used up."""
_CLEAR: Final = 0.25
"""Change of the share that is announced."""
_N_QUANTILES: Final = 64


@final
@dataclass(frozen=True, slots=True)
class Arm:
    """A searcher of a mixture."""

    name: str
    """Name in notes."""
    searcher: Searcher
    words: str
    """Where its configurations come from, for the user."""


@final
@dataclass(frozen=True, slots=True)
class Successes:
    """Successes among the judged trials of an arm."""

    n_good: int = 0
    n_judged: int = 0

    def text(self) -> str:
        """The counts."""
        return f"{self.n_good} of {self.n_judged}"


def probability_better(first: Successes, second: Successes) -> float:
    """Probability that the first arm succeeds more often than the second ([Thompson1933]_).

    Both rates have the posterior Beta(1 + successes, 1 + failures) of a uniform prior. The integral over the second is taken at
    the middles of 64 parts of equal probability.
    """
    parts = (np.arange(_N_QUANTILES) + 0.5) / _N_QUANTILES
    rates: Array = special.betaincinv(1 + second.n_good, 1 + second.n_judged - second.n_good, parts)
    below: Array = special.betainc(1 + first.n_good, 1 + first.n_judged - first.n_good, rates)
    return float(1.0 - np.mean(below))


@final
class Outcomes:
    """Successes of the arms of a mixture, read from History.

    A trial is judged at the level that it runs to first. It succeeds if it is among the best ``floor(n / eta)`` of the n trials
    with a result there, and none of its reports so far repeats an earlier trial's. It fails if it repeats one, diverges, or
    crashes on the way. Places change as other trials arrive, for all arms alike. Levels with less than ``eta`` trials judge
    none.

    Parameters
    ----------
    metric
        The metric to tune.
    levels
        Resources at which trials are compared, strictly increasing; the last one is that of a full run.
    eta
        One in ``eta`` trials is among the best.
    elapsed
        Name of the reported elapsed time, by which repeats are found; None: they are not looked for.
    """

    def __init__(self, metric: Metric, levels: Sequence[int], eta: float, elapsed: str | None = None) -> None:
        self._metric = metric
        self._levels = tuple(levels)
        self._eta = eta
        self._elapsed = elapsed
        self._history: History | None = None

    def of(self, history: History) -> Mapping[str, Successes]:
        """Successes by arm, each of the newest 50 judged trials; arms without a trial are missing."""
        self._read(history)
        return {arm: self._judged(trials, history) for arm, trials in self._trials.items()}

    def _judged(self, trials: Sequence[int], history: History) -> Successes:
        n_good = n_judged = 0
        for trial_id in reversed(trials):
            success = self._success(trial_id, history)
            if success is not None:
                n_good += success
                n_judged += 1
                if n_judged == _NEWEST:
                    break
        return Successes(n_good, n_judged)

    def _success(self, trial_id: int, history: History) -> bool | None:
        """None: not known yet."""
        if trial_id in self._repeating:
            return False
        loss = self._own.get(trial_id)
        if loss is None:
            return False if history.status(trial_id) is TrialStatus.FAILED else None
        losses = self._losses[self._goals[trial_id]]
        n_best = math.floor(len(losses) / self._eta)
        if n_best == 0:
            return None
        return math.isfinite(loss) and bisect_left(losses, loss) < n_best

    def _read(self, history: History) -> None:
        if history is not self._history:
            self._forget(history)
        for run in history.runs[self._n_runs :]:
            if run.attempt == 0:
                goal = self._levels[-1] if run.until is None else run.until
                self._goals[run.trial_id] = min(bisect_left(self._levels, goal), len(self._levels) - 1)
                arm = searchers_note(history, run.trial_id).get("arm")
                if isinstance(arm, str):
                    self._trials.setdefault(arm, []).append(run.trial_id)
        self._n_runs = history.n_runs
        results = history.results_since(self._n_results)
        for trial_id, result in results:
            self._read_result(trial_id, result)
        self._n_results += len(results)

    def _forget(self, history: History) -> None:
        self._history = history
        self._n_runs = 0
        self._n_results = 0
        self._trials: dict[str, list[int]] = {}
        self._goals: dict[int, int] = {}
        self._reached: dict[int, int] = {}
        self._own: dict[int, float] = {}
        self._losses: list[list[float]] = [[] for _ in self._levels]
        self._repeats = None if self._elapsed is None else Repeats(self._elapsed)
        self._repeating: set[int] = set()

    def _read_result(self, trial_id: int, result: Result) -> None:
        if self._repeats is not None and self._repeats.original(trial_id, result) is not None:
            self._repeating.add(trial_id)
        if trial_id in self._repeating:
            return
        loss = self._metric.loss_of(result.metrics)
        reached = self._reached.get(trial_id, 0)
        while reached < len(self._levels) and self._levels[reached] <= result.resource:
            insort(self._losses[reached], loss)
            if reached == self._goals[trial_id]:
                self._own[trial_id] = loss
            reached += 1
        self._reached[trial_id] = reached


def searchers_note(history: History, trial_id: int) -> Mapping[str, Json]:
    """The searcher's part of the note with which a trial began."""
    note = history.note(trial_id, 0).get("searcher")
    return cast("Mapping[str, Any]", note) if isinstance(note, Mapping) else {}


@final
class MixtureSearcher(Searcher):
    """Each new trial comes from one of two searchers, drawn by the share of the second.

    With an adaptive share this is Thompson sampling ([Thompson1933]_): the second searcher is drawn with the probability that
    its trials succeed more often, and both keep at least ``least_share``. Shares and draws are functions of History. The notes
    of trials name the arm, and a ``message`` for the user when the share has changed by 0.25 or more.

    Parameters
    ----------
    model, other
        The two searchers. Each must give the points to begin with, if there are any.
    outcomes
        Their successes.
    seed
        The experiment's seed; it draws the arm.
    n_initial
        First trials, the given points included, that come from ``other``.
    n_given
        The first of these, which the user gave and which count for no arm.
    share
        Share of ``other``, from 0 to 1; None: it adapts.
    least_share
        Least share of each arm if it adapts, from 0 to 0.5.

    Raises
    ------
    SettingsError
        A share cannot work.
    """

    def __init__(
        self,
        model: Arm,
        other: Arm,
        outcomes: Outcomes,
        *,
        seed: int,
        n_initial: int = 0,
        n_given: int = 0,
        share: float | None = None,
        least_share: float = 0.2,
    ) -> None:
        check_shares(share, least_share)
        self._model = model
        self._other = other
        self._outcomes = outcomes
        self._seed = seed
        self._n_initial = n_initial
        self._n_given = n_given
        self._fixed = share
        self._least = least_share
        self._history: History | None = None
        self._n_read = 0
        self._newest: float | None = None

    @override
    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        """A suggestion of one arm; of the other one if that has none left."""
        n_trials = history.n_trials
        if history.n_suggested < self._n_given:
            return self._other.searcher.suggest(history, until=until)
        if history.n_suggested < self._n_initial:
            return _from(self._other, history, until, {})
        share, said = self._share(history)
        arms = (self._model, self._other)
        if generator(self._seed, Stream.ARM, n_trials).random() < share:
            arms = (self._other, self._model)
        found = (_from(arm, history, until, said) for arm in arms)
        return next((suggestion for suggestion in found if suggestion is not None), None)

    def _share(self, history: History) -> tuple[float, Mapping[str, Json]]:
        """Share of the other arm, and the part of the note that announces it."""
        if self._fixed is not None:
            return self._fixed, {}
        successes = self._outcomes.of(history)
        model = successes.get(self._model.name, Successes())
        other = successes.get(self._other.name, Successes())
        share = min(max(probability_better(other, model), self._least), 1.0 - self._least)
        before = self._announced(history)
        if before is not None and abs(share - before) < _CLEAR:
            return share, {}
        was = "" if before is None else f" ({before:.0%} before)"
        message = (
            f"New configurations: {share:.0%} {self._other.words}{was}, {1.0 - share:.0%} {self._model.words}; among the best at their "
            f"first rung were {other.text()} {self._other.words} and {model.text()} {self._model.words}"
        )
        return share, {"share": round(share, 3), "message": message}

    def _announced(self, history: History) -> float | None:
        if history is not self._history:
            self._history, self._n_read, self._newest = history, 0, None
        for trial_id in range(self._n_read, history.n_trials):
            share = searchers_note(history, trial_id).get("share")
            if isinstance(share, float):
                self._newest = share
        self._n_read = history.n_trials
        return self._newest


def check_shares(share: float | None, least_share: float) -> None:
    """Check the shares of a mixture.

    Raises
    ------
    SettingsError
        A share cannot work.
    """
    if share is not None and not 0.0 <= share <= 1.0:
        raise SettingsError(f"random_share={share} must be from 0 to 1, or none")
    if not 0.0 <= least_share <= 0.5:
        raise SettingsError(f"least_share={least_share} must be from 0 to 0.5")


def _from(arm: Arm, history: History, until: int | None, said: Mapping[str, Json]) -> Suggestion | None:
    suggestion = arm.searcher.suggest(history, until=until)
    if suggestion is None:
        return None
    return Suggestion(config=suggestion.config, note={**suggestion.note, "arm": arm.name, **said})
