from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tunewright.asktell import AskTell
from tunewright.clock import SimulatedClock
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Scheduler
from tunewright.journal import MemoryJournal
from tunewright.metric import Goal, Metric
from tunewright.schedulers.asha import ASHA, ASHASettings
from tunewright.schedulers.fifo import FIFO
from tunewright.searchers.model_free import RandomSearcher
from tunewright.space import Categorical, Float, SearchSpace
from tunewright.trial import Decision, TrialStatus

ACCURACY = Metric("accuracy", Goal.MAXIMIZE)
SPACE = SearchSpace({"x": Float(0.0, 1.0), "epochs": 9})


def asha(seed: int = 0) -> Scheduler:
    return ASHA(RandomSearcher(SPACE, seed=seed), ASHASettings(max_resource=9), metric=ACCURACY, seed=seed)


def drive(tuning: AskTell, n_runs: int) -> None:
    for _ in range(n_runs):
        asked = tuning.ask()
        assert asked is not None
        for epoch in range(asked.resume_from + 1, 10):
            accuracy = float(asked.config["x"]) * (1 - 1 / (epoch + 1))
            verdict = tuning.tell(asked, {"accuracy": accuracy}, resource=epoch)
            if verdict.decision is not Decision.CONTINUE:
                break
        else:
            tuning.complete(asked)


def test_asha_pauses_promotes_and_finds_the_best() -> None:
    tuning = AskTell(asha(), [ACCURACY])
    drive(tuning, 60)
    history = tuning.history
    resumed = [run for run in history.runs if run.attempt > 0]
    assert resumed
    assert all(run.resume_from == run.from_checkpoint.resource for run in resumed if run.from_checkpoint)
    assert history.ids(TrialStatus.COMPLETED), "the best came to the end"
    best = tuning.best()
    assert best is not None
    assert best.value == max(r.metrics["accuracy"] for _, r in history.results_since(0))
    assert best.config == history.trial(best.trial_id).config


def test_a_stored_journal_is_continued_as_if_nothing_had_been() -> None:
    whole = AskTell(asha(), [ACCURACY], clock=SimulatedClock())
    drive(whole, 30)
    journal = MemoryJournal()
    drive(AskTell(asha(), [ACCURACY], journal, SimulatedClock()), 13)
    again = AskTell(asha(), [ACCURACY], journal, SimulatedClock())
    drive(again, 17)
    assert list(again.history.runs) == list(whole.history.runs)
    assert again.best() == whole.best()


def test_the_resource_counts_by_itself_where_it_is_not_given() -> None:
    tuning = AskTell(FIFO(RandomSearcher(SPACE, seed=0)), [ACCURACY])
    asked = tuning.ask()
    assert asked is not None
    for value in (0.1, 0.2, 0.3):
        tuning.tell(asked, {"accuracy": value})
    assert [r.resource for r in tuning.history.results(0)] == [1, 2, 3]
    assert tuning.complete(asked) is TrialStatus.COMPLETED


def test_failures_and_wrong_use_are_clear() -> None:
    tuning = AskTell(FIFO(RandomSearcher(SPACE, seed=0)), [ACCURACY])
    assert tuning.best() is None
    asked = tuning.ask()
    assert asked is not None
    with pytest.raises(SettingsError, match="Did you mean 'acuracy'"):
        tuning.tell(asked, {"acuracy": 0.5})
    assert tuning.history.status(0) is TrialStatus.FAILED
    with pytest.raises(SettingsError, match="is over"):
        tuning.tell(asked, {"accuracy": 0.5})
    second = tuning.ask()
    assert second is not None
    tuning.tell(second, {"accuracy": math.nan})
    assert tuning.best() is None, "NaN is no best"
    repeated = tuning.tell(second, {"accuracy": 1.0}, resource=1)
    assert repeated.decision is Decision.CONTINUE
    assert tuning.fail(second, "out of memory") is TrialStatus.FAILED
    assert tuning.history.error(1) == "out of memory"


def test_a_number_is_the_value_of_the_only_metric() -> None:
    tuning = AskTell({"x": Float(0.0, 1.0)}, metric="loss", method="RandomSearch")
    asked = tuning.ask()
    assert asked is not None
    tuning.tell(asked, np.float32(0.25))
    best = tuning.best()
    assert best is not None
    assert best.value == 0.25


def test_a_run_is_completed_with_its_last_result() -> None:
    tuning = AskTell({"x": [0.25, 0.5]}, metric="loss", method="RandomSearch")
    for _ in range(2):
        asked = tuning.ask()
        assert asked is not None
        assert tuning.complete(asked, asked.config["x"]) is TrialStatus.COMPLETED
    with pytest.raises(SettingsError, match="is over"):
        tuning.complete(asked, 0.1)
    best = tuning.best()
    assert best is not None
    assert (best.value, best.config) == (0.25, {"x": 0.25})
    promoting = AskTell({"x": Float(0.0, 1.0)}, metric="loss", method="ASHA", max_resource=9)
    asked = promoting.ask()
    assert asked is not None
    assert promoting.complete(asked, {"loss": 0.5}, 1) is TrialStatus.PAUSED  # at the rung, by its verdict


@pytest.mark.parametrize("told", [0.5, None, "0.5", True, [0.5]])
def test_metrics_of_another_type_are_refused(told: Any) -> None:
    several = AskTell({"x": Float(0.0, 1.0)}, metric=["loss", "size"], method="RandomSearch")
    asked = several.ask()
    assert asked is not None
    with pytest.raises(SettingsError, match=r"tell\(asked, \{'loss': 0.5, 'size': 0.5\}\)"):
        several.tell(asked, told)


def test_an_exhausted_space_has_nothing_more_to_ask() -> None:
    space = SearchSpace({"kind": Categorical(("a", "b"))})
    tuning = AskTell(FIFO(RandomSearcher(space, seed=0)), [ACCURACY])
    first, second = tuning.ask(), tuning.ask()
    assert first is not None
    assert second is not None
    assert {first.config["kind"], second.config["kind"]} == {"a", "b"}
    assert tuning.ask() is None


def test_a_space_and_a_name_are_enough() -> None:
    tuning = AskTell({"x": Float(0.0, 1.0)}, metric="loss", method="ASHA", max_resource=9, seed=3)
    decisions: set[str] = set()
    for _ in range(12):
        asked = tuning.ask()
        assert asked is not None
        for epoch in range(asked.resume_from + 1, 10):
            decision = tuning.tell(asked, {"loss": float(asked.config["x"]) / epoch}, resource=epoch).decision
            decisions.add(decision)
            if decision != "continue":
                break
        else:
            tuning.complete(asked)
    assert "pause" in decisions
    best = tuning.best()
    assert best is not None
    assert best.value == min(result.metrics["loss"] for _, result in tuning.history.results_since(0))
    several = AskTell(
        {"x": Float(0.0, 1.0)}, metric=["error", "accuracy"], goal=["min", "max"], method="NSGA2"
    )
    assert several.ask() is not None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("BO", "loss"), "takes a search space first"),
        (({"x": Float(0.0, 1.0)}, 3), "A metric is a name or a Metric"),
        (({"x": Float(0.0, 1.0)}, []), "A metric is a name or a Metric"),
        (({"x": Float(0.0, 1.0)}, ["loss", Metric("error")]), "A metric is a name or a Metric"),
        (({"x": Float(0.0, 1.0)}, "accuracy"), "give the goal max"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[Any, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        AskTell(*arguments)


def test_a_metric_has_its_own_goal() -> None:
    with pytest.raises(SettingsError, match="has its own goal"):
        AskTell({"x": Float(0.0, 1.0)}, Metric("loss"), goal="max")
