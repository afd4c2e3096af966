"""FreezeThaw and DyHPO: the contract, and what is weighed against what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from tunewright.asktell import Asked, AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.history import History
from tunewright.interfaces import Scheduler
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.models.acquisition import LogExpectedImprovement
from tunewright.schedulers.freeze_thaw import Pauses
from tunewright.searchers import gp_curves
from tunewright.searchers.encoding import Observations
from tunewright.searchers.gp import GPSettings
from tunewright.searchers.gp_curves import CurveLearner
from tunewright.seeding import Stream, generator
from tunewright.space import SearchSpace
from tunewright.testing.scheduler_contract import SchedulerContract
from tunewright.testing.scheduler_simulator import FaultRates, SchedulerSimulator
from tunewright.testing.spaces import CONTINUOUS, SMALL
from tunewright.trial import Decision, Resume, Start, TrialStatus

LOSS = Metric("loss")


def build(
    name: str,
    space: SearchSpace = CONTINUOUS,
    metric: Metric = LOSS,
    *,
    seed: int = 0,
    max_resource: int = 27,
    **settings: Any,
) -> Scheduler:
    benchmark = RealBenchmarkDefinition(
        name="toy", script="none", space=space, metrics=(metric,), max_resource=max_resource
    )
    return build_scheduler(method(name, **settings), benchmark, seed, {})


class TestFreezeThawContract(SchedulerContract):
    n_trials = 8
    max_resource = 9
    restart_every = 11

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return build("FreezeThaw", space, metric, seed=seed, max_resource=9, levels=[1, 3], n_fantasies=1)


class TestDyHPOContract(SchedulerContract):
    n_trials = 9
    max_resource = 9
    restart_every = 11
    settings: ClassVar[Mapping[str, Any]] = {"rung_increment": 4, "probability_sh": 0.8, "n_fantasies": 1}

    def make_scheduler(self, space: SearchSpace, metric: Metric, *, seed: int) -> Scheduler:
        return build("DyHPO", space, metric, seed=seed, max_resource=9, **self.settings)


def test_pauses() -> None:
    pauses = Pauses(max_resource=27, levels=(1, 3, 9))
    assert [pauses.next_level(r) for r in (0, 1, 2, 3, 9, 26)] == [0, 1, 1, 2, 3, 3]
    assert [pauses.until(level) for level in range(4)] == [1, 3, 9, None]
    for levels in ((), (3, 3), (0, 1), (9, 27)):
        with pytest.raises(SettingsError, match="strictly increasing"):
            Pauses(max_resource=27, levels=levels)


@pytest.mark.parametrize(
    ("name", "settings", "word"),
    [
        ("FreezeThaw", {"acquisition": "lcb"}, "log_ei"),
        ("FreezeThaw", {"input_warping": True}, "input_warping"),
        ("FreezeThaw", {"eta": 1.5}, "eta"),
        ("FreezeThaw", {"levels": [3, 1]}, "strictly increasing"),
        ("FreezeThaw", {"grace_period": 27}, "strictly increasing"),
        ("FreezeThaw", {"probability_thaw": 1.0}, "probability_thaw"),
        ("DyHPO", {"acquisition": "thompson"}, "log_ei"),
        ("DyHPO", {"probability_sh": 1.0}, "probability_sh"),
        ("DyHPO", {"rung_increment": 0}, "rung_increment"),
        ("DyHPO", {"resource_kernel": "none"}, "resource_kernel"),
        ("DyHPO", {"levels": [30]}, "max_resource"),
    ],
)
def test_settings_that_cannot_work(name: str, settings: dict[str, Any], word: str) -> None:
    with pytest.raises(SettingsError, match=word):
        build(name, **settings)


def curve(x: float, y: float, resource: int) -> float:
    """Crossing curves: a large y begins well and ends badly."""
    return (x / 10) ** 2 + 0.2 + 0.02 * y + (1 - y / 30) * math.exp(-resource / 3)


def run_to_its_end(tuning: AskTell, asked: Asked) -> None:
    end = asked.until or 27
    for resource in range(asked.resume_from + 1, end + 1):
        loss = curve(float(asked.config["x"]), float(asked.config["y"]), resource)
        if tuning.tell(asked, {"loss": loss}, resource=resource).decision is not Decision.CONTINUE:
            return
    tuning.complete(asked)


def values(learned: Any, points: Sequence[np.ndarray], levels: Sequence[int]) -> list[float]:
    return [
        float(LogExpectedImprovement(*learned.at(level)).values(point[np.newaxis])[0])
        for point, level in zip(points, levels, strict=True)
    ]


def test_what_promises_most_at_the_end_is_run_next() -> None:
    """Each decision after the first trials, recomputed from History by a model of its own."""
    scheduler = build("FreezeThaw", seed=1, probability_thaw=0.3)
    tuning = AskTell(scheduler, [LOSS])
    levels = (1, 2, 4, 8, 16, 27)
    learner = CurveLearner(CONTINUOUS.n_columns, levels, GPSettings(max_observations=1000))
    observations = Observations(CONTINUOUS, LOSS, levels)
    n_thawed = n_new = 0
    for _ in range(60):
        history = tuning.history
        asked = scheduler.suggest(history)
        if history.n_trials >= 6:
            rng = generator(1, Stream.MODEL, history.n_runs)
            forecast = learner.forecast(observations.read(history), rng)
            paused = list(history.ids(TrialStatus.PAUSED))
            points = CONTINUOUS.encode([history.trial(i).config for i in paused])
            promises = dict(zip(paused, values(forecast, points, [5] * len(paused)), strict=True))
            best = max(promises.values(), default=-math.inf)
            is_thaw = generator(1, Stream.BRACKET, history.n_runs).random() < 0.3
            if isinstance(asked, Resume):
                n_thawed += 1
                assert promises[asked.trial_id] == pytest.approx(best, abs=1e-6)
            else:
                n_new += 1
                assert isinstance(asked, Start)
                assert not (is_thaw and paused)
                assert values(forecast, CONTINUOUS.encode([asked.config]), [5])[0] > best
        done = tuning.ask()
        assert done is not None
        run_to_its_end(tuning, done)
    assert n_thawed >= 5
    assert n_new >= 5
    assert tuning.history.ids(TrialStatus.COMPLETED)


def best_of(history: History) -> float:
    lasts = [history.last(i) for i in range(history.n_trials)]
    return min(last.metrics["loss"] for last in lasts if last is not None)


@pytest.mark.parametrize("name", ["FreezeThaw", "DyHPO"])
def test_a_good_end_is_found_though_curves_cross(name: str) -> None:
    tuning = AskTell(build(name, seed=0), [LOSS])
    n_epochs = 0
    while n_epochs < 27 * 6:
        asked = tuning.ask()
        assert asked is not None
        run_to_its_end(tuning, asked)
        last = tuning.history.last(asked.trial_id)
        assert last is not None
        n_epochs += last.resource - asked.resume_from
    assert best_of(tuning.history) < 0.25
    assert tuning.history.n_trials > 6


def test_many_observations_use_the_structure_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same experiment beyond the limit: the forecasts agree up to the deviation of draws."""
    tuning = AskTell(build("FreezeThaw", seed=0), [LOSS])
    for _ in range(30):
        asked = tuning.ask()
        assert asked is not None
        run_to_its_end(tuning, asked)
    running = tuning.ask()
    assert running is not None
    levels = (1, 2, 4, 8, 16, 27)
    snapshot = Observations(CONTINUOUS, LOSS, levels).read(tuning.history)
    a = np.random.default_rng(0).random((30, 2))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for limit in (500, 5):
        monkeypatch.setattr(gp_curves, "MOST_DENSE", limit)
        forecast = CurveLearner(2, levels, GPSettings(n_fantasies=40)).forecast(
            snapshot, np.random.default_rng(1)
        )
        assert forecast is not None
        means, deviations = forecast.at(0)[0].predict(a)
        found.append((means.mean(axis=1), deviations))
    np.testing.assert_allclose(found[0][0], found[1][0], atol=0.15)
    assert np.corrcoef(found[0][1], found[1][1])[0, 1] > 0.7
    assert np.mean(found[1][1] / found[0][1]) == pytest.approx(1.0, abs=0.25)


def test_the_rungs_of_dyhpo_let_their_best_go_on() -> None:
    """Decisions by rungs are those of successive halving, recomputed from the journal."""
    simulator = SchedulerSimulator(
        build("DyHPO", seed=2, rung_increment=8, probability_sh=0.9, n_fantasies=0),
        LOSS,
        max_resource=27,
        n_trials=25,
        faults=FaultRates(),
        seed=2,
    )
    simulator.play()
    levels = (1, 9, 17, 25, 27)
    losses: dict[int, dict[int, float]] = {level: {} for level in levels}
    reached: dict[int, int] = {}
    by: dict[str, int] = {}
    for line in simulator.journal():
        trial = line["trial_id"]
        if line["kind"] == "result" and line["resource"] in levels:
            losses[line["resource"]][trial] = line["metrics"]["loss"]
            reached[trial] = line["resource"]
        if line["kind"] == "start":
            by[line["note"]["by"]] = by.get(line["note"]["by"], 0) + 1
            if line["note"]["by"] == "rung":
                rung = losses[reached[trial]]
                share = reached[trial] / levels[levels.index(reached[trial]) + 1]
                place = sum(loss < rung[trial] for loss in rung.values())
                assert place < math.floor(len(rung) * share + 1e-9)
    assert by["rung"] > 3
    assert by["model"] > 3


@pytest.mark.parametrize("name", ["FreezeThaw", "DyHPO"])
def test_nothing_known_and_nothing_left(name: str) -> None:
    """All diverge: every configuration is tried once, and then there is nothing to run."""
    tuning = AskTell(build(name, SMALL, n_initial=2), [LOSS])
    while (asked := tuning.ask()) is not None:
        tuning.tell(asked, {"loss": math.nan}, resource=1)
    assert tuning.history.n_trials == SMALL.size
    assert len(tuning.history.ids(TrialStatus.PAUSED)) == SMALL.size
