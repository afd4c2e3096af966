"""Experiments in an Optuna storage: once, twice, while they run, and after they were continued; trackers that fail."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest
from filelock import FileLock

from tunewright import tune
from tunewright.asktell import Asked, AskTell
from tunewright.backends.local.config import LocalConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.callbacks.optuna import OptunaConfig, OptunaTracker
from tunewright.callbacks.tracking import TrackingCallback, export_experiment, tracker_names
from tunewright.exceptions import SettingsError, TrackerError
from tunewright.experiments import Experiment, Limits, load_outcome, method
from tunewright.experiments.run import new_folder
from tunewright.journal import FileJournal
from tunewright.metric import Goal, Metric
from tunewright.space import Categorical, Float, Integer, Ordinal, SearchSpace
from tunewright.trial import BackendSummary, Decision, ExperimentStatus

SCORE = Metric("score", Goal.MAXIMIZE)
SPACE = SearchSpace(
    {
        "lr": Float(1e-4, 1.0, log=True),
        "width": Integer(4, 64, step=4),
        "act": Categorical(["relu", "tanh"]),
        "depth": Ordinal([1, 2, 4]),
        "epochs": 9,
    }
)


class Stored:
    """A stored experiment of ASHA, written report by report."""

    def __init__(self, metrics: Sequence[Metric] = (SCORE,)) -> None:
        self.metrics = list(metrics)
        benchmark = RealBenchmarkDefinition(
            name="toy",
            script="toy.py",
            space=SPACE,
            metrics=tuple(metrics),
            resource_attr="epoch",
            max_resource=9,
        )
        self.folder = new_folder(
            Experiment(
                tag="toy",
                benchmark=benchmark,
                method=method("ASHA"),
                label="ASHA",
                backend=LocalConfig(),
                limits=Limits(max_num_trials=9),
            )
        )
        self.asked: dict[int, Asked] = {}

    @contextmanager
    def session(self) -> Iterator[AskTell]:
        """A tuner at work."""
        name = "ASHA" if len(self.metrics) == 1 else "RandomSearch"
        with closing(FileJournal(self.folder.journal_path)) as journal:
            yield AskTell(SPACE, self.metrics, journal, method=name, max_resource=9)

    def begin(self, tuning: AskTell) -> int:
        asked = tuning.ask()
        assert asked is not None
        self.asked[asked.trial_id] = asked
        return asked.trial_id

    def tell(self, tuning: AskTell, trial: int, epoch: int, score: float) -> Decision:
        values = {metric.name: score for metric in self.metrics}
        return tuning.tell(
            self.asked[trial], {**values, "epoch": epoch, "seconds": 2.0 * epoch}, epoch
        ).decision

    def first_part(self, tuning: AskTell) -> None:
        """The first trial is paused, the second fails."""
        trial = self.begin(tuning)
        assert self.tell(tuning, trial, 1, 0.2) is Decision.PAUSE
        trial = self.begin(tuning)
        tuning.fail(self.asked[trial], "exit 1\nno such file")

    def second_part(self, tuning: AskTell) -> None:
        """The third trial is promoted up to its end."""
        for score in (0.5, 0.4):
            trial = self.begin(tuning)
            self.tell(tuning, trial, 1, score)
        trial = self.begin(tuning)
        assert trial == 2, "it is the best of three"
        self.tell(tuning, trial, 2, 0.7)
        self.tell(tuning, trial, 3, 0.6)


def open_study(name: str, path: Path) -> optuna.Study:
    """A study of a journal file, which takes a tenth of a sqlite file's time."""
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    return optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))


def study_of(stored: Stored, path: Path) -> optuna.Study:
    return open_study(stored.folder.name, path)


def rows(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [
        (one.number, one.state.name, one.values, one.params, one.intermediate_values, one.user_attrs)
        for one in study.trials
    ]


@pytest.fixture
def stored() -> Stored:
    """Four trials: paused, failed, promoted, paused."""
    made = Stored()
    with made.session() as tuning:
        made.first_part(tuning)
        made.second_part(tuning)
    return made


def test_an_experiment_becomes_a_study_and_a_second_export_adds_nothing(
    stored: Stored, tmp_path: Path
) -> None:
    config = OptunaConfig(storage=str(tmp_path / "a.db"))
    said = export_experiment(stored.folder, config)
    assert said == f"4 trials in optuna: optuna-dashboard sqlite:///{tmp_path}/a.db"
    study = optuna.load_study(study_name=stored.folder.name, storage=f"sqlite:///{tmp_path}/a.db")
    first = rows(study)
    assert study.direction is optuna.study.StudyDirection.MAXIMIZE
    assert study.metric_names == ["score"]
    assert [row[1] for row in first] == ["PRUNED", "FAIL", "PRUNED", "PRUNED"]
    assert first[2][2] == [0.7]
    assert first[2][4] == {1: 0.5, 2: 0.7, 3: 0.6}
    assert first[2][5]["seconds"] == 6.0
    assert first[1][5]["tunewright:error"] == "exit 1\nno such file"
    configs = [trial.config for trial in load_outcome(stored.folder).trials]
    assert [{**row[3], "epochs": 9} for row in first] == configs
    depth = study.trials[0].distributions["depth"]
    assert depth == optuna.distributions.CategoricalDistribution([1, 2, 4])
    assert study.trials[0].distributions["width"] == optuna.distributions.IntDistribution(4, 64, step=4)
    export_experiment(stored.folder, config)
    assert (
        rows(optuna.load_study(study_name=stored.folder.name, storage=f"sqlite:///{tmp_path}/a.db")) == first
    )


def test_a_completed_trial_has_its_best_value(tmp_path: Path) -> None:
    stored = Stored([SCORE, Metric("size")])
    with stored.session() as tuning:
        trial = stored.begin(tuning)
        stored.tell(tuning, trial, 1, 0.9)
        stored.tell(tuning, trial, 2, 0.8)
        tuning.complete(stored.asked[trial])
    export_experiment(stored.folder, OptunaConfig(storage=str(tmp_path / "a.journal")))
    study = study_of(stored, tmp_path / "a.journal")
    assert [one.name for one in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    (only,) = study.trials
    assert (only.state.name, only.values) == ("COMPLETE", [0.8, 0.8])  # several objectives: the last values
    assert only.system_attrs["tunewright:results"][0] == [1, {"score": 0.9, "size": 0.9, "seconds": 2.0}]


def test_an_experiment_is_followed_while_it_runs(tmp_path: Path) -> None:
    stored = Stored()
    live, late = (
        OptunaConfig(storage=str(tmp_path / "live.journal")),
        OptunaConfig(storage=str(tmp_path / "late.journal")),
    )
    seen: list[list[str]] = []
    with stored.session() as tuning:
        steps = iter((stored.first_part, stored.second_part))

        def wait() -> bool:
            if step := next(steps, None):
                step(tuning)
                return True
            return False

        export_experiment(stored.folder, live, wait)
        seen = [[row[1] for row in rows(study_of(stored, tmp_path / "live.journal"))]]
    assert seen == [["RUNNING", "FAIL", "RUNNING", "RUNNING"]], "paused trials are not at their end yet"
    for config in (live, late):
        export_experiment(stored.folder, config)
    assert rows(study_of(stored, tmp_path / "live.journal")) == rows(
        study_of(stored, tmp_path / "late.journal")
    )


def test_a_study_is_written_anew_when_its_experiment_was_continued(tmp_path: Path) -> None:
    stored = Stored()
    config = OptunaConfig(storage=str(tmp_path / "a.journal"))
    with stored.session() as tuning:
        stored.first_part(tuning)
    export_experiment(stored.folder, config)
    with stored.session() as tuning:
        stored.second_part(tuning)
    export_experiment(stored.folder, config)
    study = study_of(stored, tmp_path / "a.journal")
    assert [sorted(trial.intermediate_values) for trial in study.trials] == [[1], [], [1, 2, 3], [1]]


def test_a_study_of_others_is_left_alone(stored: Stored, tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    backend = optuna.storages.journal.JournalFileBackend(str(path))
    mine = optuna.create_study(study_name="mine", storage=optuna.storages.JournalStorage(backend))
    mine.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(SettingsError, match="another study mine"):
        export_experiment(stored.folder, OptunaConfig(storage=str(path), study="mine"))
    assert len(open_study("mine", path).trials) == 1


def test_two_exports_at_the_same_time_are_refused(stored: Stored, tmp_path: Path) -> None:
    with FileLock(stored.folder.path / ".optuna.lock"), pytest.raises(SettingsError, match="Another process"):
        export_experiment(stored.folder, OptunaConfig(storage=str(tmp_path / "a.journal")))


def test_a_tracker_that_fails_is_tried_again_from_where_it_was(
    stored: Stored, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = OptunaConfig(storage=str(tmp_path / "a.journal"))
    write_trial = OptunaTracker.write_trial
    calls: list[int] = []

    def fail_once(self: OptunaTracker, trial: Any) -> None:
        calls.append(trial.id)
        if len(calls) == 3:
            raise ConnectionError("the server does not answer\nand more")
        write_trial(self, trial)

    monkeypatch.setattr(OptunaTracker, "write_trial", fail_once)
    with pytest.raises(TrackerError, match=r"optuna cannot be written: the server does not answer$"):
        export_experiment(stored.folder, config)
    assert len(study_of(stored, tmp_path / "a.journal").trials) == 2
    export_experiment(stored.folder, config)
    assert [
        trial.system_attrs["tunewright:trial"] for trial in study_of(stored, tmp_path / "a.journal").trials
    ] == [
        0,
        1,
        2,
        3,
    ]


def test_a_callback_writes_from_a_process_of_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = tmp_path / "training.py"
    script.write_text("def train(x):\n    return x\n")
    outcome = tune(
        f"{script}:train",
        {"x": Float(0.0, 1.0)},
        metric="loss",
        n_trials=3,
        callbacks=[f"optuna:storage={tmp_path}/a.journal,study=live"],
        progress=False,
    )
    study = open_study("live", tmp_path / "a.journal")
    assert [(trial.state.name, trial.user_attrs.get("tunewright:error")) for trial in study.trials] == [
        ("COMPLETE", None)
    ] * 3
    assert "optuna" not in caplog.text, "the process ended by itself"
    best = outcome.best
    assert best is not None
    assert (study.best_trial.number, study.best_value) == (best.trial_id, best.value)


def test_a_tracker_that_is_down_leads_to_a_warning(
    stored: Stored, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    callback = TrackingCallback(OptunaConfig(storage=f"{tmp_path}/file/a.journal"), stored.folder)
    history = load_outcome(stored.folder).history
    callback.on_experiment_start(history)
    with caplog.at_level(logging.WARNING):
        callback.on_experiment_end(history, ExperimentStatus.COMPLETED, BackendSummary())
    assert f"tunewright export {stored.folder.name} --to optuna" in caplog.text
    assert "optuna cannot be written" in caplog.text
    assert "does not answer" not in caplog.text


def test_trackers_are_callbacks_of_the_plugin_group() -> None:
    assert tracker_names() == ["mlflow", "optuna", "wandb"]
