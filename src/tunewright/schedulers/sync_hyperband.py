"""SyncHyperband: successive halving in rungs of fixed sizes, bracket after bracket."""

from __future__ import annotations

from collections.abc import Collection
from typing import final

from typing_extensions import override

from tunewright.history import History
from tunewright.interfaces import Scheduler, Searcher
from tunewright.metric import Metric
from tunewright.schedulers.brackets import Bracket, HyperbandSettings, standing_of, verdict_at
from tunewright.schedulers.rungs import whole_number, with_searchers_part
from tunewright.trial import Result, Resume, Run, Start, TrialStatus, Verdict
from tunewright.types import Config


@final
class SyncHyperband(Scheduler):
    """Hyperband (Li et al., JMLR 2018, Algorithm 1) over any searcher.

    Brackets take turns: the one with the most trials and the smallest first level first, then the next one, and so on
    from the beginning. A rung is compared when all its trials have ended their runs, so that each bracket is the
    paper's, whatever the order in which they end. No worker waits for that: if the oldest brackets have nothing to
    run, trials of the newest one are started, and a further one is opened when that is full.

    Failed trials and those with a non-finite loss are worst and never promoted, nor are trials that ended by
    themselves before the next level: their places go to the next best. When the space is exhausted, a bracket goes on
    with the trials that it has.

    Parameters
    ----------
    searcher
        Chooses the configurations of new trials.
    settings
        The plan of the brackets.
    metric
        The metric to compare.
    """

    def __init__(self, searcher: Searcher, settings: HyperbandSettings, *, metric: Metric) -> None:
        self._searcher = searcher
        self._metric = metric
        self._max_resource = settings.max_resource
        self._table = settings.table
        self._held: dict[int, None] = {}
        self._brackets: dict[int, Bracket] = {}
        self._newest = self._open(0)

    @override
    def suggest(self, history: History) -> Start | Resume | None:
        """The best promoted trial of the oldest bracket that has one, else a new trial; None when neither is left."""
        for bracket in self._brackets.values():
            if bracket.due is not None:
                return _resume(bracket, bracket.due, bracket.rung)
        number, until = self._next_place()
        suggestion = self._searcher.suggest(history, until=until)
        if suggestion is not None:
            note = with_searchers_part({"bracket": number, "rung": 0}, suggestion.note)
            return Start(config=suggestion.config, until=until, note=note)
        waiting = self._newest.due_if_full()
        return None if waiting is None else _resume(self._newest, *waiting)

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Take the run into its bracket, which it may open."""
        number, rung = _place(history, run.trial_id)
        if number > self._newest.number:
            self._newest = self._open(number)
        self._brackets[number].begin(run.trial_id, rung)

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """Pause at the level of the trial's rung; end what goes beyond the maximum."""
        return verdict_at(result.resource, history.until(trial_id), self._max_resource)

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Count the trial's last result for its rung; the last trial of a rung closes it."""
        number, _ = _place(history, trial_id)
        bracket = self._brackets[number]
        bracket.end(standing_of(history, trial_id, status, self._metric))
        if bracket.is_over:
            del self._brackets[number]

    @override
    def resumable(self, history: History) -> Collection[int]:
        """Paused trials that may still be promoted: in each rung, no more than the next one has places for."""
        return self._held.keys()

    @override
    def start_requested(self, history: History, config: Config) -> Start:
        number, until = self._next_place()
        return Start(config=config, until=until, note={"bracket": number, "rung": 0})

    def _open(self, number: int) -> Bracket:
        bracket = Bracket(number, self._table[number % len(self._table)], self._held)
        self._brackets[number] = bracket
        return bracket

    def _next_place(self) -> tuple[int, int | None]:
        """The bracket of the next new trial, and the end of its first run."""
        if self._newest.has_place:
            return self._newest.number, self._newest.until(0)
        following = self._newest.number + 1
        stages = self._table[following % len(self._table)]
        return following, stages[0].level if len(stages) > 1 else None


def _place(history: History, trial_id: int) -> tuple[int, int]:
    note = history.note(trial_id)
    return whole_number(note, "bracket"), whole_number(note, "rung")


def _resume(bracket: Bracket, trial_id: int, rung: int) -> Resume:
    note = {"bracket": bracket.number, "rung": rung}
    return Resume(trial_id=trial_id, until=bracket.until(rung), note=note)
