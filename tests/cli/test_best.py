"""``best``, also with ``--retrain``, ``note`` and ``delete`` on stored experiments."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import statistics
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from tunewright.backends.local.config import LocalConfig
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.cli import main
from tunewright.exceptions import SettingsError
from tunewright.experiments import (
    Experiment,
    Limits,
    Outcome,
    load_outcome,
    method,
    retrainings,
    run_experiment,
)
from tunewright.journal import FileJournal
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace
from tunewright.storage import experiments


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


@pytest.fixture
def outcome() -> Outcome:
    """The newer one of two experiments."""
    cells = [
        Experiment(
            tag=tag,
            benchmark=simulated_benchmark("digits"),
            method=method("RandomSearch"),
            label="RS",
            backend=SimulatedConfig(),
            limits=Limits(max_num_trials=3),
        )
        for tag in ("another", "newer")
    ]
    return [run_experiment(cell) for cell in cells][-1]


def test_the_best_configuration_is_printed_for_other_programs(
    outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome.best is not None
    config = dict(outcome.best.config)

    def printed(form: str) -> str:
        code, out, _ = call(capsys, "best", "newer", "--format", form)
        assert code == 0
        return out

    assert json.loads(printed("json")) == config
    assert tomllib.loads(printed("toml")) == config
    assert ast.literal_eval(printed("python")) == config
    assert shlex.split(printed("cli")) == [f"--{name}={value}" for name, value in config.items()]
    pairs = [line.split(": ", 1) for line in printed("yaml").splitlines()]
    assert {name: json.loads(value) for name, value in pairs} == config
    shown = printed("table")
    assert f"trial {outcome.best.trial_id}" in shown
    assert ("highest" if outcome.metric.goal == "max" else "lowest") in shown


def test_without_a_result_there_is_no_best(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    header = outcome.folder.journal_path.read_text().splitlines(keepends=True)[0]
    outcome.folder.journal_path.write_text(header)
    code, _, err = call(capsys, "best", "@last")
    assert code == 2
    assert f"{outcome.folder.name} has no best result" in err


def run_asha(tag: str, n_trials: int) -> Outcome:
    """An experiment whose first trials end at a rung."""
    return run_experiment(
        Experiment(
            tag=tag,
            benchmark=simulated_benchmark("digits"),
            method=method("ASHA"),
            label="ASHA",
            backend=SimulatedConfig(),
            limits=Limits(max_num_evaluations=n_trials),
        )
    )


def test_the_end_of_an_experiment_without_a_whole_trial_names_retrain(
    outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    short = run_asha("short", 4)
    assert short.best is not None
    full = simulated_benchmark("digits").max_resource
    shown = call(capsys, "show", "short")[1]
    assert re.search(rf"No trial came to the end of its training: \w+ \d+ of {full} at most", shown)
    assert f"tunewright best {short.folder.name} --retrain" in shown
    assert (
        f"of {full}; to the end: tunewright best {short.folder.name} --retrain"
        in call(capsys, "best", "short")[1]
    )
    assert "--retrain" not in call(capsys, "show", "newer")[1]
    assert "--retrain" not in call(capsys, "best", "newer")[1]


def test_the_best_configuration_is_trained_to_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    short = run_asha("short", 4)
    assert short.best is not None
    code, out, _ = call(capsys, "best", "short", "--retrain")
    assert code == 0
    again = load_outcome(next(iter(experiments("best-short"))))
    assert [trial.config for trial in again.trials] == [short.best.config]
    last = again.history.last(0)
    assert last is not None
    assert last.resource == simulated_benchmark("digits").max_resource
    assert f"at the end: {last.metrics[again.metric.name]:.5g}" in out
    assert again.to_json()["origin"] == short.folder.name
    assert f"the best of {short.folder.name}" in call(capsys, "show", "best-short")[1]
    assert call(capsys, "resume", again.folder.name)[0] == 0


def test_several_seeds_give_a_mean(capsys: pytest.CaptureFixture[str]) -> None:
    short = run_asha("short", 4)
    code, out, _ = call(capsys, "best", "short", "--retrain", "--n_seeds", "3", "--resource", "5")
    assert code == 0
    runs = [load_outcome(folder) for folder in experiments("best-short")]
    lasts = [run.history.last(0) for run in runs]
    values = [last.metrics[short.metric.name] for last in lasts if last is not None]
    assert {last.resource for last in lasts if last is not None} == {5}
    assert len({run.metadata.seed for run in runs}) == 3
    mean, spread = statistics.fmean(values), statistics.stdev(values)
    assert f"at the end: {mean:.5g} ± {spread:.2g} (mean and standard deviation of 3 runs)" in out


def test_the_seed_of_a_script_is_another_one_in_each_run(tmp_path: Path) -> None:
    benchmark = RealBenchmarkDefinition(
        name="toy",
        script=str(tmp_path / "train.py"),
        space=SearchSpace({"lr": Float(0.1, 1.0), "seed": 7, "epochs": 9}, ["lr <= epochs"]),
        metrics=(Metric("loss"),),
        max_resource_attr="epochs",
        n_workers=2,
    )
    stored = Experiment(
        tag="toy", benchmark=benchmark, method=method("ASHA"), label="ASHA", backend=LocalConfig()
    )
    config = {"lr": 0.5, "seed": 7, "epochs": 9}
    (once,) = retrainings(stored, "toy-1", config)
    assert once.benchmark.space.complete(dict((once.benchmark.points_to_evaluate or ())[0])) == config
    assert (once.benchmark.n_workers, once.limits.max_num_trials, once.origin) == (1, 1, "toy-1")
    (several,) = retrainings(stored, "toy-1", config, resource=27, n_seeds=3)
    points = [several.benchmark.space.complete(point) for point in several.benchmark.points_to_evaluate or ()]
    assert points == [{"lr": 0.5, "seed": 8 + k, "epochs": 27} for k in range(3)]
    assert several.limits.max_num_trials == 3
    assert several.benchmark.space.constraints == once.benchmark.space.constraints == ("lr <= epochs",)
    assert several.identity() != once.identity()
    assert Experiment.from_json(several.to_json()) == several


def test_a_resource_needs_an_argument_of_the_script(tmp_path: Path) -> None:
    benchmark = RealBenchmarkDefinition(
        name="toy", script="train.py", space=SearchSpace({"lr": Float(0.1, 1.0)}), metrics=(Metric("loss"),)
    )
    stored = Experiment(
        tag="toy", benchmark=benchmark, method=method("RS"), label="RS", backend=LocalConfig()
    )
    with pytest.raises(SettingsError, match="max_resource_attr"):
        retrainings(stored, "toy-1", {"lr": 0.5}, resource=3)


SCRIPT = """
import argparse, pathlib
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("--checkpoint_dir")
arguments = parser.parse_args()
pathlib.Path(arguments.checkpoint_dir, "weights").write_text(str(arguments.lr))
print('[tune-metric]: {"loss": 0.5}', flush=True)
"""


def test_the_checkpoint_of_the_best_trial_is_copied(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    benchmark = RealBenchmarkDefinition(
        name="toy", script=str(script), space=SearchSpace({"lr": Float(0.1, 1.0)}), metrics=(Metric("loss"),)
    )
    outcome = run_experiment(
        Experiment(
            tag="toy",
            benchmark=benchmark,
            method=method("RandomSearch"),
            label="RS",
            backend=LocalConfig(),
            limits=Limits(max_num_trials=1),
        )
    )
    shown = call(capsys, "best", "toy")[1]
    assert f"Checkpoint of report 1: {outcome.folder.trials_path}" in shown
    target = tmp_path / "copies" / "best"
    code, out, _ = call(capsys, "best", "toy", "--copy-checkpoint", str(target))
    assert (code, str(target) in out) == (0, True)
    assert outcome.best is not None
    assert (target / "weights").read_text() == str(outcome.best.config["lr"])
    code, _, err = call(capsys, "best", "toy", "--copy_checkpoint", str(target))
    assert (code, "is not empty" in err) == (2, True)
    shutil.rmtree(outcome.folder.trials_path)
    assert "Checkpoint" not in call(capsys, "best", "toy")[1]
    code, _, err = call(capsys, "best", "toy", "--copy_checkpoint", str(tmp_path / "other"))
    assert (code, "it was deleted" in err) == (2, True)
    assert not (tmp_path / "other").exists()


def test_a_checkpoint_that_cannot_be_copied_is_an_error(
    outcome: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "best", "newer", "--copy_checkpoint", str(tmp_path / "new"))
    assert code == 2
    assert "checkpoint" in err
    assert not (tmp_path / "new").exists()
    code, _, err = call(capsys, "best", "newer", "--retrain", "--copy_checkpoint", str(tmp_path / "new"))
    assert (code, "best @last --copy_checkpoint" in err) == (2, True)


def test_flags_of_retrain_alone_are_an_error(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "best", "newer", "--n_seeds", "2")
    assert (code, "are flags of --retrain" in err) == (2, True)
    assert not list(experiments("best-newer"))


def test_a_note_is_shown_until_it_is_removed(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(capsys, "note", "@last", "with the new data")[0] == 0
    assert "with the new data" in call(capsys, "note", "newer")[1]
    assert "note        with the new data" in call(capsys, "show", outcome.folder.name)[1]
    assert call(capsys, "note", "@last", "")[0] == 0
    assert "has no note" in call(capsys, "note", "newer")[1]
    assert "with the new data" not in call(capsys, "show", outcome.folder.name)[1]


def test_the_report_of_the_last_experiment_has_its_name(
    outcome: Outcome, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    assert call(capsys, "report", "@last")[0] == 0
    assert [path.name for path in tmp_path.glob("*.html")] == [f"{outcome.folder.name}.html"]


def test_nothing_is_deleted_without_consent(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["newer"], ["--experiment_tag", "another"], ["nothing", "--yes"], []):
        code, _, err = call(capsys, "delete", *arguments)
        assert code == 2
        assert "Error: " in err
    assert len(list(experiments())) == 2
    code, out, _ = call(capsys, "delete", "@last", "--yes")
    assert (code, out.splitlines()) == (0, [outcome.folder.name, "Deleted 1 experiment"])
    assert [folder.tag for folder in experiments()] == ["another"]
    assert call(capsys, "delete", "--experiment_tag", "another", "--yes")[0] == 0
    assert not list(experiments())
    code, _, err = call(capsys, "best", "@last")
    assert (code, "no experiments yet" in err) == (2, True)


def test_a_running_experiment_is_not_deleted(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    with closing(FileJournal(outcome.folder.journal_path)):
        code, _, err = call(capsys, "delete", "newer", "--yes")
    assert code == 2
    assert "is running: stop it first" in err
    assert outcome.path.exists()
