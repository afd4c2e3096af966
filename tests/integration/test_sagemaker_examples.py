"""The tutorials of SageMaker run on the embedded endpoint, and show the differences that they state."""

from __future__ import annotations

import re
from collections.abc import Callable
from subprocess import CompletedProcess
from typing import Any

from tunewright.experiments import Outcome, load_outcome
from tunewright.storage import experiments

Example = Callable[[str], CompletedProcess[str]]


def outcomes_of(tag: str) -> list[Outcome]:
    """The experiments of a tag, in the order of their beginnings."""
    return [load_outcome(folder) for folder in experiments(tag)]


def seconds_of_starts(outcome: Outcome) -> float:
    """Service seconds from requests to training, of all jobs."""
    jobs: list[dict[str, Any]] = outcome.summary["job_records"]
    return sum(job["startup"] for job in jobs)


def test_warm_pools_start_sooner_and_bill_their_idle_time(run_example: Example) -> None:
    lines = run_example("warm_pools").stdout.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["cold starts", "warm pools"] * 2
    cold, warm = outcomes_of("warm-pools")
    assert (cold.summary["jobs"], cold.summary["warm_starts"]) == (6, 0)
    assert (warm.summary["jobs"], warm.summary["warm_starts"]) == (6, 4)
    assert seconds_of_starts(warm) < seconds_of_starts(cold)
    assert cold.summary["pool_idle_seconds"] == 0 < warm.summary["pool_idle_seconds"]


def test_workers_need_fewer_jobs(run_example: Example) -> None:
    lines = run_example("workers_mode").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["jobs", "workers"]
    (jobs,), (workers,) = outcomes_of("workers-mode-jobs"), outcomes_of("workers-mode-workers")
    assert jobs.summary["jobs"] > 6  # promoted trials have several
    assert workers.summary["jobs"] == 2
    assert {outcome.history.n_trials for outcome in (jobs, workers)} == {6}


def test_a_remote_experiment_is_launched_followed_and_fetched(run_example: Example) -> None:
    shown = run_example("remote_launching").stdout
    assert re.search(r"ASHA-train-0 +finished +1,", shown)
    assert "1 experiment, " in shown
    (outcome,) = outcomes_of("remote-tutorial")
    assert outcome.status == "completed"
    assert outcome.history.n_trials == 6
