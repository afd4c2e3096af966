"""Top-k: one unit of resource for all trials, a full run for the best; a baseline of multi-fidelity methods."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import final

from typing_extensions import override

from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Scheduler, Searcher
from tunewright.metric import Metric
from tunewright.schedulers.rungs import with_max_resource, with_searchers_part
from tunewright.trial import CONTINUE, Decision, Result, Resume, Run, Start, TrialStatus, Verdict
from tunewright.types import Config


@dataclass(frozen=True, kw_only=True)
class RoundSettings:
    """Rounds of trials, for a full run of any length; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    n_configs: int = 100
    """Trials of a round, >= 2."""
    k: int = 3
    """How many of a round are trained to the end, >= 1 and below ``n_configs``."""
    resource: int = 1
    """How far all trials of a round are trained, >= 1."""
    n_rounds: int | None = None
    """Rounds, >= 1; None: one after the other until the experiment ends."""

    def __post_init__(self) -> None:
        if self.resource < 1:
            raise SettingsError(f"resource={self.resource} must be >= 1")
        if not 1 <= self.k < self.n_configs:
            raise SettingsError(f"k={self.k} must be >= 1 and below n_configs={self.n_configs}")
        if self.n_rounds is not None and self.n_rounds < 1:
            raise SettingsError(f"n_rounds={self.n_rounds} must be >= 1")

    def within(self, max_resource: int) -> TopKSettings:
        """Return the settings of a scheduler whose full runs are ``max_resource`` long.

        Raises
        ------
        SettingsError
            They do not fit the benchmark.
        """
        return with_max_resource(TopKSettings, self, max_resource)


@final
@dataclass(frozen=True, kw_only=True)
class TopKSettings(RoundSettings):
    """How :class:`TopK` chooses; checked when built.

    Raises
    ------
    SettingsError
        A value cannot work.
    """

    max_resource: int
    """The resource of a full run, above ``resource``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resource >= self.max_resource:
            raise SettingsError(
                f"resource={self.resource} must be >= 1 and below max_resource={self.max_resource}"
            )


@final
@dataclass(slots=True)
class _Round:
    """Trials that are compared with one another."""

    n_begun: int = 0
    open: set[int] = field(default_factory=set[int])
    """Trials whose first run has not ended."""
    losses: dict[int, float] = field(default_factory=dict[int, float])
    waiting: set[int] = field(default_factory=set[int])
    """Paused trials among the best, which have not gone on."""

    def best(self, k: int) -> Sequence[int]:
        """The best of all trials so far, whose losses are finite; earlier trials win ties."""
        finite = [(loss, trial_id) for trial_id, loss in self.losses.items() if math.isfinite(loss)]
        return [trial_id for _, trial_id in sorted(finite)[:k]]


@final
class TopK(Scheduler):
    """Train ``n_configs`` trials for a little, then the best ``k`` of them to the end; then the next round.

    With one round and ``resource=1`` this is the one-epoch baseline of Egele, Guyon, Vishwanath, Balaprakash ("Is One
    Epoch All You Need For Multi-Fidelity Hyperparameter Optimization?", ESANN 2023). Further rounds use the rest of a
    time limit. No worker waits for a round: while its last trials run, trials of the next round start.

    A trial counts with its first report at ``resource`` or beyond. A non-finite loss is never among the best.

    Parameters
    ----------
    searcher
        Chooses the configurations.
    settings
        Sizes of a round.
    metric
        The metric to compare.
    """

    def __init__(self, searcher: Searcher, settings: TopKSettings, *, metric: Metric) -> None:
        self._searcher = searcher
        self._settings = settings
        self._metric = metric
        self._rounds: list[_Round] = []
        self._held: dict[int, None] = {}

    @override
    def suggest(self, history: History) -> Start | Resume | None:
        """A trial of the oldest round that is due to go on, else a new one; None when neither is left."""
        chosen = self._due(is_last_full=False)
        if chosen is not None:
            return Resume(trial_id=chosen)
        n_begun = history.n_trials
        settings = self._settings
        if settings.n_rounds is None or n_begun < settings.n_rounds * settings.n_configs:
            suggestion = self._searcher.suggest(history, until=settings.resource)
            if suggestion is not None:
                note = with_searchers_part({}, suggestion.note)
                return Start(config=suggestion.config, until=settings.resource, note=note)
        chosen = self._due(is_last_full=True)
        return None if chosen is None else Resume(trial_id=chosen)

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Take a new trial into its round, or a chosen one off the waiting list."""
        current = self._round_of(run.trial_id)
        if run.attempt == 0:
            current.n_begun += 1
            current.open.add(run.trial_id)
        current.waiting.discard(run.trial_id)
        self._held.pop(run.trial_id, None)

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """Pause at ``resource``; end what goes beyond ``max_resource``."""
        settings, losses = self._settings, self._round_of(trial_id).losses
        is_first = result.resource >= settings.resource and trial_id not in losses
        if is_first:
            losses[trial_id] = self._metric.loss_of(result.metrics)
        if result.resource > settings.max_resource:
            reason = f"beyond max_resource {settings.max_resource}"
            return Verdict(decision=Decision.STOP, reason=reason)
        if is_first and result.resource < settings.max_resource:
            return Verdict(decision=Decision.PAUSE, reason=f"compared at {settings.resource}")
        return CONTINUE

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        current = self._round_of(trial_id)
        is_first = trial_id in current.open
        current.open.discard(trial_id)
        if status is TrialStatus.PAUSED and is_first:
            current.waiting.add(trial_id)
            self._held[trial_id] = None
        for beaten in current.waiting.difference(current.best(self._settings.k)):
            current.waiting.discard(beaten)
            del self._held[beaten]

    @override
    def resumable(self, history: History) -> Collection[int]:
        """Waiting trials among the best of their round: one that is not will never be."""
        return self._held.keys()

    @override
    def start_requested(self, history: History, config: Config) -> Start:
        return Start(config=config, until=self._settings.resource)

    def _round_of(self, trial_id: int) -> _Round:
        number = trial_id // self._settings.n_configs
        while len(self._rounds) <= number:
            self._rounds.append(_Round())
        return self._rounds[number]

    def _due(self, *, is_last_full: bool) -> int | None:
        """The best waiting trial of the oldest round in which all first runs have ended."""
        for number, current in enumerate(self._rounds):
            is_full = current.n_begun == self._settings.n_configs or (
                is_last_full and number == len(self._rounds) - 1
            )
            if is_full and not current.open and current.waiting:
                return min(current.waiting, key=lambda trial_id: (current.losses[trial_id], trial_id))
        return None
