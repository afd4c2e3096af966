"""Studies of Optuna and results of Syne Tune as stored experiments."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.recording import record_table
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.blackbox import get_blackbox
from tunewright.exceptions import SettingsError
from tunewright.experiments import Experiment, Limits, Outcome, load_outcome, method, run_experiment
from tunewright.experiments.imported import read_optuna, read_syne_tune, store_imported
from tunewright.metric import Goal
from tunewright.space import Categorical, Float, Integer, Ordinal, SearchSpace
from tunewright.storage import ExperimentFolder, experiments
from tunewright.transfer.reading import read_evaluations
from tunewright.trial import TrialStatus

State = optuna.trial.TrialState
Study = Callable[..., optuna.Study]


@pytest.fixture
def new_study(tmp_path: Path) -> Study:
    """Makes studies in the journal file ``study.log``."""

    def make(name: str = "mine", **settings: Any) -> optuna.Study:
        backend = optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.log"))
        storage = optuna.storages.JournalStorage(backend)
        return optuna.create_study(study_name=name, storage=storage, **settings)

    return make


def add(study: optuna.Study, params: dict[str, Any], dists: dict[str, Any], **settings: Any) -> None:
    used = {name: dists[name] for name in params}
    study.add_trial(optuna.trial.create_trial(params=params, distributions=used, **settings))


def imported(tmp_path: Path, study: str | None = None, metric: str | None = None) -> ExperimentFolder:
    return store_imported(read_optuna(str(tmp_path / "study.log"), study, metric))[0]


def test_a_study_becomes_an_experiment(new_study: Study, tmp_path: Path) -> None:
    study = new_study(direction="maximize")
    dists = {
        "lr": FloatDistribution(1e-3, 1.0, log=True),
        "width": IntDistribution(4, 64, step=4),
        "act": CategoricalDistribution(["relu", None]),
        "one": CategoricalDistribution(["only"]),
    }
    params = {"lr": 0.1, "width": 8, "act": "relu", "one": "only"}
    add(study, params, dists, value=0.9, intermediate_values={0: 0.5, 1: 0.9, 2: 0.8}, user_attrs={"size": 3})
    add(study, {**params, "act": None}, dists, state=State.PRUNED, intermediate_values={0: 0.1})
    add(study, {**params, "width": 64}, dists, state=State.FAIL)
    add(study, {**params, "lr": 0.2}, dists, value=0.95, intermediate_values={0: 0.6, 1: 0.7, 2: 0.75})
    study.enqueue_trial({"lr": 0.5})
    found = read_optuna(str(tmp_path / "study.log"))
    assert len(found.notices) == 4
    folder, is_new = store_imported(found)
    assert is_new
    outcome = load_outcome(folder)
    assert outcome.space == SearchSpace(
        {
            "lr": Float(1e-3, 1.0, log=True),
            "width": Integer(4, 64, step=4),
            "act": Categorical(["relu", "None"]),
            "one": "only",
        }
    )
    assert (outcome.metric.name, outcome.metric.goal, outcome.resource) == ("value", Goal.MAXIMIZE, "step")
    assert outcome.counts == {"completed": 2, "stopped": 1, "paused": 0, "failed": 1}
    curve = outcome.history.results(0)
    assert [(one.resource, one.metrics["value"]) for one in curve] == [(1, 0.5), (2, 0.9), (3, 0.8)]
    assert curve[-1].metrics["size"] == 3.0
    assert outcome.history.trial(1).config["act"] == "None"
    last = outcome.history.results(3)[-1]  # the returned value was not reported
    assert (last.resource, last.metrics) == (3, {"value": 0.95, "reported": 0.75})
    assert outcome.best is not None
    assert outcome.best.value == 0.95
    assert store_imported(found) == (folder, False)
    assert len(list(experiments())) == 1


def test_an_imported_experiment_serves_as_any_other(new_study: Study, tmp_path: Path) -> None:
    study = new_study()
    dists = {"x": FloatDistribution(0.0, 1.0)}
    for value in (0.3, 0.1, 0.7):
        add(study, {"x": value}, dists, value=value)
    folder = imported(tmp_path, metric="loss")
    outcome = load_outcome(folder)
    space = SearchSpace({"x": Float(0.0, 0.5)})
    assert read_evaluations([folder.name], space, outcome.metric).n_evaluations == 2
    (recorded,) = record_table([folder.name], "mine")
    assert recorded.n_configs == 3
    with pytest.raises(SettingsError, match=r"imported from Optuna.*--warm_start"):
        Experiment.from_json(folder.metadata())


def test_several_objectives(new_study: Study, tmp_path: Path) -> None:
    study = new_study(directions=["minimize", "maximize"])
    dists = {"x": FloatDistribution(0.0, 1.0)}
    for x in (0.2, 0.8):
        add(study, {"x": x}, dists, values=[x, x * x])
    outcome = load_outcome(imported(tmp_path))
    assert [metric.name for metric in outcome.metrics] == ["value_0", "value_1"]
    assert [point.values for point in outcome.pareto] == [
        {"value_0": 0.2, "value_1": 0.2 * 0.2},
        {"value_0": 0.8, "value_1": 0.8 * 0.8},
    ]


def test_conditions_are_found_and_ranges_are_united(new_study: Study, tmp_path: Path) -> None:
    study = new_study()
    kind = CategoricalDistribution(["svc", "forest"])
    for high in (1.0, 10.0):
        dists = {"kind": kind, "c": FloatDistribution(0.1, high), "depth": IntDistribution(1, 9)}
        add(study, {"kind": "svc", "c": 0.5}, dists, value=1.0)
        add(study, {"kind": "forest", "depth": 3}, dists, value=2.0)
    outcome = load_outcome(imported(tmp_path))
    assert outcome.space == SearchSpace(
        {
            "kind": Categorical(["svc", "forest"]),
            "c": Float(0.1, 10.0, active_if={"kind": ["svc"]}),
            "depth": Integer(1, 9, active_if={"kind": ["forest"]}),
        }
    )
    assert outcome.history.trial(1).config == {"kind": "forest", "depth": 3}


def simulated(table: str, method_name: str, n_trials: int) -> Outcome:
    """An experiment on the only data set of a recorded table."""
    return run_experiment(
        Experiment(
            tag="again",
            benchmark=simulated_benchmark(f"{table}-{table}"),
            method=method(method_name),
            label=method_name,
            backend=SimulatedConfig(profile="ideal"),
            limits=Limits(max_num_trials=n_trials),
        )
    )


def test_a_study_with_conditions_becomes_a_table_on_which_methods_are_simulated(
    new_study: Study, tmp_path: Path
) -> None:
    study = new_study("mine")
    dists = {
        "kind": CategoricalDistribution(["svc", "forest"]),
        "c": CategoricalDistribution([0.1, 1.0, 10.0]),
        "depth": IntDistribution(1, 2),
    }
    losses: dict[Any, float] = {("svc", c): c for c in (0.1, 1.0, 10.0)}
    losses |= {("forest", depth): 2.0 * depth for depth in (1, 2)}
    for (kind, value), loss in losses.items():
        own = "c" if kind == "svc" else "depth"
        add(study, {"kind": kind, own: value}, dists, value=loss)
    folder = imported(tmp_path)
    (recorded,) = record_table([folder.name], "mine")
    assert recorded.description.space == load_outcome(folder).space
    assert recorded.benchmark.surrogate is None  # all configurations were tried
    for name in ("GridSearch", "BayesianOptimization"):
        outcome = simulated("mine", name, 5)
        found = {
            tuple(trial.config.values()): outcome.history.results(trial.id)[0].metrics["value"]
            for trial in outcome.trials
        }
        assert found == pytest.approx(losses)


def test_hyperparameters_that_trials_lack_without_a_condition_have_their_defaults_in_a_table(
    new_study: Study, tmp_path: Path
) -> None:
    study = new_study("mine")
    dists = {"x": FloatDistribution(0.0, 1.0), "y": FloatDistribution(0.0, 1.0)}
    for x, rest in ((0.2, {}), (0.6, {"y": 0.1}), (0.9, {"y": 0.9})):
        add(study, {"x": x, **rest}, dists, value=x)
    (recorded,) = record_table([imported(tmp_path).name], "mine")
    assert recorded.n_configs == 3
    assert recorded.description.note == "1 trial lacked hyperparameters and got their defaults"
    table = get_blackbox("mine", "mine", surrogate="nearest")
    metric = table.metric_index("value")
    assert table.curve({"x": 0.25, "y": 0.4})[0, metric] == pytest.approx(0.2)
    assert simulated("mine", "RandomSearch", 4).counts["completed"] == 4


def test_a_study_is_chosen_by_its_name(new_study: Study, tmp_path: Path) -> None:
    for name in ("a", "b"):
        add(new_study(name), {"x": 0.5}, {"x": FloatDistribution(0.0, 1.0)}, value=1.0)
    with pytest.raises(SettingsError, match="has the studies a, b: choose one with --study"):
        imported(tmp_path)
    with pytest.raises(SettingsError, match="no study 'c'"):
        imported(tmp_path, "c")
    assert load_outcome(imported(tmp_path, "b")).metadata.benchmark.name == "b"


@pytest.mark.parametrize("content", [None, "", "no journal\n", "{}\n", "SQLite format 3\0"])
def test_other_files_are_refused_and_left_as_they_are(content: str | None, tmp_path: Path) -> None:
    path = tmp_path / "file.db"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SettingsError) as caught:
        read_optuna(str(path))
    assert "\n" not in str(caught.value)
    assert (path.read_text() if path.exists() else None) == content
    assert not list(experiments())


def test_a_study_without_trials_is_refused(new_study: Study, tmp_path: Path) -> None:
    new_study()
    with pytest.raises(SettingsError):
        imported(tmp_path)
    assert not list(experiments())


# --- Syne Tune

ROWS = [
    # As Syne Tune 0.13 writes them: it stops trials also at their end, and scripts may end before they are stopped.
    # trial, epoch, loss, decision, status, config_lr, config_act, config_depth, worker time, tuner time
    (0, 1, 0.9, "CONTINUE", "InProgress", 0.1, "relu", 2, 1.0, 2.0),
    (1, 1, 0.5, "PAUSE", "Paused", 0.2, "tanh", 4, 1.0, 2.5),
    (0, 2, 0.8, "STOP", "InProgress", 0.1, "relu", 2, 2.0, 3.0),
    (3, 1, 2.0, "STOP", "Completed", 0.4, "relu", 1, 1.0, 4.0),
]
COLUMNS = ("trial_id", "epoch", "loss", "st_decision", "st_status", "config_lr", "config_act", "config_depth")


def syne_tune(folder: Path, **metadata: Any) -> Path:
    folder.mkdir()
    known = {"metric_names": ["loss"], "metric_mode": "min", "entrypoint": "train", "scheduler_name": "ASHA"}
    known |= {"st_tuner_start_timestamp": 1000.0}
    (folder / "metadata.json").write_text(json.dumps({**known, **metadata}))
    text = io.StringIO()
    csv.writer(text).writerows([(*COLUMNS, "st_worker_time", "st_tuner_time"), *ROWS])
    with zipfile.ZipFile(folder / "results.csv.zip", "w") as archive:
        archive.writestr("results.csv", text.getvalue())
    return folder


SYNE_TUNE_SPACE = {
    "lr": {
        "domain_cls": "Float",
        "domain_kwargs": {"lower": 0.01, "upper": 1.0},
        "sampler_cls": "LogUniform",
        "sampler_kwargs": {"base": 10},
    },
    "act": {"domain_cls": "Categorical", "domain_kwargs": {"categories": ["relu", "tanh"]}},
    "depth": {"domain_cls": "Ordinal", "domain_kwargs": {"categories": [1, 2, 4]}},
    "epochs": 2,
}


def test_results_of_syne_tune_become_an_experiment(tmp_path: Path) -> None:
    found = read_syne_tune(str(syne_tune(tmp_path / "st", config_space=json.dumps(SYNE_TUNE_SPACE), seed=7)))
    assert found.notices == ["1 trial without a report (2) are not in the table"]
    outcome = load_outcome(store_imported(found)[0])
    assert outcome.space == SearchSpace(
        {
            "lr": Float(0.01, 1.0, log=True),
            "act": Categorical(["relu", "tanh"]),
            "depth": Ordinal([1, 2, 4], kind="equal"),
            "epochs": 2,
        }
    )
    history = outcome.history
    statuses = [history.status(trial_id) for trial_id in range(3)]
    assert statuses == [TrialStatus.COMPLETED, TrialStatus.PAUSED, TrialStatus.STOPPED]
    assert [(one.resource, one.metrics["loss"], one.time) for one in history.results(0)] == [
        (1, 0.9, 1.0),
        (2, 0.8, 2.0),
    ]
    assert history.trial(1).config == {"lr": 0.2, "act": "tanh", "depth": 4, "epochs": 2}
    assert (outcome.metadata.label, outcome.metadata.benchmark.name, outcome.metadata.seed) == (
        "ASHA",
        "train",
        7,
    )


def test_a_space_that_only_the_pickle_holds_is_guessed_and_said(tmp_path: Path) -> None:
    folder = syne_tune(tmp_path / "st")
    (folder / "tuner.dill").write_bytes(b"\x80\x04cos\nsystem\n")
    found = read_syne_tune(str(folder))
    assert "tuner.dill only, a pickle, which is not read" in found.notices[0]
    assert found.space == SearchSpace(
        {"lr": Float(0.1, 0.4), "act": Categorical(["relu", "tanh"]), "depth": Integer(1, 4)}
    )


def test_damaged_results_of_syne_tune_are_refused(tmp_path: Path) -> None:
    folder = syne_tune(tmp_path / "st", metric_names=["other"])
    with pytest.raises(SettingsError, match="no column 'other'"):
        read_syne_tune(str(folder))
    (folder / "results.csv.zip").write_bytes(b"no zip")
    with pytest.raises(SettingsError, match="damaged"):
        read_syne_tune(str(folder))
    (folder / "results.csv.zip").unlink()
    (folder / "tuner.dill").touch()
    with pytest.raises(SettingsError, match=r"no results\.csv\.zip.*a pickle, which is not read"):
        read_syne_tune(str(folder))
