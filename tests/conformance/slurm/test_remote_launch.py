"""Tuners as jobs on a real cluster, which hand over before their time limit ends."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.conformance.slurm.cluster import Cluster

from tunewright.backends.slurm.job_service import ENDED_STATES
from tunewright.events import ResultEvent
from tunewright.experiments import load_outcome
from tunewright.journal import read_events
from tunewright.storage import experiments
from tunewright.trial import ExperimentStatus

ENDED = {ExperimentStatus.COMPLETED, ExperimentStatus.STOPPED}
NURSERY = Path(__file__).parents[3] / "benchmarking" / "nursery" / "launch_slurm"
SCRIPT = """
import time
from argparse import ArgumentParser
from tunewright.report import Reporter, load_newest, save_checkpoint
parser = ArgumentParser()
parser.add_argument("--x", type=float)
x = parser.parse_args().x
saved = load_newest()
report = Reporter()
for epoch in range(saved.step + 1 if saved else 1, 16):
    time.sleep(1)
    save_checkpoint(epoch, {})
    report(epoch=epoch, loss=x / epoch)
"""


def run(*command: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def until_ended(cluster: Cluster, name: str) -> None:
    """Wait until all jobs of a tuner have ended; a hand-over submits the next one before it ends."""
    deadline = time.monotonic() + 300
    while any(job == name and state not in ENDED_STATES for _, job, state in cluster.jobs()):
        assert time.monotonic() < deadline, cluster.jobs()
        time.sleep(0.2)


def begun(tag: str) -> bool:
    """Whether a result is in the journal of the tag's experiment."""
    journals = [one.journal_path for one in experiments(tag) if one.journal_path.exists()]
    return any(isinstance(event, ResultEvent) for journal in journals for event in read_events(journal))


@pytest.mark.slow
def test_a_tuner_goes_on_in_further_jobs(cluster: Cluster, tmp_path: Path, tunewright_home: Path) -> None:
    """A shorter time limit comes while it runs: Slurm sends the signal soon. Trials run on meanwhile."""
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "space.toml").write_text('[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
    tune = ("-m", "tunewright", "tune", str(tmp_path / "train.py"), "--space", str(tmp_path / "space.toml"))
    limits = ("--metric", "loss", "--resource", "epoch", "--max_num_trials", "4", "--n_workers", "2")
    slurm = ("--experiment_tag", "remote", "--backend", "slurm", "--squeue_seconds", "0.6")
    out = run(*tune, *limits, *slurm, "--remote", "1", "--tuner_time_limit", "1:00:00")
    name = "tuner-remote-RandomSearch-train-0"
    assert f"scancel --name {name}" in out
    deadline = time.monotonic() + 120
    while not any(job == name and state == "RUNNING" for _, job, state in cluster.jobs()) or not begun(
        "remote"
    ):
        assert time.monotonic() < deadline, cluster.jobs()
        time.sleep(0.2)
    (number,) = [number for number, job, _ in cluster.jobs() if job == name]
    assert not cluster.call("scontrol", "update", f"JobId={number}", "TimeLimit=1")
    until_ended(cluster, name)
    (folder,) = experiments("remote")
    log = (tunewright_home / "remote" / "remote" / "RandomSearch-train-0" / "tuner.log").read_text()
    assert load_outcome(folder).status in ENDED, log
    assert "the job after this one goes on" in log
    events = list(read_events(folder.journal_path))
    heard = Counter((one.trial_id, one.resource) for one in events if isinstance(one, ResultEvent))
    assert heard == Counter((trial, epoch) for trial in range(4) for epoch in range(1, 16)), log
    assert {one.retry for one in events if isinstance(one, ResultEvent)} == {0}, (
        "no trial was ended by a hand-over"
    )
    assert sum(job == name for _, job, _ in cluster.jobs()) == 2
    assert "loss" in run("-m", "tunewright", "show", folder.name)
    assert "tuner" in run("-m", "tunewright", "remote", "status", "remote", code=2)
    assert run("-m", "tunewright", "logs", folder.name, "0")


@pytest.mark.slow
def test_the_experiment_folder_launches_a_tuner_per_method_and_seed(cluster: Cluster, tmp_path: Path) -> None:
    flags = (
        "--experiment_tag",
        "folder",
        "--benchmark",
        "mlp_digits",
        "--method",
        "RS,ASHA",
        "--max_num_trials",
        "1",
    )
    limits = ("--max_num_evaluations", "1", "--n_workers", "1", "--squeue_seconds", "0.6")
    out = run(str(NURSERY / "launch_remote.py"), *flags, *limits)
    names = [f"tuner-folder-{label}-mlp-digits-0" for label in ("RS", "ASHA")]
    assert all(name in out for name in names)
    for name in names:
        until_ended(cluster, name)
    assert "--resume" in run(str(NURSERY / "launch_remote.py"), *flags, *limits, code=2)
    outcomes = [load_outcome(folder) for folder in experiments("folder")]
    assert len(outcomes) == 2
    assert {one.status for one in outcomes} <= ENDED
    assert all(one.history.n_results for one in outcomes)
