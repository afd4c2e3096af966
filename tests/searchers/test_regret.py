"""The bound on the regret: it falls, it stops experiments, and it depends on History alone."""

from __future__ import annotations

import math

import pytest

from tunewright.asktell import AskTell
from tunewright.backends.simulated import SimulatedBackend
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import StopDecision
from tunewright.journal import MemoryJournal
from tunewright.metric import Goal, Metric
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.gp import GPSettings, gp_searcher
from tunewright.searchers.model_free import RandomSearcher, SearcherContext
from tunewright.searchers.regret import RegretBelow
from tunewright.space import Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.tuner import Tuner
from tunewright.types import Config

SPACE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
GAIN = Metric("gain", Goal.MAXIMIZE)


def train(config: Config, epoch: int) -> tuple[dict[str, float], float]:
    x, y = float(config["x"]), float(config["y"])
    return {"gain": -50.0 * ((x - 0.3) ** 2 + (y - 0.6) ** 2) - 1 / epoch}, 1.0


def tuned(n: int, criterion: RegretBelow | None = None) -> History:
    searcher = gp_searcher(SearcherContext(space=SPACE, seed=0), GPSettings(), metric=GAIN)
    stop_when = MaxTrialsStarted(n)
    return Tuner(
        FIFO(searcher),
        SimulatedBackend(train, n_workers=1, max_resource=2),
        metrics=[GAIN],
        stop_when=stop_when if criterion is None else stop_when | criterion,
        journal=MemoryJournal(),
    ).run()


def test_the_bound_falls_and_is_a_bound() -> None:
    few, many = (RegretBelow(SPACE, GAIN, 0.1, max_resource=2).bound(tuned(n)) for n in (12, 40))
    assert 0.0 <= many < few < math.inf
    history = tuned(40)
    best = max(result.metrics["gain"] for i in range(40) for result in history.results(i))
    assert -0.5 - best <= many + 1e-3


def test_an_experiment_ends_when_little_is_left_to_gain() -> None:
    criterion = RegretBelow(SPACE, GAIN, 1.0, max_resource=2)
    history = tuned(60, criterion)
    assert 10 <= history.n_trials < 60
    again = RegretBelow(SPACE, GAIN, 1.0, max_resource=2)
    assert again.bound(history) == criterion.bound(history) <= 1.0
    assert again.check(history, 0.0) is StopDecision.STOP


def test_nothing_is_known_below_ten_results() -> None:
    criterion = RegretBelow(SPACE, GAIN, 1e9)
    assert criterion.check(tuned(9), 0.0) is StopDecision.CONTINUE
    assert criterion.bound(tuned(9)) == math.inf
    assert RegretBelow(SPACE, GAIN, 1e9, max_resource=3).bound(tuned(12)) == math.inf


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.inf, math.nan])
def test_the_threshold_is_positive(threshold: float) -> None:
    with pytest.raises(SettingsError, match="must be positive"):
        RegretBelow(SPACE, GAIN, threshold)


def test_one_that_watched_knows_what_a_new_one_knows() -> None:
    tuning = AskTell(FIFO(RandomSearcher(SPACE, seed=0)), [GAIN])
    watching = RegretBelow(SPACE, GAIN, 0.1, max_resource=1)

    def told(gain: float, *, fails: bool = False) -> None:
        asked = tuning.ask()
        assert asked is not None
        tuning.tell(asked, {"gain": gain}, 1)
        watching.check(tuning.history, 0.0)
        if fails:
            tuning.fail(asked, "out of memory")
        else:
            tuning.complete(asked)

    for number in range(12):
        told(number / 10)
    told(90.0, fails=True)
    told(1.2)
    new = RegretBelow(SPACE, GAIN, 0.1, max_resource=1)
    assert watching.bound(tuning.history) == new.bound(tuning.history) < math.inf


def test_a_trial_counts_as_soon_as_it_has_ended() -> None:
    tuning = AskTell(FIFO(RandomSearcher(SPACE, seed=0)), [GAIN])
    watching = RegretBelow(SPACE, GAIN, 1e9)
    for number in range(10):
        asked = tuning.ask()
        assert asked is not None
        tuning.tell(asked, {"gain": number / 10})
        assert watching.check(tuning.history, 0.0) is StopDecision.CONTINUE
        tuning.complete(asked)
    assert watching.check(tuning.history, 0.0) is StopDecision.STOP
