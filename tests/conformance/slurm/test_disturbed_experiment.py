"""An experiment of 30 trials of ASHA on a real cluster, while everything happens to it that happens on clusters."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conformance.disturbed import DisturbedExperiment
from tests.conformance.slurm.cluster import Cluster


def running(cluster: Cluster) -> list[str]:
    """Ids of the jobs that run."""
    return [number for number, name, state in cluster.jobs() if state == "RUNNING" and name.startswith("tw-")]


def reach_the_time_limit(cluster: Cluster, job: str) -> None:
    """Let a running job be at its time limit: Slurm sends the signal before it soon."""
    assert not cluster.call("scontrol", "update", f"JobId={job}", "TimeLimit=1")


def preempt(cluster: Cluster) -> None:
    """Take the node of all jobs for a moment."""
    urgent = ("sbatch", "--partition", "urgent", "--exclusive", "--output", "/dev/null", "--wrap", "sleep 2")
    assert "Submitted" in cluster.call(*urgent)


def restart_node(cluster: Cluster) -> None:
    """End the node with all that runs on it, and start it again at once: Slurm goes on to call its jobs running."""
    cluster.kill_node()
    cluster.start_node()


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["jobs", "workers"])
def test_nothing_is_lost_and_nothing_is_done_twice(
    own_cluster: Cluster,
    tmp_path: Path,
    start_process: Callable[..., subprocess.Popen[bytes]],
    execution: str,
) -> None:
    experiment = DisturbedExperiment(
        *(tmp_path, start_process, "--backend", "slurm", "--execution", execution),
        *("--squeue_seconds", "0.6", "--silent_after", "15", "--checkpoint_seconds", "0"),
        n_trials=30,
        n_workers=6,
        epoch_seconds=0.7,
        patience=240.0,
    )

    def a_running_job() -> str:
        return experiment.first(lambda: running(own_cluster))

    experiment.more_results(4)
    own_cluster.call("scancel", a_running_job())
    experiment.more_results(3)
    own_cluster.call("scontrol", "requeue", a_running_job())
    own_cluster.restart_controller()
    experiment.more_results(3)
    reach_the_time_limit(own_cluster, a_running_job())
    experiment.more_results(3)
    experiment.kill_tuner()
    experiment.more_results(3)
    preempt(own_cluster)
    experiment.more_results(3)
    restart_node(own_cluster)
    experiment.more_results(1)
    experiment.kill_tuner()
    experiment.check_end()
    assert not running(own_cluster)
