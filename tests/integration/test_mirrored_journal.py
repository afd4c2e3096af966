"""Journals that are copied to S3: an experiment goes on, on another machine, after the death of the first one."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from sagemaker_emulator.emulator import Emulator
from tunewright.aws import AwsSession, mirror, open_session, resolve_endpoint
from tunewright.backends.sagemaker.deployment import journal_prefix
from tunewright.backends.sagemaker.requests import job_prefix
from tunewright.cli import main
from tunewright.experiments import load_outcome
from tunewright.storage import ExperimentFolder, experiments

from .endpoints import ROOT, start_emulator

N_TRIALS = 4
SCRIPT = """\
import os, time
from argparse import ArgumentParser
from helper import loss
from tunewright.report import Reporter

parser = ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=3)
arguments = parser.parse_args()
trial = int(os.environ["TRAINING_JOB_NAME"].split("-")[-3])
report = Reporter()
for epoch in range(1, arguments.epochs + 1):
    while trial >= 2 and epoch == 2 and os.path.exists(os.environ["GATE"]):
        time.sleep(0.05)
    report(epoch=epoch, loss=loss(arguments.lr, epoch))
"""
SPACE = 'epochs = 3\n[lr]\ntype = "float"\nlow = 0.01\nhigh = 1.0\n'


@pytest.fixture
def emulator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ROOT.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", ROOT.secret_key)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    one = start_emulator(tmp_path / "emulator", "default")
    yield one
    one.close()


@pytest.fixture
def session(emulator: Emulator) -> Iterator[AwsSession]:
    one = open_session(resolve_endpoint(emulator.url))
    yield one
    one.close()


def tune_line(folder: Path, url: str, tag: str, gate: Path) -> list[str]:
    """``tunewright tune`` of a script with a dependency, both below ``folder``."""
    (folder / "script").mkdir(parents=True, exist_ok=True)
    (folder / "script" / "train.py").write_text(SCRIPT)
    (folder / "space.toml").write_text(SPACE)
    (folder / "helper.py").write_text("def loss(lr, epoch):\n    return (lr - 0.1) ** 2 + 1 / epoch\n")
    line = f"--metric loss --resource epoch --max_num_trials {N_TRIALS} --n_workers 2 --backend sagemaker --min_interval 0.1"
    line += f" --endpoint {url} --experiment_tag {tag} --environment GATE={gate} --dependencies {folder / 'helper.py'}"
    return ["tune", str(folder / "script" / "train.py"), "--space", str(folder / "space.toml"), *line.split()]


def until(condition: Callable[[], Any]) -> Any:
    """Wait for a true value."""
    deadline = time.monotonic() + 300.0
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.2)
    pytest.fail("what was waited for did not happen")


def n_results(folder: ExperimentFolder) -> int:
    return load_outcome(folder).history.n_results


def results(folder: ExperimentFolder) -> Mapping[int, Any]:
    """Status, configuration and losses of each trial."""
    history = load_outcome(folder).history
    return {
        trial: (
            str(history.status(trial)),
            dict(history.trial(trial).config),
            [(result.resource, result.metrics["loss"]) for result in history.results(trial)],
        )
        for trial in range(history.n_trials)
    }


def run(*line: str) -> int:
    with pytest.raises(SystemExit) as exited:
        main(list(line))
    return int(exited.value.code or 0)


def n_jobs(session: AwsSession, experiment: str) -> int:
    answer = session.call("ListTrainingJobs", NameContains=job_prefix(experiment), MaxResults=100)
    return len(answer["TrainingJobSummaries"])


def test_another_machine_continues_after_the_death_of_the_first(
    emulator: Emulator,
    session: AwsSession,
    tmp_path: Path,
    start_process: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, gate = tmp_path / "first", tmp_path / "gate"
    gate.touch()
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(first / "home"))
    command = [
        sys.executable,
        "-m",
        "tunewright",
        *tune_line(first, emulator.url, "moved", gate),
        "--journal",
        "s3",
    ]
    process = start_process(command)
    (folder,) = until(lambda: list(experiments()))
    until(lambda: folder.journal_path.exists() and n_results(folder) == 2 * 3 + 2)
    code = (folder.path / "code.json").read_bytes()

    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path / "second"))
    resume = ("resume", folder.name, "--journal", "s3", "--endpoint", emulator.url)
    assert run(*resume) == 1  # the first one is alive
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert f"process {process.pid} on" in error[0]
    assert process.poll() is None

    process.kill()
    process.wait()
    shutil.rmtree(first)
    monkeypatch.setattr(mirror, "LEASE_SECONDS", 0.5)
    shutil.rmtree(tmp_path / "second" / "experiments")
    gate.unlink()
    time.sleep(1.5)  # the clock of S3 has whole seconds
    assert run(*resume) == 0, capsys.readouterr().err
    (moved,) = experiments()
    assert (moved.name, moved.tag) == (folder.name, "moved")
    assert (moved.path / "code.json").read_bytes() == code
    assert n_jobs(session, moved.name) == N_TRIALS  # running jobs were adopted, and none began again

    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path / "third"))
    assert run(*tune_line(tmp_path / "here", emulator.url, "undisturbed", gate)) == 0
    (undisturbed,) = experiments()
    assert results(moved) == results(undisturbed)
    assert set(results(moved)) == set(range(N_TRIALS))

    bucket = f"sagemaker-us-east-1-{session.account}"
    objects = session.objects(bucket, journal_prefix(moved.name))
    assert mirror.read_segments(objects) == moved.journal_path.read_bytes()
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path / "fourth"))
    root = session.objects(bucket, "tunewright")
    (helper,) = (one.key for one in root.list("code/") if one.key.endswith("source/helper.py"))
    root.put(helper, b"def loss(lr, epoch):\n    return 0\n")
    assert run(*resume) == 2
    assert "was changed" in capsys.readouterr().err
    assert run("resume", "another", *resume[2:]) == 2
    assert "There is no experiment in s3://" in capsys.readouterr().err
    assert run(*resume, "--bucket", "no-such-bucket-of-ours") == 2
    assert "There is no bucket no-such-bucket-of-ours: give --region" in capsys.readouterr().err
    assert run("resume", moved.name, "--region", "us-east-1") == 2
    assert "add --journal s3" in capsys.readouterr().err
    assert not list(experiments())
    monkeypatch.setenv("TUNEWRIGHT_HOME", str(tmp_path / "second"))
    assert run("sagemaker", "purge", moved.name, "--endpoint", emulator.url, "--yes") == 0
    assert not list(objects.list())
