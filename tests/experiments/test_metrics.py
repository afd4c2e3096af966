"""Metrics as people give them; methods that tune several and those that do not."""

from __future__ import annotations

from typing import Any

import pytest

from tunewright.asktell import AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.methods import build_scheduler, find_method, method, method_names
from tunewright.metric import Goal, Metric, looks_maximised, metrics_from
from tunewright.space import Float, SearchSpace
from tunewright.trial import Decision

BOTH = (Metric("error"), Metric("speed", Goal.MAXIMIZE))
ONE_METRIC = (
    "ASHA",
    "BayesianOptimization",
    "MOBSTER",
    "HyperTune",
    "REA",
    "PASHA",
    "DEHB",
    "PBT",
    "SyncHyperband",
)


def benchmark(*metrics: Metric) -> RealBenchmarkDefinition:
    space = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
    return RealBenchmarkDefinition(name="two", script="none", space=space, metrics=metrics, max_resource=9)


@pytest.mark.parametrize("names", ["error,speed", ["error", "speed"], ["error, speed"]])
def test_names_come_with_commas_or_one_by_one(names: Any) -> None:
    assert metrics_from(names, "min,max") == BOTH
    assert metrics_from(names, ["min", "max"]) == BOTH
    assert [metric.goal for metric in metrics_from(names, "max")] == ["max", "max"]
    assert [metric.goal for metric in metrics_from(names)] == ["min", "min"]
    assert metrics_from("error") == (BOTH[0],)


@pytest.mark.parametrize(
    ("names", "goals", "message"),
    [
        ("a,a", "min", "'a' is given twice"),
        ("a,b", "min,max,min", r"3 goals \(min, max, min\) for 2 metrics \(a, b\)"),
        ("a", "min,max", "2 goals"),
        ("a,b", "min,least", "'least'"),
        ("a,", "min", "needs a name"),
    ],
)
def test_metrics_that_cannot_work(names: str, goals: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        metrics_from(names, goals)


@pytest.mark.parametrize("name", ONE_METRIC)
def test_methods_for_one_metric_refuse_two_and_name_those_that_do_not(name: str) -> None:
    with pytest.raises(
        SettingsError, match=rf"{name} tunes one metric, not 2 \(error, speed\).*EHVI.*MOASHA"
    ):
        build_scheduler(method(name), benchmark(*BOTH), 0, {})


SEVERAL = [
    name
    for name in method_names()
    if find_method(name).several_metrics and not find_method(name).needs_evaluations
]


@pytest.mark.parametrize("metrics", [BOTH, BOTH[:1], (*BOTH, Metric("size"))], ids=["two", "one", "three"])
@pytest.mark.parametrize("name", SEVERAL)
def test_methods_for_several_metrics_take_one_two_and_three(name: str, metrics: tuple[Metric, ...]) -> None:
    settings: dict[str, Any] = {"n_initial": 3} if name in {"RandomScalarization", "EHVI"} else {}
    settings |= {"population_size": 3} if name in {"NSGA2", "MOREA"} else {}
    tuning = AskTell(build_scheduler(method(name, **settings), benchmark(*metrics), 0, {}), metrics)
    for _ in range(6):
        asked = tuning.ask()
        assert asked is not None
        x, y = float(asked.config["x"]), float(asked.config["y"])
        for epoch in range(asked.resume_from + 1, (asked.until or 9) + 1):
            report = {"error": x + y / epoch, "speed": x - y, "size": y}
            if tuning.tell(asked, report, resource=epoch).decision is not Decision.CONTINUE:
                break
        else:
            tuning.complete(asked)
    assert tuning.history.n_results >= 6


def test_weights_and_references_need_a_value_for_each_metric() -> None:
    for name, setting in (("MOASHA", "weights"), ("RandomScalarization", "weights"), ("EHVI", "reference")):
        spec = method(name, **{setting: "1,2,3"})
        with pytest.raises(
            SettingsError, match=f"{setting} has 3 values, but there are 2 metrics: error, speed"
        ):
            build_scheduler(spec, benchmark(*BOTH), 0, {})


@pytest.mark.parametrize(
    "name",
    [
        "acc",
        "val_acc",
        "Accuracy",
        "test/accuracy",
        "roc-auc",
        "f1",
        "valF1",
        "f1_macro",
        "r2",
        "mAP",
        "mAP@50",
        "map50",
        "acc1",
        "top5",
        "mean_reward",
        "IoU",
        "bleu",
        "score",
        "valAcc",
    ],
)
def test_a_metric_to_maximise_needs_its_goal(name: str) -> None:
    assert looks_maximised(name)
    with pytest.raises(SettingsError, match="looks like a metric to maximise: give the goal max"):
        metrics_from(["error", name])
    assert metrics_from(name, "min")[0].goal == "min"


@pytest.mark.parametrize(
    "name",
    [
        "loss",
        "val_error",
        "mape",
        "accuracy_loss",
        "f1_error",
        "rmse",
        "objective",
        "spam",
        "backtrack",
        "macro",
        "latency",
        "r20",
        "score_error",
    ],
)
def test_other_metrics_are_minimised(name: str) -> None:
    assert metrics_from(name)[0].goal == "min"
