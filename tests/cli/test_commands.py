"""The commands of ``tunewright``, in this process."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from tunewright.cli import COMMANDS, main
from tunewright.cli.catalogue import setting_meaning
from tunewright.experiments.remote_marker import RemoteMarker, write_marker
from tunewright.journal import FileJournal, read_events
from tunewright.methods import find_method, method_names
from tunewright.state import replay_history
from tunewright.storage import create_experiment, experiments

SCRIPT = """
import argparse, json
parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float)
parser.add_argument("--epochs", type=int, default=2)
given = parser.parse_args()
print("hello from", given.x)
for epoch in range(1, given.epochs + 1):
    print("[tune-metric]: " + json.dumps({"epoch": epoch, "score": given.x * epoch}), flush=True)
"""
SPACE = """
[x]
type = "float"
low = 0.0
high = 1.0
"""


def write_files(folder: Path) -> tuple[Path, Path]:
    """A script and its space."""
    script, space = folder / "train.py", folder / "space.toml"
    script.write_text(SCRIPT)
    space.write_text(SPACE)
    return script, space


def tune_line(script: Path, space: Path) -> list[str]:
    base = ["tune", str(script), "--space", str(space), "--metric", "score", "--goal", "max"]
    return [*base, "--resource", "epoch", "--max_resource_attr", "epochs"]


class Command:
    """Calls ``tunewright`` and keeps what it says."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.script, self.space = write_files(folder)
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> int:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as exited:
            main(list(arguments))
        self.out, self.err = self._capsys.readouterr()
        return int(exited.value.code or 0)

    def tune(self, *more: str) -> int:
        return self(*tune_line(self.script, self.space), *more)


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """``tunewright`` with a script and a space."""
    return Command(tmp_path, capsys)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with an experiment of two trials in its ``home``, and what was printed."""
    folder = tmp_path_factory.mktemp("stored")
    line = [*tune_line(*write_files(folder)), "--max_resource", "3", "--max_num_trials", "2"]
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as shown:
        patch.setenv("TUNEWRIGHT_HOME", str(folder / "home"))
        with pytest.raises(SystemExit) as exited:
            main([*line, "--experiment-tag", "mine"])
    assert not exited.value.code, shown.getvalue()
    return folder, shown.getvalue()


@pytest.fixture
def tuned(command: Command, stored: tuple[Path, str], tunewright_home: Path) -> Command:
    """After one experiment of two trials, which is a copy."""
    folder, command.out = stored
    shutil.copytree(folder / "home", tunewright_home)
    for path in tunewright_home.glob("experiments/*/*/metadata.json"):
        path.write_text(path.read_text().replace(str(folder), str(command.script.parent)))
    return command


def test_without_a_command_all_are_listed(command: Command) -> None:
    for arguments in ([], ["--help"], ["-h"]):
        assert command(*arguments) == 0
        assert all(
            name in command.out
            for name in ("tune", "list", "show", "logs", "resume", "methods", "benchmarks")
        )
    assert command("--version") == 0
    assert command.out.startswith("tunewright 0.")


@pytest.mark.parametrize("name", [name for commands in COMMANDS.values() for name in commands])
def test_the_help_of_every_command_has_its_arguments_first(
    command: Command, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert command(name, "--help") == 0
    lines = command.out.splitlines()
    assert lines[0].startswith(f"Usage: tunewright {name}")
    assert "ARGS" not in lines[0]
    headings = [line for line in lines[1:] if re.fullmatch(r"[A-Z][a-z]+( [a-z]+)?", line)]
    assert "Arguments" not in [one for one in headings if one != "Commands"][1:]
    assert max(map(len, lines)) <= 80


def test_a_script_is_tuned_without_python(tuned: Command) -> None:
    assert "RandomSearch on train, seed 0" in tuned.out
    assert "Best:    score" in tuned.out
    folder = next(iter(experiments("mine")))
    assert folder.metadata()["benchmark"]["space"]["epochs"] == 3
    assert f"tunewright show {folder.name}" in tuned.out


def test_a_methods_settings_are_given_by_name(command: Command) -> None:
    line = ("--max_resource", "4", "--max_num_trials", "2", "--method", "asha")
    assert command.tune(*line, "--set", "eta=2", "--set", "kind=stopping") == 0
    folder = next(iter(experiments("train")))
    assert folder.metadata()["method"] == {"name": "ASHA", "settings": {"eta": "2", "kind": "stopping"}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--max_num_trial", "1"), "Did you mean '--max_num_trials'"),
        (("--max_resource", "3"), "Nothing would end RandomSearch"),
        (("--max_num_trials", "1"), "constant 'epochs'"),
        (("--max_num_trials", "1", "--max_resource", "3", "--method", "AHSA"), "Did you mean 'ASHA'"),
        (("--max_num_trials", "1", "--max_resource", "3", "--set", "eta"), "NAME=VALUE"),
        (("--max_num_trials", "1", "--max_resource", "3", "--dry_run"), "the local backend sends none"),
        (("--max_num_trials", "1", "--max_resource", "3", "--experiment_tag", ".."), "looks like a path"),
        (("--max_num_trials", "1", "--max_resource", "3", "--space", "no.toml"), "no.toml"),
        (("--max_num_trials", "1", "--max_resource", "3", "--warm_pool"), "is a flag of --backend sagemaker"),
        (("--max_num_trials", "1", "--max_resource", "3", "--wait"), "add --remote"),
        (
            ("--max_num_trials", "1", "--max_resource", "3", "--dependencies", "/no"),
            "there is no dependency /no",
        ),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    command: Command, tunewright_home: Path, arguments: tuple[str, ...], message: str
) -> None:
    assert command.tune(*arguments) == 2
    assert message in command.err
    assert command.err.startswith("Error: ")
    assert command.err.count("\n") == 1
    assert not tunewright_home.exists()


def test_unknown_commands_and_scripts_are_named(command: Command) -> None:
    assert command("tne") == 2
    assert "Did you mean 'tune'" in command.err
    command.script.unlink()
    assert command.tune("--max_resource", "2", "--max_num_trials", "1", "--max_resource", "3") == 2
    assert "no training script" in command.err


def test_a_typo_in_the_metric_names_what_is_reported(command: Command) -> None:
    line = ("tune", str(command.script), "--space", str(command.space), "--metric", "scroe")
    assert command(*line, "--max_num_trials", "1", "--max_failures", "0") == 1
    assert "Did you mean 'score'" in command.err
    assert "Did you mean 'score'" in command.out  # at once, when the trial failed


def test_a_tag_of_another_script_is_stored_under_a_safe_name(command: Command) -> None:
    assert (
        command.tune(
            "--max_resource",
            "2",
            "--max_num_trials",
            "1",
            "--max_resource",
            "2",
            "--experiment_tag",
            "naïve 実験",
        )
        == 0
    )
    assert "is stored as 'naive-" in command.err
    assert len(list(experiments("naïve 実験"))) == 1


def test_a_dry_run_prints_the_request(command: Command) -> None:
    line = (
        "--max_num_trials",
        "1",
        "--max_resource",
        "3",
        "--backend",
        "sagemaker",
        "--endpoint",
        "embedded",
    )
    assert command.tune(*line, "--dry_run", "--warm_pool") == 0
    assert json.loads(command.out)["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 600


def test_a_template_comes_from_a_file_or_as_json(command: Command, tmp_path: Path) -> None:
    line = ["--max_num_trials", "1", "--max_resource", "3", "--backend", "sagemaker", "--dry_run"]
    line += ["--endpoint", "embedded"]
    file = tmp_path / "fields.json"
    file.write_text('{"RetryStrategy": {"MaximumRetryAttempts": 2}}')
    for given in (["--template", str(file)], [f"--request_template={file.read_text()}"]):
        assert command.tune(*line, *given) == 0
        request = json.loads(command.out)
        assert request["RetryStrategy"] == {"MaximumRetryAttempts": 2}
        assert request["TrainingJobName"].startswith("train-")
    for text, problem in (
        ('{"RetryStrategi": {}}', "no field RetryStrategi. Did you mean 'RetryStrategy'"),
        ('{"RoleArn": "mine"}', "must not hold RoleArn (use --role)"),
        ("[]", "takes a JSON object"),
        ("{", "fields.json is not a JSON file"),
    ):
        file.write_text(text)
        assert command.tune(*line, "--template", str(file)) == 2
        assert problem in command.err
    flags = tmp_path / "flags.toml"
    flags.write_text("[sagemaker.template.RetryStrategy]\nMaximumRetryAttempts = 3\n")
    assert command.tune(*line, "--config", str(flags)) == 0
    assert json.loads(command.out)["RetryStrategy"] == {"MaximumRetryAttempts": 3}
    assert command.tune(*line, "--template", str(tmp_path / "absent.json")) == 2
    assert "absent.json: No such file" in command.err
    assert not list(experiments())


def test_what_is_stored_is_listed(tuned: Command) -> None:
    assert tuned("list") == 0
    assert "completed" in tuned.out
    (create_experiment("broken").metadata_path).write_text("{}")
    assert tuned("list", "--format", "json") == 0
    assert [entry["status"] for entry in json.loads(tuned.out)] == ["completed"]
    assert "Left out broken" in tuned.err
    assert tuned("list", "--experiment_tag", "other") == 0
    assert "No experiments under the tag 'other'" in tuned.out


def test_an_experiment_is_shown_in_three_forms(tuned: Command) -> None:
    assert tuned("show", "mine") == 0
    assert "best        score" in tuned.out
    assert "epochs" not in tuned.out.splitlines()[0]
    assert tuned("show", "mine", "--format", "json", "--watch") == 0
    shown = json.loads(tuned.out)
    assert shown["trials"]["completed"] == 2
    assert tuned("show", "mine", "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(tuned.out)))
    assert len(rows) == shown["num_results"] == 6


def test_a_sagemaker_experiment_is_shown_with_its_account(tuned: Command) -> None:
    folder = next(iter(experiments("mine")))
    metadata = folder.metadata()
    folder.write_metadata({**metadata, "backend": {"name": "sagemaker", "config": {"endpoint": "embedded"}}})
    folder.account_path.write_text(
        json.dumps({"jobs": 4, "warm_starts": 3, "calls": {"CreateTrainingJob": 4}, "job_records": []})
    )
    assert tuned("show", "mine", "--format", "json") == 0
    assert json.loads(tuned.out)["sagemaker"] == {
        "jobs": 4,
        "warm_starts": 3,
        "calls": {"CreateTrainingJob": 4},
        "billable_seconds": 0,
        "pool_idle_seconds": 0,
        "spot_saved_seconds": 0,
        "interruptions": 0,
        "cost": 0,
        "cost_phases": {},
        "job_records": [],
    }
    assert tuned("show", "mine") == 0
    assert "4 jobs, 3 warm starts" in tuned.out
    cold = {"name": "mine-0-0-0", "pool": "Reused", "is_warm": False, "startup": 130.0, "why": ""}
    warm = {
        "name": "mine-1-0-0",
        "pool": "Terminated",
        "is_warm": True,
        "startup": 20.0,
        "why": "nobody came for 600 s",
    }
    folder.account_path.write_text(json.dumps({"jobs": 2, "job_records": [cold, warm]}))
    assert tuned("show", "mine") == 0
    assert "1 cold start (130 s to begin), 1 warm start (20 s to begin)" in tuned.out
    assert "1 nobody came in time" in tuned.out
    assert re.search(r"mine-1-0-0 +warm +20 +Terminated +nobody came for 600 s", tuned.out)


def test_what_a_tuning_job_works_on_is_left_to_it(tuned: Command) -> None:
    """A fetched experiment that was not over when it was looked at runs elsewhere, and not a second time here."""
    folder = next(iter(experiments("mine")))
    lines = folder.journal_path.read_text().splitlines(keepends=True)
    folder.journal_path.write_text("".join(lines[:-1]))
    slice_file = folder.path / ".slice.json"
    facts = {"tag": "mine", "name": "RS-train-0", "state": "running", "looked_at": 0.0}
    slice_file.write_text(json.dumps(facts))
    assert tuned("list") == 0
    assert "running elsewhere" in tuned.out
    assert tuned("show", "mine") == 0
    assert "running in the tuning job of RS-train-0, looked at 1970-01-01" in tuned.out
    assert "tunewright remote fetch mine" in tuned.out
    assert tuned("resume", "mine", "--max_num_trials", "3") == 2
    assert "tunewright remote stop mine" in tuned.err
    slice_file.write_text(json.dumps({**facts, "state": "waiting"}))
    assert tuned("show", "mine") == 0
    assert "status      interrupted" in tuned.out
    assert tuned("resume", "mine", "--max_num_trials", "3") == 0


def test_a_changed_space_begins_a_new_experiment_with_the_results_that_fit(tuned: Command) -> None:
    """Trials that break a new relation are left out with a word; others are not trained again."""
    (old,) = experiments("mine")
    before = old.journal_path.read_bytes()
    tuned.space.write_text('constraints = ["0.9 <= 2 * x <= 1.1"]\n' + SPACE + "default = 0.48")
    assert tuned("resume", "mine", "--space", str(tuned.space), "--max_num_trials", "3") == 0
    assert f"{old.name} keeps its space: 1 of its 2 trials with results fit the new one" in tuned.out
    assert "are not trained again; 1 do not: a condition or relation is broken (1)" in tuned.out
    (new,) = [folder for folder in experiments("mine") if folder != old]
    history = replay_history(read_events(new.journal_path))
    values = [float(history.trial(trial_id).config["x"]) for trial_id in range(history.n_trials)]
    assert values[0] == 0.5
    before_it = replay_history(read_events(old.journal_path))
    assert [r.metrics for r in history.results(0)] == [
        {"score": r.metrics["score"]} for r in before_it.results(0)
    ]
    assert not (new.path / "trials" / "0").exists()
    assert len(values) == 4
    assert all(0.45 <= x <= 0.55 for x in values)
    assert old.journal_path.read_bytes() == before


def test_a_changed_space_that_fits_nothing_begins_nothing(tuned: Command) -> None:
    tuned.space.write_text(SPACE.replace("high = 1.0", "high = 0.001"))
    assert tuned("resume", "mine", "--space", str(tuned.space)) == 2
    assert "no trial there has a finite result within this search space" in tuned.err
    assert len(list(experiments("mine"))) == 1


def test_watching_ends_with_the_experiment(tuned: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = FileJournal(next(iter(experiments("mine"))).journal_path)

    def end_experiment(_seconds: float) -> None:
        journal.close()

    monkeypatch.setattr("tunewright.cli.stored.time.sleep", end_experiment)
    assert tuned("show", "mine", "--watch") == 0
    assert "status      completed" in tuned.out


def test_what_trials_print_can_be_read(tuned: Command) -> None:
    assert tuned("logs", "mine", "0") == 0
    assert tuned.out.startswith("hello from 0.5\n[tune-metric]")
    assert tuned("logs", "mine", "0", "--follow") == 0
    assert tuned.out.startswith("hello from 0.5\n")
    assert tuned("logs", "mine", "7") == 2
    assert "has the trials 0 to 1" in tuned.err
    assert tuned("logs", "mine", "first") == 2


def test_an_experiment_goes_on_with_more_trials(tuned: Command) -> None:
    assert tuned("resume", "mine", "--max_num_trials", "3", "--n_workers", "1") == 0
    assert "1 worker, going on with 2 trials" in tuned.out
    assert tuned("show", "mine", "--format", "json") == 0
    assert json.loads(tuned.out)["trials"]["completed"] == 3
    assert tuned("resume", "nine") == 2
    assert "Unknown experiment 'nine'" in tuned.err


def test_what_ran_in_a_tuning_job_is_continued_there(tuned: Command) -> None:
    (folder,) = experiments("mine")
    tuned.script.unlink()
    write_marker(folder.path, RemoteMarker(tag="mine", name="RS-train-0", state="stopped", looked_at=0.0))
    assert tuned("resume", "mine", "--max_num_trials", "3") == 2
    assert "ran in the tuning job of RS-train-0" in tuned.err
    assert "with --resume of the command that launched it" in tuned.err


def test_an_experiment_in_use_is_left_alone(tuned: Command) -> None:
    journal = FileJournal(next(iter(experiments("mine"))).journal_path)
    assert tuned("resume", "mine") == 1
    journal.close()
    assert "in use" in tuned.err


def test_settings_that_do_not_fit_the_machine_leave_no_experiment(command: Command) -> None:
    assert (
        command.tune("--max_resource", "3", "--max_num_trials", "1", "--inputs", "train=/no/such/folder") == 2
    )
    assert "there is no /no/such/folder" in command.err
    assert command("list") == 0
    assert "RandomSearch" not in command.out


@pytest.mark.parametrize("name", method_names())
def test_every_setting_has_a_meaning(name: str) -> None:
    assert not [one.name for one in find_method(name).parameters.values() if not setting_meaning(one)]


def test_methods_and_benchmarks_are_listed_and_shown(command: Command) -> None:
    assert command("methods") == 0
    assert re.search(r"^RandomSearch +Draws.*\(alias RS\) *$", command.out, flags=re.MULTILINE)
    assert command("methods", "asha") == 0
    assert re.search(
        r"^kind +promotion +promotion \| stopping +promotion \(trials pause", command.out, flags=re.MULTILINE
    )
    assert re.search(r"^rung_levels +- +list of int \| none +Own levels", command.out, flags=re.MULTILINE)
    assert command("methods", "rs") == 0
    assert "no settings" in command.out
    assert command("methods", "PBT") == 0
    assert re.search(r"^compare +same_resource +same_resource \| newest +", command.out, flags=re.MULTILINE)
    assert command("benchmarks") == 0
    assert "mlp_digits" in command.out
    assert command("benchmarks", "mlp_digits") == 0
    assert json.loads(command.out)["instance_type"] == "ml.c5.xlarge"
    assert command("benchmarks", "show", "resnet_cifar10", "--region", "eu-west-1") == 0
    assert "4 x ml.g4dn.xlarge for 4 workers, $2.94 per hour (table, us-east-1, 2026-09-25)" in command.out
    assert "1 x ml.g4dn.12xlarge for 4 workers, $4.89 per hour (table, us-east-1, 2026-09-27)" in command.out
    assert re.search(r"dkr\.ecr\.eu-west-1\.amazonaws\.com/pytorch:\S+-cu\d+-", command.out)
    for wrong in (("methods", "AHSA"), ("benchmarks", "mlp_digit"), ("benchmarks", "show", "mlp_digit")):
        assert command(*wrong) == 2
        assert "Did you mean" in command.err


def test_an_interrupt_is_exit_code_130(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tunewright.cli._load_program", lambda: interrupted)
    assert command("list") == 130


def test_an_experiment_without_a_result_has_failed(command: Command) -> None:
    command.script.write_text("import nothing_of_that_name")
    assert command.tune("--max_resource", "2", "--max_num_trials", "2", "--n_workers", "1") == 1
    assert "2 trials failed" in command.err
    assert "nothing_of_that_name" in command.err
    (folder,) = experiments()
    assert f"tunewright logs {folder.name}" in command.err
    assert command("resume", folder.name) == 1
    assert command.tune("--max_resource", "2", "--max_num_trials", "2", "--n_workers", "1", "--resume") == 1


def test_an_experiment_whose_values_are_no_numbers_has_failed(command: Command) -> None:
    command.script.write_text("""print('[tune-metric]: {"epoch": 1, "score": NaN}')""")
    assert command.tune("--max_resource", "2", "--max_num_trials", "1") == 1
    assert "no 'score' was a finite number" in command.err


def test_a_resource_that_reports_lack_is_told(command: Command, caplog: pytest.LogCaptureFixture) -> None:
    assert command.tune("--max_resource", "2", "--max_num_trials", "1", "--resource", "epoche") == 0
    assert "'epoche'" in caplog.text
    assert "Did you mean 'epoch'?" in caplog.text


def test_a_tag_that_nothing_has_is_told(command: Command) -> None:
    assert command("list", "--experiment_tag", "nowhere") == 0
    assert "nowhere" in command.out
    assert command("show", "nowhere") == 2
    assert "There is none yet" in command.err


@pytest.mark.parametrize("line", ["{}", '{"kind": "result", "trial_id": 9}', '{"kind": "result", "t": 1.0}'])
def test_a_journal_that_was_changed_is_one_line(command: Command, line: str) -> None:
    assert command.tune("--max_resource", "2", "--max_num_trials", "1") == 0
    (folder,) = experiments()
    lines = folder.journal_path.read_text().splitlines()
    folder.journal_path.write_text("\n".join([*lines[:3], line, *lines[3:], ""]))
    for action in ("show", "resume"):
        assert command(action, folder.name) == 1
        assert command.err.count("\n") == 1, command.err
        assert "restore it" in command.err


def test_a_report_of_the_account_needs_a_place_before_jobs_run(command: Command) -> None:
    assert command("sagemaker", "verify", "--endpoint", "embedded", "--out", "/no/report.json") == 2
    assert "Choose another file with --out" in command.err


def test_damaged_folders_keep_nobody_from_cleaning_up(command: Command) -> None:
    for number, text in enumerate(("{", "{}", '{"backend": 3}', '{"backend": {"name": "other"}}')):
        create_experiment(f"broken{number}").metadata_path.write_text(text)
    assert command("sagemaker", "cleanup") == 0
    assert command.err.count("Left out broken") == 4
    assert "0 experiments looked at" in command.out
    assert command("sagemaker", "cleanup", "--endpoint", "embeded") == 2
    assert "Did you mean 'embedded'?" in command.err
