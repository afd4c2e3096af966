"""
Workers mode
============

In workers mode a few long training jobs take run after run. A run waits neither for a request to SageMaker nor for an instance. This page compares
it with one job per run, on the embedded endpoint of this machine, not on AWS. Run it with ``python examples/workers_mode.py``; it
needs the extra ``emulator``.
"""

from __future__ import annotations

import time
from typing import Literal

import tunewright
from tunewright import Float
from tunewright.backends.sagemaker import SageMakerConfig
from tunewright.experiments import Outcome, method
from tunewright.report import load_newest, save_checkpoint

# %%
# Short runs
# ----------
# ASHA ends most trials after three epochs, here 0.6 seconds. SageMaker accepts one CreateTrainingJob a second, and a warm job starts in 20 service
# seconds. With one job per run most of the time is spent on starts.


def train(lr: float, epochs: int) -> None:
    """One trial, from its newest checkpoint on."""
    saved = load_newest()
    for epoch in range(saved.step + 1 if saved else 1, epochs + 1):
        time.sleep(0.2)
        save_checkpoint(epoch, {})
        tunewright.report(epoch=epoch, loss=(lr - 0.1) ** 2 + 1 / epoch)


def run(execution: Literal["jobs", "workers"]) -> Outcome:
    """The experiment in one mode."""
    return tunewright.tune(
        train,
        {"lr": Float(1e-4, 1.0, log=True), "epochs": 27},
        metric="loss",
        method=method("ASHA", grace_period=3, eta=3),
        resource="epoch",
        max_resource=27,
        backend=SageMakerConfig(
            endpoint="embedded", execution=execution, warm_pool=execution == "jobs", min_interval=0.1
        ),
        n_workers=2,
        n_trials=6,
        tag=f"workers-mode-{execution}",
        progress=False,
    )


outcomes = {"jobs": run("jobs"), "workers": run("workers")}

# %%
# Jobs and starts
# ---------------
# With one job per run, each run of a trial waits for the start of its job. Workers pay for the cold start once. ``execution="auto"``, the default,
# chooses workers if jobs cannot keep all workers busy.

for name, outcome in outcomes.items():
    summary = outcome.summary
    starts = sum(job["startup"] for job in summary["job_records"])
    billed = summary["billable_seconds"] + summary["pool_idle_seconds"]
    print(
        f"{name:8} {summary['jobs']:2} training jobs; service seconds: {starts:.0f} of starts, {billed:.0f} billed"
    )

# %%
# Timelines
# ---------
# The endpoint runs the starts of jobs 60 times faster than the service, but not the training. At full service times the grey parts of the first
# timeline are 60 times as long: two minutes cold and 20 seconds warm. A job for each run, with warm pools:

outcomes["jobs"].plot_workers()

# %%
# Workers that stay. The start of a run needs no request to SageMaker, and has the same length at full service times:

outcomes["workers"].plot_workers()

# %%
# :doc:`Trials as SageMaker training jobs </sagemaker>` has the sizes of worker jobs, several trials per instance, and the effects of lost workers.
# It also has a comparison of both modes at full service times.
