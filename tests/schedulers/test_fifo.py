from __future__ import annotations

from tunewright.history import History
from tunewright.interfaces import Searcher
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import RandomSearcher
from tunewright.testing.spaces import SMALL
from tunewright.trial import Decision, Start, Suggestion, TrialStatus


class Noting(Searcher):
    def suggest(self, history: History, *, until: int | None = None) -> Suggestion | None:
        assert until is None
        return Suggestion(config={"x": history.n_trials}, note={"fit": [0.5]})


def test_trials_run_to_their_end_until_the_space_is_exhausted(hand) -> None:
    driver = hand(FIFO(RandomSearcher(SMALL, seed=0)))
    for trial_id in range(6):
        run = driver.begin()
        assert (run.trial_id, run.until) == (trial_id, None)
        assert driver.report(trial_id, 1, float("nan")).decision is Decision.CONTINUE
        assert driver.end(trial_id) is TrialStatus.COMPLETED
    assert driver.suggest() is None
    assert not driver.scheduler.resumable(driver.history)


def test_the_searchers_note_is_kept_apart(hand) -> None:
    suggestion = hand(FIFO(Noting())).suggest()
    assert suggestion == Start(config={"x": 0}, note={"searcher": {"fit": [0.5]}})
