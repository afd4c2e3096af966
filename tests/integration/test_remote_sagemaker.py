"""Remote launching on the embedded endpoint: tuning jobs that start training jobs, one of which is killed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tunewright.aws import open_session
from tunewright.aws.policy import ACTIONS
from tunewright.experiments.remote.fleet import Fleet
from tunewright.experiments.remote.records import load_record
from tunewright.experiments.remote.segments import read_segments
from tunewright.storage import ExperimentFolder, experiments

SCRIPT = """\
import time
from argparse import ArgumentParser
from tunewright.report import Reporter, load_newest, save_checkpoint

parser = ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=9)
arguments = parser.parse_args()
report = Reporter()
for epoch in range(1, arguments.epochs + 1):
    time.sleep(0.4)
    report(epoch=epoch, loss=(arguments.lr - 0.1) ** 2 + 1 / epoch)
"""
TAG = "remote_test"
LINE = f"--experiment_tag {TAG} --num_seeds 1 --max_num_trials 8 --n_workers 2 --warm_pool 1 --endpoint embedded --speed 300"
PATIENCE = 240.0


def tunewright(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tunewright.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def status(tag: str = TAG) -> dict[str, dict[str, Any]]:
    found = json.loads(tunewright("remote", "status", tag, "--format", "json"))
    return {one["slice"]: one for one in found}


def with_results(found: dict[str, Any], least: int) -> dict[str, Any] | None:
    """The state of a slice, once it has so many results."""
    experiments = found["experiments"]
    return found if experiments and experiments[0]["num_results"] >= least else None


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.5)
    pytest.fail("what was waited for did not happen")


def kill_job(name: str) -> bool:
    """Kill process 1 of a training job."""
    for process in psutil.process_iter():
        try:
            environment, line = process.environ(), process.cmdline()
        except (psutil.Error, OSError):
            continue
        if environment.get("TRAINING_JOB_NAME") == name and "tunewright.launchers.inside" in line:
            process.kill()
            return True
    return False


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(SCRIPT)
    tunewright(
        "init", str(tmp_path / "exp"), "--backend", "sagemaker", "--script", str(tmp_path / "train.py")
    )
    return tmp_path / "exp"


def test_a_killed_tuning_job_is_relaunched_and_loses_nothing(folder: Path) -> None:
    launcher = [sys.executable, str(folder / "launch_remote.py"), *LINE.split()]
    first = subprocess.run(
        [*launcher, "--max_parallel_jobs", "2"], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert first.returncode == 0, first.stdout + first.stderr
    assert "2 slices" in first.stdout
    again = subprocess.run(launcher, capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert again.returncode == 2
    assert "--resume" in again.stderr

    name = "RS-train-0"
    before = until(lambda: with_results(status()[name], 3))
    assert kill_job(before["tuning_jobs"][-1])
    resumed = subprocess.run(
        [*launcher, "--resume", "--wait"], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert resumed.returncode == 0, resumed.stdout + resumed.stderr

    after = status()
    assert {one["state"] for one in after.values()} == {"finished"}
    assert len(after[name]["tuning_jobs"]) == 2
    (experiment,) = after[name]["experiments"]
    assert experiment["experiment"] == before["experiments"][0]["experiment"]
    assert sum(experiment["trials"].values()) == 8
    assert experiment["num_results"] == 8 * 9

    fetched = tunewright("remote", "fetch", TAG)
    assert "2 experiments" in fetched
    assert "0 files" in tunewright("remote", "fetch", TAG)
    shown = {one["experiment"]: one for one in json.loads(tunewright("list", "--format", "json"))}
    assert set(shown) == {one["experiments"][0]["experiment"] for one in after.values()}
    check_equal_to_s3(list(experiments()))
    assert "RS on train" in tunewright("remote", "logs", TAG, name)


def test_stopping_leaves_nothing_behind(folder: Path) -> None:
    line = [
        *LINE.replace(TAG, "stopped").replace("--max_num_trials 8", "--max_num_trials 99").split(),
        "--method",
        "RS",
    ]
    launched = subprocess.run(
        [sys.executable, str(folder / "launch_remote.py"), *line],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert launched.returncode == 0, launched.stdout + launched.stderr
    until(lambda: status("stopped")["RS-train-0"]["experiments"])
    assert "RS-train-0: stopped" in tunewright("remote", "stop", "stopped")
    record = load_record("stopped")
    assert record is not None
    session = open_session(record.endpoint())
    jobs = until(lambda: all_over(session))
    assert len(jobs) >= 2
    assert {job.get("WarmPoolStatus", {}).get("Status") for job in jobs} <= {None, "Reused", "Terminated"}
    session.close()
    assert status("stopped")["RS-train-0"]["state"] == "stopped"


def test_a_script_without_a_folder(folder: Path, tmp_path: Path) -> None:
    """``tunewright tune --remote``: the trials are processes of the tuning job."""
    space = tmp_path / "space.toml"
    space.write_text('[lr]\ntype = "float"\nlow = 0.01\nhigh = 1.0\n')
    line = (
        f"{folder}/train.py --space {space} --metric loss --resource epoch --max_resource 3 --max_resource_attr epochs"
        " --max_num_trials 2 --n_workers 2 --remote --endpoint embedded --speed 300 --wait --experiment_tag one"
    )
    assert "RandomSearch-train-0: finished, loss" in tunewright("tune", *line.split())
    (found,) = status("one").values()
    (experiment,) = found["experiments"]
    assert (experiment["trials"]["completed"], experiment["num_results"]) == (2, 6)
    assert "2 completed" in tunewright("show", experiment["experiment"])


def all_over(session: Any) -> list[dict[str, Any]] | None:
    """All jobs of the endpoint, when none runs or keeps instances; what has become a pool late is cleared away."""
    jobs = session.call("ListTrainingJobs", MaxResults=100)["TrainingJobSummaries"]
    busy = [job for job in jobs if job["TrainingJobStatus"] in {"InProgress", "Stopping"}]
    kept = [job for job in jobs if job.get("WarmPoolStatus", {}).get("Status") == "Available"]
    if kept and not busy:
        tunewright("remote", "stop", "stopped")
    return None if busy or kept else jobs


def check_equal_to_s3(folders: list[ExperimentFolder]) -> None:
    record = load_record(TAG)
    assert record is not None
    session = open_session(record.endpoint())
    fleet = Fleet(session, record.bucket, TAG)
    for one in fleet.look():
        for experiment in one.experiments:
            (here,) = [folder for folder in folders if folder.name == experiment]
            objects = fleet.objects(one.slice.name).under(f"experiments/{experiment}")
            assert here.journal_path.read_bytes() == read_segments(objects)
            for path in (here.metadata_path, here.results_path, here.account_path):
                assert path.read_bytes() == objects.get(path.name)
    counted = {call for folder in folders for call in json.loads(folder.account_path.read_text())["calls"]}
    assert counted | set(session.calls) <= set(ACTIONS)
    assert {"CreateTrainingJob", "ListTrainingJobs", "PutObject", "UpdateTrainingJob"} <= counted
    session.close()
