"""auto: what it chooses, says and keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tunewright.backends.local.config import LocalConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, Limits, MethodSpec, announce_choices, method
from tunewright.experiments.run import as_begun, informed, new_folder, resume_experiment, run_experiment
from tunewright.methods import build_scheduler, find_method
from tunewright.methods.automatic import Choice, choose
from tunewright.metric import Metric
from tunewright.schedulers.fifo import FIFO
from tunewright.space import Categorical, Float, SearchSpace

SCRIPT = """
import json, sys
value = float(sys.argv[sys.argv.index("--x") + 1])
for epoch in range(1, 4):
    print("[tune-metric]: " + json.dumps({"loss": value / epoch, "epoch": epoch}), flush=True)
"""


def benchmark(**changes: Any) -> RealBenchmarkDefinition:
    fields: dict[str, Any] = {
        "name": "toy",
        "script": __file__,
        "space": SearchSpace({"x": Float(0.0, 1.0)}),
        "metrics": (Metric("loss"),),
        "max_resource": 27,
        "n_workers": 4,
    }
    return RealBenchmarkDefinition(**{**fields, **changes})


def experiment(chosen: str = "auto", **changes: Any) -> Experiment:
    fields: dict[str, Any] = {
        "tag": "automatic",
        "benchmark": benchmark(),
        "method": method(chosen),
        "label": chosen,
        "backend": LocalConfig(),
        "limits": Limits(max_num_trials=3),
    }
    return Experiment(**{**fields, **changes})


FEW = SearchSpace({"kind": Categorical(["a", "b", "c"])})
TWO, FOUR = ((Metric("a"), Metric("b")), tuple(Metric(name) for name in "abcd"))


@pytest.mark.parametrize(
    ("changes", "n_trials", "expected", "word"),
    [
        ({}, None, "Adaptive", "given up early"),
        ({}, 10_000, "Adaptive", "given up early"),
        ({"n_workers": 65}, None, "BOHB", "65 workers"),
        ({"max_resource": None}, None, "BayesianOptimization", "no resource of a full run is given"),
        ({"max_resource": 1}, 1000, "BayesianOptimization", "report once"),
        ({"max_resource": 2}, 1000, "BayesianOptimization", "too short"),
        ({"max_resource": None}, 1001, "TPE", "1001 of them"),
        ({"max_resource": None, "n_workers": 100}, None, "TPE", "100 workers"),
        ({"space": FEW}, None, "RandomSearch", "all 3 configurations"),
        ({"metrics": TWO}, None, "MOASHA", "2 metrics"),
        ({"metrics": TWO, "max_resource": None}, None, "EHVI", "2 metrics"),
        ({"metrics": FOUR, "max_resource": None}, None, "RandomScalarization", "4 metrics"),
    ],
)
def test_the_rule(changes: dict[str, Any], n_trials: int | None, expected: str, word: str) -> None:
    chosen = choose(benchmark(**changes), n_trials)
    assert (chosen.method, chosen.spec.name) == (expected, expected)
    assert word in chosen.reason
    find_method(chosen.method).make_settings(chosen.settings)
    assert build_scheduler(method("auto"), benchmark(**changes), 0, {})


def test_limits_say_how_many_trials_there_will_be() -> None:
    alone = benchmark(max_resource=None)
    many = Limits(max_num_evaluations=5000)
    found = [
        experiment(benchmark=alone, limits=limits).choice()
        for limits in (many, Limits(max_num_trials=5), Limits(max_wallclock_time=60.0))
    ]
    assert [choice and choice.method for choice in found] == ["TPE"] + ["BayesianOptimization"] * 2
    assert experiment("ASHA").choice() is None


def test_it_is_said_once_for_each_benchmark() -> None:
    lines: list[str] = []
    other = experiment(benchmark=benchmark(name="other"), seed=1)
    announce_choices([experiment(), experiment(seed=1), other, experiment("RandomSearch")], lines.append)
    assert [line.partition(":")[0] for line in lines] == ["toy", "other"]
    assert "auto is Adaptive: trials report" in lines[0]


def test_it_takes_no_settings() -> None:
    with pytest.raises(SettingsError, match="eta"):
        experiment(settings={"eta": 3}).build_scheduler()


def test_a_choice_is_data() -> None:
    choice = choose(benchmark())
    assert Choice.from_json(choice.to_json()) == choice
    with pytest.raises(SettingsError, match="cannot be read"):
        Choice.from_json({"method": "ASHA"})


def test_a_resume_keeps_what_was_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path))
    begun = experiment(benchmark=benchmark(max_resource=None))
    folder = new_folder(begun)
    assert folder.metadata()["chosen"]["method"] == "BayesianOptimization"
    assert folder.metadata()["method"] == {"name": "auto", "settings": {}}
    changed = experiment()
    assert as_begun(folder, changed).method == method("BayesianOptimization")
    assert isinstance(as_begun(folder, changed).build_scheduler(), FIFO)
    assert "chosen" not in new_folder(experiment("ASHA")).metadata()
    assert as_begun(new_folder(experiment("ASHA")), changed) == replace(changed, resumed_seed=0)


def test_an_earlier_choice_goes_on_as_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until now the choice with rungs was HyperTune with a joint model."""
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path))
    folder = new_folder(experiment())
    chosen = Choice(method="HyperTune", settings={"model": "joint"}, reason="trials report as they train")
    folder.write_metadata({**folder.metadata(), "chosen": chosen.to_json()})
    assert as_begun(folder, experiment()).method == method("HyperTune", model="joint")


def test_it_runs_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path))
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    toy = benchmark(script=str(script), max_resource=3, resource_attr="epoch", n_workers=2)
    outcome = run_experiment(experiment(benchmark=toy))
    assert (outcome.metadata.chosen or {})["method"] == "Adaptive"
    more = experiment(benchmark=toy, limits=Limits(max_num_trials=5))
    assert resume_experiment(outcome.folder, more).history.n_trials == 5


def test_a_script_without_checkpoints_is_named_once_and_stopped_from_then_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    toy = benchmark(script=str(script), resource_attr="epoch", max_resource=3, n_workers=1)
    first = run_experiment(experiment(benchmark=toy, limits=Limits(max_num_trials=7)))
    assert [record.getMessage().count("load_newest()") for record in caplog.records] == [1]
    assert "auto with kind=stopping never pauses" in caplog.text
    assert "kind" not in first.folder.metadata()["chosen"]["settings"]
    second = run_experiment(experiment(benchmark=toy, limits=Limits(max_num_trials=1)))
    chosen = Choice.from_json(second.folder.metadata()["chosen"])
    assert chosen.settings["kind"] == "stopping"
    assert "no trial pauses" in chosen.reason
    assert [Experiment.from_json(one.folder.metadata()).identity() for one in (first, second)] == [
        experiment(benchmark=toy).identity()
    ] * 2
    begun = as_begun(first.folder, Experiment.from_json(first.folder.metadata()))
    assert isinstance(begun.method, MethodSpec)
    assert begun.method.settings["kind"] == "promotion"
    others = [
        experiment(benchmark=toy, tag="other"),
        experiment(benchmark=benchmark()),
        experiment(benchmark=toy, method=method("auto", kind="promotion")),
        experiment(benchmark=toy, max_num_checkpoints=2),
    ]
    kinds = [choice.settings.get("kind") for cell in informed(others) if (choice := cell.choice())]
    assert kinds == [None, None, "promotion", None]
