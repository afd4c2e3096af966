"""Remote launching on the embedded endpoint: tuning jobs that start training jobs, one of which is killed."""

from __future__ import annotations

import json
import os
from collections.abc import Set
from pathlib import Path
from typing import Any

import pytest

from tunewright.aws.mirror import read_segments
from tunewright.aws.policy import ACTIONS
from tunewright.storage import ExperimentFolder, experiments

SCRIPT = """\
import os, time
from argparse import ArgumentParser
from tunewright.report import Reporter

parser = ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--epochs", type=int, default=9)
arguments = parser.parse_args()
report = Reporter()
for epoch in range(1, arguments.epochs + 1):
    time.sleep(0.4)
    with open(os.path.join(os.environ["TUNEWRIGHT_CHECKPOINT_DIR"], "state"), "w") as file:
        file.write(str(epoch))
    report(epoch=epoch, loss=(arguments.lr - 0.1) ** 2 + 1 / epoch)
"""
TAG = "remote_test"
N_TRIALS = 3
PLACE = "--n_workers 2 --warm_pool 1 --endpoint embedded --speed 300 --min_interval 0.2"
LINE = f"--experiment_tag {TAG} --num_seeds 1 --max_num_trials {N_TRIALS} --delete_checkpoints 1 {PLACE}"
LARGE = 9 * 1024 * 1024
"""Bytes of a file that is sent in parts."""

IS_STRICT = os.environ.get("SAGEMAKER_EMULATOR_PRESET") == "strict"
ELSEWHERE = {
    "AbortMultipartUpload": "a transfer of a large file that fails",
    "DeleteObject": "a trial's job that stores a newer checkpoint; requests of trials' jobs are not counted",
    "HeadObject": "a trial's job that goes on from a checkpoint",
    "GetProducts": "AWS: prices of the endpoint embedded here are those of the package",
    "GetRole": "a role that is given by its name",
    **({} if IS_STRICT else {"ListRoles": "an account whose roles must exist, such as AWS or strict"}),
}
"""Operations of the policy that these runs have no cause for, and what would be one."""
SOMETIMES = {"ListTags"}
"""Operations that depend on what a stopped tuning job has left behind."""


@pytest.fixture(autouse=True)
def folder(remote: Any, tmp_path: Path) -> None:
    """``exp``, for a script of our own."""
    (tmp_path / "train.py").write_text(SCRIPT)
    remote.tunewright(
        "init", str(remote.folder), "--backend", "sagemaker", "--script", str(tmp_path / "train.py")
    )


def test_a_killed_tuning_job_is_relaunched_and_loses_nothing(remote: Any) -> None:
    """All of it calls the operations that the policy allows, and has no use for further ones."""
    assert remote.launch("sagemaker", f"{LINE} --max_parallel_jobs 1 --dry_run 1") == 0
    assert json.loads(remote.out[remote.out.index("{") :])["TrainingJobName"]
    assert remote.launch("sagemaker", f"{LINE} --max_parallel_jobs 2") == 0, remote.err
    assert "2 slices" in remote.out
    assert remote.launch("sagemaker", LINE) == 2
    assert "--resume" in remote.err

    name = "RS-train-0"
    before = remote.until_results(TAG, name, 3)
    (running,) = before.outcomes
    request = remote.tunewright("request", "note", running.folder.name, "watch this", "--wait", "120")
    assert "Done: note" in request
    remote.kill(before.status.jobs[-1])
    assert remote.launch("sagemaker", f"{LINE} --resume --wait") == 0, remote.err

    after = json.loads(remote.tunewright("remote", "status", TAG, "--format", "json"))
    assert {one["state"] for one in after} == {"finished"}
    (found,) = [one for one in after if one["slice"] == name]
    assert len(found["tuning_jobs"]) == 2
    (experiment,) = found["experiments"]
    assert experiment["experiment"] == running.folder.name
    assert sum(experiment["trials"].values()) == N_TRIALS
    assert experiment["num_results"] == N_TRIALS * 9

    assert "2 experiments" in remote.tunewright("remote", "fetch", TAG)
    assert "0 files" in remote.tunewright("remote", "fetch", TAG)
    shown = {one["experiment"]: one for one in json.loads(remote.tunewright("list", "--format", "json"))}
    assert set(shown) == {one["experiments"][0]["experiment"] for one in after}
    check_equal_to_s3(remote)
    folder = next(one for one in experiments(TAG) if one.name == running.folder.name)
    assert folder.journal_path.read_text().count("watch this") == 1  # once, although the job was begun again
    assert not folder.requests_path.exists()
    assert "RS on train" in remote.tunewright("remote", "logs", TAG, name)
    assert "[tune-metric]" in remote.tunewright("logs", experiment["experiment"], "0")
    remote.tunewright("sagemaker", "quotas", "--instance_type", "ml.c5.xlarge", "--endpoint", "embedded")
    check_policy(remote, stop_another(remote) | called_inside(remote))


def stop_another(remote: Any) -> Set[str]:
    """Stop a launch in its middle: nothing is left behind. Returns the operations that were called in all."""
    (remote.folder / "large.bin").write_bytes(bytes(LARGE))
    line = f"--experiment_tag stopped --method RS --max_num_trials 99 {PLACE}"
    assert remote.launch("sagemaker", line) == 0, remote.err
    remote.until_results("stopped", "RS-train-0", 1)
    assert "RS-train-0: stopped" in remote.tunewright("remote", "stop", "stopped")
    session, _ = remote.open("stopped")
    jobs = remote.until(lambda: all_over(remote, session))
    assert len(jobs) >= 2
    assert {job.get("WarmPoolStatus", {}).get("Status") for job in jobs} <= {None, "Reused", "Terminated"}
    assert str(remote.views("stopped")["RS-train-0"].status.state) == "stopped"
    return set(remote.calls) | set(session.calls)


def called_inside(remote: Any) -> Set[str]:
    """Operations of the tuning jobs that came to their end: of their experiments, and around these."""
    _, fleet = remote.open(TAG)
    done = [json.loads(fleet.objects(one.slice.name).get("done.json")) for one in fleet.look()]
    accounts = [account(folder) for folder in experiments(TAG)]
    return {call for counted in [*done, *accounts] for call in counted["calls"]}


def check_policy(remote: Any, called: Set[str]) -> None:
    """What ``tunewright sagemaker policy`` allows is what was called here, and what is named above."""
    assert not called & set(ELSEWHERE)
    assert called | set(ELSEWHERE) | SOMETIMES == set(ACTIONS)
    printed = json.loads(remote.tunewright("sagemaker", "policy", "--narrow", "0"))
    allowed = {action for statement in printed["Statement"] for action in statement["Action"]}
    assert {ACTIONS[operation] for operation in called} <= allowed


def test_a_script_without_a_folder(remote: Any, tmp_path: Path) -> None:
    """``tunewright tune --remote``: the trials are processes of the tuning job, which knows what was learned here."""
    known = {
        "sources": ["a"],
        "tasks": [{"name": "a", "configs": [{"lr": 0.25, "epochs": 3}], "losses": [0.1]}],
    }
    earlier = tmp_path / "earlier.json"
    earlier.write_text(json.dumps(known))
    space = tmp_path / "space.toml"
    space.write_text('[lr]\ntype = "float"\nlow = 0.01\nhigh = 1.0\n')
    line = (
        f"{remote.folder}/train.py --space {space} --metric loss --resource epoch --max_resource 3 --max_resource_attr epochs"
        " --max_num_trials 2 --n_workers 2 --remote --endpoint embedded --speed 300 --wait --experiment_tag one"
        f" --warm_start {earlier} --tensorboard 1"
    )
    assert "RandomSearch-train-0: finished, loss" in remote.tunewright("tune", *line.split())
    (view,) = remote.views("one").values()
    (outcome,) = view.outcomes
    assert (outcome.counts["completed"], outcome.history.n_results) == (2, 6)
    assert outcome.history.trial(0).config["lr"] == 0.25
    assert "2 completed" in remote.tunewright("show", outcome.folder.name)
    remote.tunewright("remote", "fetch", "one")
    assert len(list((outcome.path / "tensorboard").rglob("*tfevents*"))) == 3


def all_over(remote: Any, session: Any) -> list[dict[str, Any]] | None:
    """All jobs of the endpoint, when none runs or keeps instances; what has become a pool late is cleared away."""
    jobs = session.call("ListTrainingJobs", MaxResults=100)["TrainingJobSummaries"]
    busy = [job for job in jobs if job["TrainingJobStatus"] in {"InProgress", "Stopping"}]
    kept = [job for job in jobs if job.get("WarmPoolStatus", {}).get("Status") == "Available"]
    if kept and not busy:
        remote.tunewright("remote", "stop", "stopped")
    return None if busy or kept else jobs


def account(folder: ExperimentFolder) -> dict[str, Any]:
    return json.loads(folder.account_path.read_text())


def check_equal_to_s3(remote: Any) -> None:
    """What was fetched is what S3 has."""
    folders = {folder.name: folder for folder in experiments()}
    _, fleet = remote.open(TAG)
    for one in fleet.look():
        for experiment in one.experiments:
            here = folders[experiment]
            objects = fleet.objects(one.slice.name).under(f"experiments/{experiment}")
            assert here.journal_path.read_bytes() == read_segments(objects)
            for path in (here.metadata_path, here.results_path, here.account_path):
                assert path.read_bytes() == objects.get(path.name)
