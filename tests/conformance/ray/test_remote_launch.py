"""Tuners as jobs on a real cluster: one that is stopped by hand and launched again, and those of an experiment folder."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.conformance.ray.cluster import Cluster

from tunewright.events import ResultEvent
from tunewright.experiments import load_outcome
from tunewright.journal import read_events
from tunewright.storage import experiments
from tunewright.trial import ExperimentStatus

ENDED = {ExperimentStatus.COMPLETED, ExperimentStatus.STOPPED}
NURSERY = Path(__file__).parents[3] / "benchmarking" / "nursery" / "launch_ray"
N_EPOCHS = 8
SCRIPT = f"""
import time
from argparse import ArgumentParser
from tunewright.report import Reporter, load_newest, save_checkpoint
parser = ArgumentParser()
parser.add_argument("--x", type=float)
x = parser.parse_args().x
saved = load_newest()
report = Reporter()
for epoch in range(saved.step + 1 if saved else 1, {N_EPOCHS + 1}):
    time.sleep(1)
    save_checkpoint(epoch, {{}})
    report(epoch=epoch, loss=x / epoch)
"""


def run(*command: str, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def heard(tag: str) -> Counter[tuple[int, int]]:
    """How often each result of each trial is in the journal of the tag's experiment."""
    journals = [one.journal_path for one in experiments(tag) if one.journal_path.exists()]
    events = [event for journal in journals for event in read_events(journal)]
    return Counter((one.trial_id, one.resource) for one in events if isinstance(one, ResultEvent))


def until_ended(cluster: Cluster, name: str) -> None:
    cluster.until(
        lambda: cluster.jobs(name)[name].status not in {"PENDING", "RUNNING"}, f"{name} does not end"
    )


@pytest.mark.slow
def test_a_tuner_that_is_stopped_goes_on_when_it_is_launched_again(cluster: Cluster, tmp_path: Path) -> None:
    """It ends its trials, and no epoch is trained twice."""
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / "space.toml").write_text('[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n')
    tune = ("-m", "tunewright", "tune", str(tmp_path / "train.py"), "--space", str(tmp_path / "space.toml"))
    limits = ("--metric", "loss", "--resource", "epoch", "--max_num_trials", "3", "--n_workers", "2")
    ray = ("--experiment_tag", "remote", "--backend", "ray", "--list_seconds", "0.6", "--remote", "1")
    name = "tuner-remote-RandomSearch-train-0"
    assert f"ray job stop {name}" in run(*tune, *limits, *ray)
    cluster.until(lambda: len(heard("remote")) >= 2, "no results")
    assert "RUNNING" in run(*tune, *limits, *ray, "--resume", "1", code=2)
    cluster.client.stop(name)
    until_ended(cluster, name)
    trials = cluster.jobs("tw-remote-")
    assert trials
    assert all(job.status not in {"PENDING", "RUNNING"} for job in trials.values())
    assert "--resume" in run(*tune, *limits, *ray, code=2)
    name = f"{name}_2"
    assert f"ray job stop {name}" in run(*tune, *limits, *ray, "--resume", "1")
    until_ended(cluster, name)
    (folder,) = experiments("remote")
    output = cluster.client.logs(name)
    assert load_outcome(folder).status in ENDED, (output, cluster.jobs(name))
    assert heard("remote") == Counter(
        (trial, epoch) for trial in range(3) for epoch in range(1, N_EPOCHS + 1)
    )
    assert "loss" in run("-m", "tunewright", "show", folder.name)


@pytest.mark.slow
def test_the_experiment_folder_launches_a_tuner_per_method_and_seed(cluster: Cluster) -> None:
    flags = ("--experiment_tag", "folder", "--benchmark", "mlp_digits", "--method", "RS,ASHA")
    limits = ("--max_num_trials", "1", "--max_num_evaluations", "1", "--n_workers", "1")
    out = run(str(NURSERY / "launch_remote.py"), *flags, *limits)
    names = [f"tuner-folder-{label}-mlp-digits-0" for label in ("RS", "ASHA")]
    assert all(name in out for name in names)
    for name in names:
        until_ended(cluster, name)
    outcomes = [load_outcome(folder) for folder in experiments("folder")]
    assert len(outcomes) == 2
    assert {one.status for one in outcomes} <= ENDED, [cluster.client.logs(name) for name in names]
    assert all(one.history.n_results for one in outcomes)
