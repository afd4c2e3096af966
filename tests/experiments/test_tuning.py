"""``tune``, and what trials print."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

import tunewright
from tunewright.backends.local.config import LocalConfig
from tunewright.exceptions import SettingsError, SpaceError
from tunewright.experiments import Experiment, load_outcome, resume_experiment, tune
from tunewright.experiments.tuning import place_of
from tunewright.metric import Metric
from tunewright.space import Float
from tunewright.stopping import MetricReached
from tunewright.storage import ExperimentFolder, experiments

TRAINING = """
import os, pathlib, tunewright

def train(x, epochs):
    print("training with", x)
    for epoch in range(1, epochs + 1):
        pathlib.Path(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"], "state").write_text(str(epoch))
        tunewright.report(epoch=epoch, loss=x / epoch)
"""


@pytest.fixture
def training(tmp_path: Path) -> str:
    """Path of a training function in a file."""
    (tmp_path / "training.py").write_text(TRAINING)
    return f"{tmp_path / 'training.py'}:train"


def test_a_function_is_tuned_in_processes(training: str, capsys: pytest.CaptureFixture[str]) -> None:
    outcome = tune(
        training,
        {"x": Float(0.0, 1.0), "epochs": 2},
        metric="loss",
        method="auto",
        resource="epoch",
        max_resource_attr="epochs",
        max_num_trials=3,
        n_workers=2,
        seed=1,
    )
    assert outcome.best is not None
    assert outcome.best_value == outcome.best.value
    assert outcome.best_params == outcome.best_config == outcome.best.config
    assert outcome.best.value == min(r.metrics["loss"] for _, r in outcome.history.results_since(0))
    assert outcome.path.is_dir()
    said = capsys.readouterr()
    assert said.out == ""  # that is the script's own
    assert "Best:    loss" in said.err
    stored = Experiment.from_json(outcome.folder.metadata())
    log = stored.plugin.logs(stored.backend, stored.context(outcome.folder), 0)
    assert "training with 0.5" in log.new_text()
    assert log.new_text() == ""
    log.close()


def test_the_options_are_checked_before_anything_starts(training: str, tunewright_home: Path) -> None:
    space = {"x": Float(0.0, 1.0), "epochs": 2}
    with pytest.raises(SettingsError, match="Did you mean 'n_workers'"):
        tune(training, space, metric="loss", n_worker=2)  # type: ignore[call-arg]
    with pytest.raises(SettingsError, match="Nothing would end"):
        tune(training, space, metric="loss", progress=False)
    with pytest.raises(SettingsError, match="Unknown method"):
        tune(training, space, metric="loss", method="ASAH")
    with pytest.raises(SettingsError, match="'min' or 'max'"):
        tune(training, space, metric="loss", goal="minimum", max_num_trials=1)
    assert not tunewright_home.exists()


def test_functions_are_known_by_their_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nested() -> None: ...

    assert place_of(tune) == "tunewright.experiments.tuning:tune"
    assert place_of("module:name") == "module:name"
    assert place_of(Path("train.py")) == str(Path("train.py").absolute())
    assert place_of("folder/train.py:run") == f"{Path('folder/train.py').absolute()}:run"
    assert place_of(nested) == "session:nested"
    assert place_of(lambda: None) == "session:lambda"
    assert place_of(functools.partial(nested)) == "session:nested"
    for unfit in (ModuleType("m"), 3, Path):
        with pytest.raises(SettingsError, match="needs a function or the path of a script"):
            place_of(unfit)  # type: ignore[arg-type]

    main = ModuleType("__main__")
    exec("def train(): ...", main.__dict__)  # noqa: S102 - what a prompt does
    monkeypatch.setitem(sys.modules, "__main__", main)
    assert place_of(main.train) == "session:train"
    main.__file__ = "/somewhere/script.py"
    assert place_of(main.train) == "/somewhere/script.py:train"


SPACE = {"x": Float(0.0, 1.0)}


def test_a_nested_function_is_tuned_and_continued() -> None:
    offset = 2.0

    def train(x: float) -> float:
        return offset + x

    first = tune(train, SPACE, metric="loss", n_trials=2, n_workers=2, progress=False)
    assert first.counts["completed"] == 2
    assert first.best is not None
    assert first.best.value == offset + first.best.config["x"]
    more = tune(train, SPACE, metric="loss", n_trials=4, n_workers=2, progress=False, resume=True)
    assert (more.path, more.counts["completed"]) == (first.path, 4)
    other = tune(train, SPACE, metric="loss", n_trials=1, seed=1, progress=False, resume=True)
    assert other.path != first.path
    with pytest.raises(
        SettingsError, match=r"is not stored: define it again, .* tune\(train, \.\.\., resume=True\)"
    ):
        resume_experiment(first.folder)


def test_a_function_without_a_place_runs_on_this_machine_only() -> None:
    with pytest.raises(SettingsError, match="only the local backend can run: define it with def"):
        tune(lambda x: x, SPACE, metric="loss", backend="sagemaker", n_trials=1, progress=False)
    assert not list(experiments())


def test_points_come_first_and_limits_end_it(training: str) -> None:
    settings = {"metric": "loss", "method": "RandomSearch", "n_workers": 1, "progress": False, "n_trials": 20}
    tried = tune(lambda x: x, SPACE, points=[{"x": 0.75}, {"x": 0.25}], stop_at=0.3, tag="first", **settings)
    assert [trial.config["x"] for trial in tried.trials] == [0.75, 0.25]
    assert tried.status.is_finished
    stale = tune(lambda x: 1.0, SPACE, patience=3, tag="second", **settings)
    assert stale.history.n_trials == 4
    criterion = MetricReached(Metric("loss"), 2.0)
    ended = tune(lambda x: x, SPACE, stop_when=criterion, tag="third", **{**settings, "n_trials": None})
    assert ended.history.n_trials == 1


def test_relations_are_kept() -> None:
    tried = tune(
        lambda x, y: x + y,
        {"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)},
        constraints=["x <= y"],
        metric="loss",
        method="RandomSearch",
        n_trials=5,
        points=[{"x": 0.1, "y": 0.3}],
        progress=False,
    )
    assert all(trial.config["x"] <= trial.config["y"] for trial in tried.trials)
    with pytest.raises(SpaceError, match="Did you mean 'x'"):
        tune(lambda x: x, SPACE, constraints=["xx <= 1"], metric="loss", n_trials=1)


def test_limits_have_two_names_each(training: str) -> None:
    with pytest.raises(SettingsError, match="max_num_trials is another name of n_trials"):
        tune(training, SPACE, metric="loss", n_trials=1, max_num_trials=1)
    with pytest.raises(SettingsError, match="patience must be >= 1"):
        tune(training, SPACE, metric="loss", patience=0)


def test_a_script_is_tuned(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(
        "import sys\nfrom tunewright import report\nreport(loss=float(sys.argv[sys.argv.index('--x') + 1]))\n"
    )
    outcome = tune(script, SPACE, metric="loss", backend=LocalConfig(), n_trials=2, progress=False)
    assert (outcome.counts["completed"], outcome.metadata.tag) == (2, "train")


def test_a_script_gets_files_and_variables(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "helper.py").write_text("SHIFT = 3\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shift.txt").write_text("5")
    (tmp_path / "script").mkdir()
    script = tmp_path / "script" / "train.py"
    script.write_text(
        "import os, pathlib, helper, tunewright\n"
        "read = pathlib.Path(os.environ['SM_CHANNEL_TRAIN'], 'shift.txt').read_text()\n"
        "tunewright.report(loss=helper.SHIFT + int(read) + int(os.environ['SHIFT']))\n"
    )
    outcome = tune(
        script,
        {"x": Float(0.0, 1.0)},
        metric="loss",
        n_trials=1,
        n_workers=1,
        inputs={"train": str(tmp_path / "data")},
        environment={"SHIFT": "7"},
        dependencies=[tmp_path / "lib" / "helper.py"],
    )
    assert outcome.best is not None
    assert outcome.best.value == 15.0


def test_data_frames_hold_all_trials_and_results(training: str) -> None:
    outcome = tune(
        training,
        {**SPACE, "epochs": 2},
        metric="loss",
        resource="epoch",
        max_resource_attr="epochs",
        method="RandomSearch",
        n_trials=3,
        progress=False,
    )
    trials = outcome.trials_dataframe()
    assert list(trials.columns) == ["trial_id", "status", "resource", "loss", "x", "epochs"]
    assert list(trials["loss"]) == [trial.config["x"] / 2 for trial in outcome.trials]
    results = outcome.results_dataframe()
    assert list(results.columns[:5]) == ["time", "trial_id", "resource", "decision", "epoch"]
    assert len(results) == 6
    for plot in (
        outcome.plot_history,
        outcome.plot_learning_curves,
        outcome.plot_slices,
        outcome.plot_parallel,
    ):
        assert plot().axes


def test_a_log_is_read_as_it_grows(experiment: Callable[..., Experiment], tmp_path: Path) -> None:
    cell = experiment(backend=LocalConfig())
    log = cell.plugin.logs(cell.backend, cell.context(ExperimentFolder(tmp_path)), 0)
    assert log.new_text() == ""
    run = tmp_path / "trials" / "0" / "runs" / "0-0"
    run.mkdir(parents=True)
    (run / "order.json").write_text("{}")
    (run / "stdout").write_bytes("ü".encode()[:1])
    assert log.new_text() == ""
    (run / "stdout").write_bytes("ü\n".encode())
    (run / "stderr").write_bytes(b"warning\n")
    assert log.new_text() == "ü\nwarning\n"


def test_the_package_exports_it() -> None:
    assert tunewright.tune is tunewright.tune_function is tune


UNGUARDED = """
import tunewright
from tunewright import Float

def train(lr):
    return lr

outcome = tunewright.tune(train, {"lr": Float(0.1, 1.0)}, metric="loss", max_num_trials=3, n_workers=2)
print(outcome.best.value)
"""


def test_a_file_needs_no_main_guard(tmp_path: Path) -> None:
    """Its trials load it as well, and begin no experiments of their own."""
    (tmp_path / "tuning.py").write_text(UNGUARDED)
    command = [sys.executable, "tuning.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    (folder,) = experiments()
    outcome = load_outcome(folder)
    assert outcome.counts["completed"] == 3
    assert outcome.best is not None
    assert done.stdout == f"{outcome.best.value}\n"


def test_a_script_takes_overrides_of_hydra_and_points_from_a_file(tmp_path: Path) -> None:
    script, points = tmp_path / "train.py", tmp_path / "points.json"
    script.write_text(
        "import sys\nname, value = sys.argv[1].split('=')\nassert name == 'model.x' and sys.argv[2] == 'on=true'\n"
        "print('[tune-metric]: {\"loss\": %s}' % value)"
    )
    points.write_text('[{"model": {"x": 0.25}}]')
    outcome = tune(
        script,
        {"model.x": Float(0.0, 1.0), "on": True},
        metric="loss",
        method="RandomSearch",
        n_trials=1,
        points=points,
        argument_style="hydra",
    )
    assert outcome.best is not None
    assert outcome.best.value == 0.25
    points.write_text('[{"model": {"x": 2}}]')
    with pytest.raises(SpaceError, match=r"points\.json, entry 1: model\.x: "):
        tune(script, {"model.x": Float(0.0, 1.0)}, metric="loss", n_trials=1, points=points)
