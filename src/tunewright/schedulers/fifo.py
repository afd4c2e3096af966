"""First in, first out: every trial runs to its own end."""

from __future__ import annotations

from collections.abc import Collection
from typing import final

from typing_extensions import override

from tunewright.history import History
from tunewright.interfaces import Scheduler, Searcher
from tunewright.schedulers.rungs import with_searchers_part
from tunewright.trial import CONTINUE, Result, Resume, Run, Start, TrialStatus, Verdict
from tunewright.types import Config


@final
class FIFO(Scheduler):
    """Start the searcher's proposals in their order; never pause or stop a trial.

    Parameters
    ----------
    searcher
        Chooses the configurations; once it has none left, nothing more is started.
    """

    def __init__(self, searcher: Searcher) -> None:
        self._searcher = searcher

    @override
    def suggest(self, history: History) -> Start | None:
        """A new trial with the searcher's proposal; None when the space is exhausted."""
        suggestion = self._searcher.suggest(history)
        if suggestion is None:
            return None
        return Start(config=suggestion.config, note=with_searchers_part({}, suggestion.note))

    @override
    def on_trial_start(self, history: History, run: Run) -> None:
        """Nothing to remember."""

    @override
    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        """Always CONTINUE."""
        return CONTINUE

    @override
    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        """Nothing to remember."""

    @override
    def resumable(self, history: History) -> Collection[int]:
        return ()

    @override
    def start_requested(self, history: History, config: Config) -> Start:
        return Start(config=config)

    @override
    def resume_requested(self, history: History, trial_id: int) -> Resume:
        return Resume(trial_id=trial_id)
