"""Training the best trials to the end in the last part of an experiment, around any scheduler.

References
----------
.. [Graham1969] Graham: Bounds on Multiprocessing Timing Anomalies. SIAM Journal on Applied Mathematics 17 (1969).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, final

from typing_extensions import override

from tunewright.exceptions import check_at_least
from tunewright.history import History, KnownResults, known_resource
from tunewright.interfaces import Scheduler
from tunewright.metric import Constraint, Metric
from tunewright.trial import CONTINUE, Decision, Result, Resume, Run, Start, TrialStatus, Verdict
from tunewright.types import Config, Note

_KEY: Final = "finish"
"""Key in the note of a run that trains a trial to the end: the trial's id."""
_MARGIN: Final = 1.2
"""Reserve of a limit, relative to the expected need."""
_RUNNING: Final = TrialStatus.RUNNING
_SEARCH_SHARE: Final = 0.5
"""Part of a limit that the search has in any case."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class FinishSettings:
    """Trials that are trained to the end, and the limits in which this is done.

    Raises
    ------
    SettingsError
        ``n_best`` or ``max_resource`` is below 1.
    """

    n_best: int
    """Number of trials, the best ones."""
    max_resource: int
    """Resource of a full run."""
    n_workers: int = 1
    max_trials: int | None = None
    """Trials of the search; None: no limit."""
    max_results: int | None = None
    """Results of search and training together; None: no limit."""
    max_time: float | None = None
    """Seconds of both; None: no limit."""
    max_cost: float | None = None
    """Dollars of both; None: no limit."""
    keeps_checkpoints: bool = True
    """Whether checkpoints of stopped trials are kept; otherwise these are begun again from scratch."""

    def __post_init__(self) -> None:
        check_at_least(self, 1, "n_best", "max_resource", "n_workers")


@final
class Finishing(Scheduler):
    """Any scheduler searches; then the best trials are trained to the end.

    The search ends if the scheduler has nothing left to run, if ``max_trials`` trials were begun and none runs, or if the rest of
    another limit, at most half of it, is needed for the training. The need is the resource from the checkpoints of the best trials
    to the full one, and of other running trials to the end of their runs, times the mean time (results, dollars) for one
    unit so far, with a reserve of a fifth. The time on several workers is at most the sum over their number plus the longest
    part ([Graham1969]_). A paused trial is resumed; a stopped one is begun again, as a new trial from its checkpoint. The search does
    not go on afterwards.

    Parameters
    ----------
    scheduler
        Searches.
    settings
        Number of trials, and limits.
    metric
        What is compared: the best value of each trial.
    constraints
        What a result must keep to count.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        settings: FinishSettings,
        *,
        metric: Metric,
        constraints: Sequence[Constraint] = (),
    ) -> None:
        self._scheduler = scheduler
        self._settings = settings
        self._metric = metric
        self._constraints = tuple(constraints)
        self._best: dict[int, float] = {}
        """Lowest loss of each trial that has one."""
        self._paused: dict[int, None] = {}
        self._units = 0
        """Resource of all trials together."""
        self._known = KnownResults()
        self._begun: set[int] = set()
        """Trials that are trained to the end, or are begun again for it."""
        self._first: dict[int, int] = {}
        """Of the running and ended runs of this training: trial -> the trial of the search."""

    @override
    def suggest(self, history: History) -> Start | Resume | None:
        """The scheduler's suggestion while it searches; then the next one of the best trials."""
        if not self._begun and not self._is_near_limit(history):
            suggestion = self._scheduler.suggest(history)
            if isinstance(suggestion, Start) and self._has_all_trials(history):
                suggestion = None
            if suggestion is not None or history.ids(_RUNNING):
                return suggestion
        return self._next(history)

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Pass a run of the search on, and remember any other."""
        self._paused.pop(run.trial_id, None)
        first = history.note(run.trial_id).get(_KEY)
        if isinstance(first, int):
            self._begun.add(first)
            self._first[run.trial_id] = first
        else:
            self._scheduler.on_trial_start(history, run)

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """The scheduler's verdict in the search; otherwise CONTINUE, and STOP beyond the full resource."""
        loss = self._metric.loss_of(result.metrics)
        if math.isfinite(loss) and all(bound.is_met(result.metrics) for bound in self._constraints):
            self._best[trial_id] = min(loss, self._best.get(trial_id, math.inf))
        earlier = history.results(trial_id)[-2:-1]
        if result.resource > known_resource(history, trial_id):
            self._units += result.resource - (earlier[0].resource if earlier else 0)
        if trial_id not in self._first:
            return self._scheduler.on_trial_result(history, trial_id, result)
        if result.resource > self._settings.max_resource:
            return Verdict(
                decision=Decision.STOP, reason=f"beyond max_resource {self._settings.max_resource}"
            )
        return CONTINUE

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Pass the end of a run of the search on."""
        if status is TrialStatus.PAUSED:
            self._paused[trial_id] = None
        if trial_id not in self._first:
            self._scheduler.on_trial_end(history, trial_id, status)

    @override
    def resumable(self, history: History) -> Collection[int]:
        """All paused trials: any of them may become one of the best."""
        return self._paused.keys()

    @override
    def start_requested(self, history: History, config: Config) -> Start | None:
        """As in the search, while that goes on."""
        if self._begun or self._has_all_trials(history) or self._is_near_limit(history):
            return None
        return self._scheduler.start_requested(history, config)

    @override
    def resume_requested(self, history: History, trial_id: int) -> Resume | None:
        first = self._first.get(trial_id)
        if first is None:
            return self._scheduler.resume_requested(history, trial_id)
        return Resume(trial_id=trial_id, note={_KEY: first})

    def _has_all_trials(self, history: History) -> bool:
        most = self._settings.max_trials
        return most is not None and history.n_trials - self._known.n_trials(history) >= most

    def _next(self, history: History) -> Start | Resume | None:
        for trial_id in self._unfinished(history)[: self._settings.n_best - len(self._begun)]:
            note: Note = {
                _KEY: trial_id,
                "message": f"Trains trial {trial_id} to the end, one of the best {self._settings.n_best}",
            }
            if history.status(trial_id) is TrialStatus.PAUSED:
                return Resume(trial_id=trial_id, note=note)
            return Start(
                config=history.trial(trial_id).config,
                from_checkpoint=history.checkpoint(trial_id) if self._settings.keeps_checkpoints else None,
                note=note,
            )
        return None

    def _leaders(self, history: History) -> list[int]:
        """The best trials that no user took away, the best one first; one that was begun again counts once, as the trial of the search."""
        n_best = self._settings.n_best + len(self._first)
        candidates = (trial_id for trial_id in self._best if not history.is_withdrawn(trial_id))
        ranked = heapq.nsmallest(n_best, candidates, key=lambda trial_id: (self._best[trial_id], trial_id))
        firsts = dict.fromkeys(self._first.get(trial_id, trial_id) for trial_id in ranked)
        return list(firsts)[: self._settings.n_best]

    def _unfinished(self, history: History) -> list[int]:
        """Those of the best trials that have ended before the full resource, and are not trained to it yet."""
        return [
            trial_id
            for trial_id in self._leaders(history)
            if trial_id not in self._begun
            and history.status(trial_id) in {TrialStatus.PAUSED, TrialStatus.STOPPED}
            and history.results(trial_id)[-1].resource < self._settings.max_resource
        ]

    def _is_near_limit(self, history: History) -> bool:
        """Return whether the rest of a limit is needed for the best trials, and for the runs of others that go on."""
        settings = self._settings
        leaders = self._leaders(history)
        left = [self._left(history, trial_id) for trial_id in leaders]
        if not any(left) or not self._units:
            return False
        running = [
            _ahead(history, i, settings.max_resource) for i in history.ids(_RUNNING) if i not in leaders
        ]
        needed, share = _MARGIN * (sum(left) + sum(running)), 1.0 / self._units
        span = needed / settings.n_workers + _MARGIN * max(left)
        n_results, cost = history.n_results - self._known.n_results(history), history.cost
        now = history.results_since(history.n_results - 1)[0][1].time
        spent = (
            (n_results, needed, settings.max_results),
            (cost, needed, settings.max_cost),
            (now, span * settings.n_workers, settings.max_time),
        )
        return any(
            most is not None and used >= _SEARCH_SHARE * most and used * (1.0 + units * share) >= most
            for used, units, most in spent
        )

    def _left(self, history: History, trial_id: int) -> int:
        """Resource from the checkpoint of a trial, or from its beginning, to its end; 0 for one that has come to its end."""
        status, checkpoint = history.status(trial_id), history.checkpoint(trial_id)
        if status in {TrialStatus.COMPLETED, TrialStatus.FAILED}:
            return 0
        is_lost = status is TrialStatus.STOPPED and not self._settings.keeps_checkpoints
        done = 0 if checkpoint is None or is_lost else checkpoint.resource
        return max(0, self._settings.max_resource - done)


def _ahead(history: History, trial_id: int, max_resource: int) -> int:
    """Resource from the last result of a running trial to the end of its run."""
    last, until = history.last(trial_id), history.until(trial_id)
    return max(0, (until or max_resource) - (0 if last is None else last.resource))
