"""Configurations with known results: judged as trials, learned from, and not trained."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tunewright.backends.local.config import LocalConfig
from tunewright.backends.simulated import SimulatedBackend
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.events import Event, SessionEvent
from tunewright.exceptions import SettingsError, SpaceError
from tunewright.experiments import Experiment, Limits, method, resume_experiment, tune
from tunewright.experiments.known_results import AnsweringBackend, KnownRuns, KnownTrial, Point, read_points
from tunewright.experiments.limits import stopping_criterion
from tunewright.history import History, KnownResults
from tunewright.journal import MemoryJournal
from tunewright.methods import also_read, build_scheduler
from tunewright.metric import Metric
from tunewright.space import Float, Integer, SearchSpace
from tunewright.trial import TrialStatus
from tunewright.tuner import Tuner
from tunewright.types import Config

SPACE = SearchSpace({"x": Float(0.0, 1.0), "n": Integer(1, 20)})
GOOD, FAIR, BAD = {"x": 0.31, "n": 7}, {"x": 0.5, "n": 7}, {"x": 0.9, "n": 2}
FULL = 27


def loss(config: Config, epoch: int) -> float:
    return (float(config["x"]) - 0.3) ** 2 + (int(config["n"]) - 7) ** 2 / 100 + 1 / epoch


def final(config: Config) -> Point:
    return config, {"loss": loss(config, FULL)}


def curve(config: Config, epochs: int) -> Point:
    return config, [{"epoch": epoch, "loss": loss(config, epoch)} for epoch in range(1, epochs + 1)]


def a_benchmark(**changes: Any) -> RealBenchmarkDefinition:
    fields: dict[str, Any] = {
        "name": "b",
        "script": "module:train",
        "space": SPACE,
        "metrics": (Metric("loss"),),
        "max_resource": FULL,
        "resource_attr": "epoch",
        "n_workers": 3,
    }
    return RealBenchmarkDefinition(**{**fields, **changes})


class Run:
    """An experiment in simulated time that begins with points, some with known results."""

    def __init__(self, name: str, points: Sequence[Point], past: Sequence[Event] = (), **limits: int) -> None:
        self.trained: set[tuple[float, int]] = set()
        """Configurations that were trained."""
        spec, benchmark = method(name), a_benchmark()
        first, known = read_points(points, benchmark)
        benchmark = dataclasses.replace(benchmark, points_to_evaluate=first)
        scheduler = KnownRuns(build_scheduler(spec, benchmark, 0, {}), known, SPACE)
        inner = SimulatedBackend(self.train, n_workers=3, max_resource=FULL)
        journal = MemoryJournal(events=past)
        self.history: History = Tuner(
            scheduler,
            AnsweringBackend(inner, scheduler),
            metrics=(*benchmark.metrics, *also_read(spec, benchmark, {})),
            stop_when=stopping_criterion(Limits(**(limits or {"max_num_trials": 6})), benchmark, 0),
            journal=journal,
        ).run()
        self.events = list(journal.events())

    def train(self, config: Config, epoch: int) -> tuple[dict[str, float], float]:
        self.trained.add((float(config["x"]), int(config["n"])))
        return {"loss": loss(config, epoch)}, 60.0

    def has_trained(self, config: Config) -> bool:
        return (config["x"], config["n"]) in self.trained


@pytest.mark.parametrize(
    "name", ["RandomSearch", "BO", "REA", "TPE", "ASHA", "BOHB", "SyncHyperband", "DEHB"]
)
def test_known_results_are_trials_that_are_not_trained(name: str) -> None:
    run = Run(name, [{"x": 0.8, "n": 3}, final(GOOD), final(BAD)])
    history = run.history
    assert [history.trial(i).config["x"] for i in range(3)] == [0.31, 0.9, 0.8]
    assert not run.has_trained(GOOD)
    assert not run.has_trained(BAD)
    assert [history.results(0)[-1].metrics["loss"], history.results(0)[-1].resource] == [
        loss(GOOD, FULL),
        FULL,
    ]
    assert KnownResults().n_trials(history) == 2
    assert history.n_trials == 8  # the limit counts trials that train
    assert history.results(0)[0].time == history.results(1)[0].time == 0.0


def test_the_model_learns_from_known_results() -> None:
    """With twelve known results around the best place, the first new trials of Bayesian optimisation lie there."""
    known = [final({"x": x / 11, "n": 7 + x % 2}) for x in range(12)]
    run = Run("BO", known, max_num_trials=3)
    assert all(abs(float(run.history.trial(i).config["x"]) - 0.3) < 0.15 for i in range(12, 15))


def test_a_known_final_result_takes_no_place_at_a_rung() -> None:
    """Otherwise the three known trials would be the promoted third of the first nine."""
    known = [final({"x": 0.3, "n": n}) for n in (6, 7, 8)]
    run = Run("ASHA", known, max_num_trials=9)
    assert max(run.history.results(i)[-1].resource for i in range(3, 12)) > 1


def test_a_known_curve_competes_at_rungs_and_is_trained_only_beyond_its_end() -> None:
    run = Run("ASHA", [curve(GOOD, 3), curve(BAD, 27)], max_num_trials=40)
    history = run.history
    assert [result.resource for result in history.results(1)] == [1]  # paused at the first rung, for good
    assert history.status(1) is TrialStatus.PAUSED
    assert not run.has_trained(BAD)
    assert history.results(0)[-1].resource == FULL  # promoted to the end, from 3 on by training
    assert run.has_trained(GOOD)
    assert [result.resource for result in history.results(0)] == list(range(1, FULL + 1))


def test_a_killed_experiment_with_known_results_goes_on_as_if_nothing_had_happened() -> None:
    points = [curve(GOOD, 9), curve(BAD, 27), final(FAIR), {"x": 0.7, "n": 9}]
    whole = Run("ASHA", points)
    lines = [event for event in whole.events if not isinstance(event, SessionEvent)]
    for n in range(0, len(lines), 3):
        again = Run("ASHA", points, lines[:n])
        assert _without_wall(again.events) == _without_wall(lines)


def _without_wall(events: Sequence[Event]) -> list[object]:
    kept = [msgspec.to_builtins(event) for event in events if not isinstance(event, SessionEvent)]
    return [{k: v for k, v in event.items() if k not in {"wall", "suggest_time"}} for event in kept]


def test_limits_count_only_what_is_trained() -> None:
    run = Run("RandomSearch", [curve(GOOD, FULL), curve(BAD, FULL)], max_num_evaluations=2 * FULL)
    assert run.history.n_results == 4 * FULL
    patient = Run(
        "RandomSearch", [final(GOOD), *(final({"x": 0.9, "n": n}) for n in range(1, 9))], patience=5
    )
    assert patient.history.n_trials >= 9 + 5


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "x,n,loss,epoch\n0.31,7,0.5,3\n0.31,7,0.4,9\n0.9,2,1.5,\n0.2,,,\n"),
        (
            "p.json",
            json.dumps(
                [
                    {"x": 0.31, "n": 7, "loss": 0.5, "epoch": 3},
                    {"x": 0.31, "n": 7, "loss": 0.4, "epoch": 9},
                    {"x": 0.9, "n": 2, "loss": 1.5},
                    {"x": 0.2},
                ]
            ),
        ),
    ],
)
def test_a_file_of_points_has_columns_of_results(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    first, known = read_points(tmp_path / name, a_benchmark())
    assert first == (GOOD, BAD, {"x": 0.2})
    assert known[0].results == ((3, {"loss": 0.5, "epoch": 3.0}), (9, {"loss": 0.4, "epoch": 9.0}))
    assert known[1] == KnownTrial(config=BAD, results=((FULL, {"loss": 1.5}),))


@pytest.mark.parametrize(
    ("point", "problem"),
    [
        ((GOOD, {"acc": 0.5}), "lacks 'loss'"),
        ((GOOD, {"loss": "low"}), "'low' is not a finite number"),
        ((GOOD, {"loss": 0.5, "epoch": 28}), "epoch must be a whole number from 1 to 27, not 28"),
        ((GOOD, [{"loss": 0.5}, {"loss": 0.6}]), "two results at the resource 27"),
    ],
)
def test_a_result_that_cannot_be_is_refused(point: Point, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        read_points([point], a_benchmark())


def test_a_column_that_is_no_metric_is_refused(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("x,acc\n0.3,0.5\n")
    with pytest.raises(SpaceError, match="acc"):
        read_points(tmp_path / "p.csv", a_benchmark())


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("PBT", "PBT copies the checkpoints of trials"),
        ("CostAwareBO", "CostAwareBO also reads 'st_worker_time'"),
    ],
)
def test_methods_that_cannot_use_known_results_say_so(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "train.py").write_text("")
    benchmark = a_benchmark(script=str(tmp_path / "train.py"), points_to_evaluate=(GOOD,))
    experiment = Experiment(
        tag="t",
        benchmark=benchmark,
        method=method(name),
        label=name,
        backend=LocalConfig(),
        known_results=read_points([final(GOOD)], benchmark)[1],
        limits=Limits(max_num_trials=3),
    )
    with pytest.raises(SettingsError, match=problem):
        experiment.build_scheduler()


def test_known_results_are_stored_with_the_experiment(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("def train(x):\n    return {'loss': x}\n")
    outcome = tune(
        f"{tmp_path / 'train.py'}:train",
        {"x": Float(0.1, 1.0)},
        metric="loss",
        method="RandomSearch",
        n_trials=1,
        n_workers=1,
        points=[{"x": 0.7}, ({"x": 0.05 + 0.05}, {"loss": 0.001})],
    )
    assert outcome.best is not None
    assert (outcome.best.trial_id, outcome.best.value) == (0, 0.001)
    stored = Experiment.from_json(outcome.folder.metadata())
    assert stored.known_results == (KnownTrial(config={"x": 0.1}, results=((1, {"loss": 0.001}),)),)
    assert Experiment.from_json(stored.to_json()) == stored
    more = resume_experiment(outcome.folder, dataclasses.replace(stored, limits=Limits(max_num_trials=2)))
    assert [trial.config["x"] for trial in more.trials][:2] == [0.1, 0.7]
    assert len(more.trials) == 3
