"""An experiment of ASHA on a real cluster, whose processes, head and tuner are killed."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conformance.disturbed import TAG, DisturbedExperiment
from tests.conformance.ray.cluster import Cluster

from tunewright.storage import experiments


def running(cluster: Cluster) -> list[str]:
    """Names of the jobs that run."""
    return [name for name, job in cluster.jobs(f"tw-{TAG}-").items() if job.status == "RUNNING"]


def folder_of(job: str, execution: str) -> Path:
    """The folder of a job, by its name."""
    (experiment,) = experiments(TAG)
    trial, attempt, retry = job.split("-")[-3:]
    if execution == "workers":
        return experiment.trials_path / "workers" / f"{trial}-{attempt}-{retry}"
    return experiment.trials_path / trial / "runs" / f"{attempt}-{retry}"


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["jobs", "workers"])
def test_nothing_is_lost_and_nothing_is_done_twice(
    own_cluster: Cluster,
    tmp_path: Path,
    start_process: Callable[..., subprocess.Popen[bytes]],
    execution: str,
) -> None:
    experiment = DisturbedExperiment(
        *(tmp_path, start_process, "--backend", "ray", "--execution", execution),
        *("--list_seconds", "0.6", "--silent_after", "15", "--checkpoint_seconds", "0"),
        n_trials=12,
        n_workers=4,
        epoch_seconds=1.5,
        patience=400.0,
    )

    def a_running_job() -> str:
        return experiment.first(lambda: running(own_cluster))

    experiment.more_results(4)
    own_cluster.client.stop(a_running_job())
    experiment.more_results(2)
    experiment.until(
        lambda: own_cluster.kill_supervisor(folder_of(a_running_job(), execution)), "no job runs"
    )
    experiment.more_results(2)
    experiment.kill_tuner()
    experiment.more_results(3)
    own_cluster.restart()
    experiment.more_results(2)
    experiment.kill_tuner()
    experiment.check_end()
    assert not [
        job for job in own_cluster.jobs(f"tw-{TAG}-").values() if job.status in {"PENDING", "RUNNING"}
    ]
