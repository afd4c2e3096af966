"""``rename``, ``export``, ``repair`` and ``doctor`` on stored experiments; the version without an installation."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import tunewright
from tunewright.backends.local.config import LocalConfig
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.cli import main
from tunewright.experiments import (
    Experiment,
    Limits,
    Outcome,
    load_outcome,
    method,
    run_experiment,
)
from tunewright.journal import FileJournal, canonical_hash
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace
from tunewright.storage import ExperimentFolder, experiments

SOURCES = Path(tunewright.__file__).resolve().parent.parent


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    said = capsys.readouterr()
    return int(left.value.code or 0), said.out, said.err


def run_simulated(tag: str) -> Outcome:
    return run_experiment(
        Experiment(
            tag=tag,
            benchmark=simulated_benchmark("digits"),
            method=method("ASHA"),
            label="ASHA",
            backend=SimulatedConfig(),
            limits=Limits(max_num_trials=5),
        )
    )


@pytest.fixture
def outcome() -> Outcome:
    return run_simulated("mine")


# --- rename


def test_an_experiment_gets_another_tag(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(capsys, "rename", "@last", "my new tag")
    assert code == 0
    (folder,) = experiments("my-new-tag")
    assert out.strip() == folder.name == outcome.folder.name.replace("mine-", "my-new-tag-", 1)
    assert not outcome.path.parent.exists()
    again = load_outcome(folder)
    assert (again.metadata.tag, again.history.n_results) == ("my new tag", outcome.history.n_results)
    assert call(capsys, "resume", folder.name)[0] == 0


def test_all_experiments_of_a_tag_get_another_one(capsys: pytest.CaptureFixture[str]) -> None:
    for tag in ("mine", "mine", "other"):
        run_simulated(tag)
    assert call(capsys, "rename", "--experiment_tag", "mine", "yours")[0] == 0
    assert [len(list(experiments(tag))) for tag in ("mine", "yours", "other")] == [0, 2, 1]
    assert {folder.name.partition("-")[0] for folder in experiments("yours")} == {"yours"}


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "its new tag"),
        (("@last",), "its new tag"),
        (("@last", "a", "b"), "its new tag"),
        (("nothing", "new"), "Unknown experiment"),
        (("@last", "../up"), "looks like a path"),
        (("--experiment_tag", "nothing", "new"), "No experiments under the tag"),
    ],
)
def test_what_cannot_be_renamed_stays(
    outcome: Outcome, words: tuple[str, ...], error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(capsys, "rename", *words)
    assert (code, error in err) == (2, True)
    assert outcome.folder.metadata_path.exists()


def test_a_running_experiment_is_neither_renamed_nor_repaired(
    outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(FileJournal(outcome.folder.journal_path)):
        for command in (("rename", "mine", "yours"), ("repair", "mine")):
            code, _, err = call(capsys, *command)
            assert (code, "is running: stop it first" in err) == (2, True)
    assert outcome.path.exists()


def stored_on_sagemaker(outcome: Outcome) -> ExperimentFolder:
    """The experiment, as if its trials had been training jobs."""
    metadata = outcome.folder.metadata()
    outcome.folder.write_metadata({**metadata, "backend": {"name": "sagemaker", "config": {}}})
    return outcome.folder


def test_jobs_keep_the_name_of_their_experiment(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    name = stored_on_sagemaker(outcome).name
    assert call(capsys, "rename", "mine", "yours")[0] == 0
    assert [folder.name for folder in experiments("yours")] == [name]


# --- export


def test_results_are_exported_as_csv(
    outcome: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call(capsys, "export", "mine")[0] == 0
    rows = list(csv.DictReader((tmp_path / f"{outcome.folder.name}.csv").read_text().splitlines()))
    assert len(rows) == outcome.history.n_results
    assert [float(row[outcome.metric.name]) for row in rows] == [
        result.metrics[outcome.metric.name] for _, result in outcome.history.results_since(0)
    ]
    code, _, err = call(capsys, "export", "mine", "--output", str(tmp_path / "absent" / "file.csv"))
    assert (code, "Choose another file with --output" in err) == (2, True)
    code, _, err = call(capsys, "export", "mine", "--output", str(tmp_path))
    assert (code, "is a folder" in err) == (2, True)


def test_an_experiment_goes_to_optuna_and_back(
    outcome: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "study.log"
    code, out, _ = call(capsys, "export", "mine", "--to", f"optuna:storage={place},study=there")
    assert (code, out) == (0, f"5 trials in optuna: optuna-dashboard {place}\n")
    code, out, err = call(capsys, "import", "--from", "optuna", str(place), "--experiment_tag", "back")
    assert (code, err) == (0, "")
    back = load_outcome(next(experiments("back")))
    assert out.strip().endswith(f"as {back.folder.name}")
    assert back.space == outcome.space
    assert back.counts == outcome.counts
    assert back.history.n_results == outcome.history.n_results
    assert {frozenset(one.config.items()) for one in back.trials} == {
        frozenset(one.config.items()) for one in outcome.trials
    }
    assert call(capsys, "import", "--from", "optuna", str(place), "--experiment_tag", "back")[1] == (
        out.replace("Stored", "Stored before:")
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("export", "mine", "--to", "mlfow"), "Did you mean 'mlflow'"),
        (("export", "mine", "--to", "optuna:study"), "--to takes NAME:key=value"),
        (("export", "mine", "--to", "optuna:stdy=a"), "Did you mean 'study'"),
        (("export", "mine", "--to", "optuna", "--output", "x"), "--output is the file of a table"),
        (("export", "mine", "--to", "tensorboard"), "Unknown target of export"),
        (("export", "mine", "--follow"), "--follow is for"),
        (
            ("export", "mine", "--to", "mlflow:tracking_uri=arn:aws:s3:::mine"),
            "not the ARN of an MLflow server",
        ),
        (("import", "--from", "syne-tune", "x", "--study", "y"), "--study is for --from optuna"),
        (("import", "--from", "other", "x"), "--from"),
        (("import", "x"), "--from"),
    ],
)
def test_exports_and_imports_that_cannot_work_are_refused(
    outcome: Outcome, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    code, _, err = call(capsys, *arguments)
    assert code == 2
    assert said in err


def test_results_are_exported_as_parquet(
    outcome: Outcome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "results.parquet"
    assert call(capsys, "export", "mine", "--to", "parquet", "--output", str(path))[0] == 0
    table = parquet.read_table(path).to_pydict()
    assert table["trial_id"] == [trial_id for trial_id, _ in outcome.history.results_since(0)]
    assert table[outcome.metric.name] == [
        result.metrics[outcome.metric.name] for _, result in outcome.history.results_since(0)
    ]


# --- repair


def damage(folder: ExperimentFolder, line: int, content: bytes) -> list[bytes]:
    """Replace a line, counted from 0, of a journal; return the lines as they were."""
    with folder.journal_path.open("rb") as file:
        lines = file.readlines()
    changed = [content if number == line else one for number, one in enumerate(lines)]
    folder.journal_path.write_bytes(b"".join(changed))
    return lines


@pytest.mark.parametrize("content", [b"{torn\r\n", b"\0\0\0\n", b'{"kind":"end","t":1,"wall":1}\n'])
def test_the_lines_before_the_damage_are_kept(
    outcome: Outcome, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = outcome.folder
    lines = damage(folder, 6, content)
    code, _, err = call(capsys, "show", "mine")
    assert (code, "line 7" in err) == (1, True)
    before = folder.journal_path.read_bytes()
    code, out, _ = call(capsys, "repair", "mine")
    assert code == 0
    assert folder.journal_path.read_bytes() == b"".join(lines[:6])
    (backup,) = folder.path.glob("damaged-*")
    assert (backup / "journal.jsonl").read_bytes() == before
    assert "Kept: 6 lines" in out
    assert f"Lost: {len(lines) - 6} lines" in out
    assert "1 unreadable line" in out
    assert str(backup) in out
    code, out, _ = call(capsys, "repair", "mine")
    assert (code, "nothing to repair" in out) == (0, True)


def test_a_repaired_experiment_comes_to_the_same_end(
    outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = canonical_hash(outcome.folder.journal_path)
    damage(outcome.folder, 9, b"damaged\n")
    call(capsys, "repair", "mine")
    assert call(capsys, "resume", "mine")[0] == 0
    assert canonical_hash(outcome.folder.journal_path) == wanted


def test_a_line_that_does_not_fit_is_damage(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    lines = damage(outcome.folder, 3, b"")
    start = next(line for line in lines if b'"kind":"start"' in line)
    damage(outcome.folder, 8, start)
    code, out, _ = call(capsys, "repair", "mine")
    assert code == 0
    assert "does not fit" in out
    assert load_outcome(outcome.folder).history.n_trials > 0


def test_a_journal_without_its_first_line_is_an_error(
    outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(outcome.folder, 0, b"damaged\n")
    code, _, err = call(capsys, "repair", "mine")
    assert (code, "line 1" in err) == (1, True)
    assert not list(outcome.path.glob("damaged-*"))
    outcome.folder.journal_path.unlink()
    code, _, err = call(capsys, "repair", "mine")
    assert (code, "has no journal" in err) == (2, True)


SCRIPT = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
print(f'[tune-metric]: {{"loss": {parser.parse_args().lr}}}', flush=True)
"""


def test_later_trials_of_processes_do_not_take_over_lost_folders(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The trial after the damage gets the number of a lost one, and with it the name of its folder."""
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    space = SearchSpace({"lr": Float(0.1, 1.0)})
    benchmark = RealBenchmarkDefinition(
        name="toy", script=str(script), space=space, metrics=(Metric("loss"),)
    )
    outcome = run_experiment(
        Experiment(
            tag="toy",
            benchmark=benchmark,
            method=method("RandomSearch"),
            label="RS",
            backend=LocalConfig(),
            limits=Limits(max_num_trials=2),
        )
    )
    with outcome.folder.journal_path.open("rb") as file:
        start = next(n for n, line in enumerate(file) if b'"start"' in line and b'"trial_id":1' in line)
    damage(outcome.folder, start, b"damaged\n")
    code, out, _ = call(capsys, "repair", "toy")
    assert (code, "1 folder of a later run" in out) == (0, True)
    (backup,) = outcome.path.glob("damaged-*")
    assert (backup / "trials" / "1" / "config.json").exists()
    assert not (outcome.folder.trials_path / "1").exists()
    metadata = outcome.folder.metadata()
    lower = {**metadata["benchmark"], "space": SearchSpace({"lr": Float(2.0, 3.0)}).to_json()}
    outcome.folder.write_metadata({**metadata, "benchmark": lower})
    assert call(capsys, "resume", "toy")[0] == 0
    (result,) = load_outcome(outcome.folder).history.results(1)
    assert result.metrics["loss"] >= 2.0


def test_jobs_of_lost_trials_are_not_taken_for_new_ones(
    outcome: Outcome, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stored_on_sagemaker(outcome)
    damage(folder, 6, b"damaged\n")
    code, out, _ = call(capsys, "repair", "mine")
    assert (code, "begins no new trials" in out) == (0, True)
    assert folder.metadata()["limits"]["max_num_trials"] == load_outcome(folder).history.n_trials


# --- doctor


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def add_tool(folder: Path, name: str, output: str, code: int = 0) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n/bin/cat <<'END'\n{output}\nEND\nexit {code}\n")
    path.chmod(0o755)


def test_the_doctor_finds_nothing_wrong(
    outcome: Outcome, tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOPEN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "very-secret")
    add_tool(tools, "nvidia-smi", "GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-1234)")
    add_tool(tools, "rocm-smi", "GPU[0]\t\t: Card Series: \t\tAMD Instinct MI300X\nGPU[0]\t\t: Card model: x")
    code, out, _ = call(capsys, "doctor")
    assert code == 0
    assert f"tunewright {tunewright.__version__} in " in out
    assert "credentials found" in out
    assert "secret" not in out
    assert "AKIA" not in out
    assert "NVIDIA 0: NVIDIA H100 80GB HBM3\n" in out
    assert "AMD 0: AMD Instinct MI300X\n" in out
    assert "1 experiment (" in out
    assert "No problem was found" in out


def test_the_doctor_names_the_repair(
    outcome: Outcome, tools: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(outcome.folder, 4, b"damaged\n")
    add_tool(tools, "nvidia-smi", "NVIDIA-SMI has failed", code=9)
    code, out, _ = call(capsys, "doctor")
    assert code == 1
    assert f"tunewright repair {outcome.folder.name}" in out
    assert "NVIDIA: none (NVIDIA-SMI has failed)" in out
    assert "AMD: rocm-smi is not installed" in out
    assert "no credentials" in out


# --- the version


def test_the_version_needs_no_installation(tmp_path: Path) -> None:
    """Of a source tree, with the packages that Tunewright needs and without its own metadata."""
    (tmp_path / "tunewright").symlink_to(SOURCES / "tunewright")
    hidden = "import importlib.metadata as m; m.Distribution.from_name = None"
    program = f"{hidden}; import runpy; runpy.run_module('tunewright', run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-c", program, "--version"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.returncode) == (f"tunewright {tunewright.__version__}\n", 0), done.stderr


def test_experiments_hold_the_version(outcome: Outcome) -> None:
    assert json.loads(outcome.folder.metadata_path.read_text())["versions"]["tunewright"] == (
        tunewright.__version__
    )
