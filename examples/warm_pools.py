"""
Warm pools and their cost
=========================

A warm pool keeps the instance of a finished training job for the next one. This page runs the same experiment without and with warm pools, and
compares time and billed seconds. Both run on the embedded endpoint of this machine, not on AWS. Run it with ``python examples/warm_pools.py``;
it needs the extra ``emulator``.
"""

from __future__ import annotations

import time

from matplotlib.figure import Figure

import tunewright
from tunewright import Float
from tunewright.backends.sagemaker import SageMakerConfig
from tunewright.experiments import Outcome

# %%
# Two experiments
# ---------------
# Six trials train for one second each on two instances. The endpoint runs 60 service seconds in one second; training takes its own time. Its
# starts are those of the :doc:`table of service times </emulator>`. ``min_interval`` asks for reports ten times a second, since a second of the
# tuner is a minute of an idle instance here.


def train(lr: float, epochs: int) -> None:
    """One trial, in a training job."""
    for epoch in range(1, epochs + 1):
        time.sleep(0.25)
        tunewright.report(epoch=epoch, loss=(lr - 0.1) ** 2 + 1 / epoch)


def run(warm_pool: bool) -> Outcome:
    """The experiment, with or without warm pools."""
    return tunewright.tune(
        train,
        {"lr": Float(1e-4, 1.0, log=True), "epochs": 4},
        metric="loss",
        method="RandomSearch",
        resource="epoch",
        max_resource=4,
        backend=SageMakerConfig(endpoint="embedded", execution="jobs", warm_pool=warm_pool, min_interval=0.1),
        n_workers=2,
        n_trials=6,
        tag="warm-pools",
        progress=False,
    )


outcomes = {"cold starts": run(warm_pool=False), "warm pools": run(warm_pool=True)}

# %%
# Starts
# ------
# The first job on each instance starts cold in both experiments.

for name, outcome in outcomes.items():
    starts = [f"{job['startup']:.0f}" for job in outcome.summary["job_records"]]
    print(f"{name:12} service seconds from request to training: {', '.join(starts)}")

# %%
# Seconds and dollars
# -------------------
# SageMaker bills a job from the download of its image on, so that the wait for a new instance is free. A warm job downloads no image again. An
# idle instance of a pool is billed like a busy one.

for name, outcome in outcomes.items():
    summary = outcome.summary
    print(
        f"{name:12} {summary['billable_seconds']:4.0f} s of jobs, {summary['pool_idle_seconds']:3.0f} s idle: "
        f"${summary['cost']:.4f} ({summary['prices']})"
    )

# %%
# Sums over all jobs of each experiment:


def bars(outcomes: dict[str, Outcome]) -> Figure:
    """Bars of both experiments."""
    figure = Figure(figsize=(8, 2.2), layout="constrained")
    waiting, billed = figure.subplots(1, 2, sharey=True)
    for place, outcome in enumerate(outcomes.values()):
        jobs, idle = outcome.summary["billable_seconds"], outcome.summary["pool_idle_seconds"]
        waiting.barh(place, sum(job["startup"] for job in outcome.summary["job_records"]), color="#999999")
        billed.barh(place, jobs, color="#0072B2", label="" if place else "jobs")
        billed.barh(place, idle, left=jobs, color="#E69F00", label="" if place else "idle in the pool")
    waiting.set_yticks(range(len(outcomes)), list(outcomes))
    waiting.invert_yaxis()
    waiting.set_xlabel("seconds from request to training")
    billed.set_xlabel("billed seconds")
    figure.legend(loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return figure


bars(outcomes)

# %%
# The timeline with warm pools: light parts are warm starts.

outcomes["warm pools"].plot_workers()

# %%
# When pools cost more
# --------------------
# A pool waits as long as the next trial needs to be decided. Asynchronous methods decide at once. Synchronous ones, such as ``SyncHyperband``,
# let instances wait for the slowest trial of a rung. ``keep_alive`` limits the wait, ten minutes by default, and the end of the experiment releases
# all pools. ``max_cost`` limits jobs and idle time together.
#
# New accounts have a quota of 0 for warm pools, and SageMaker then starts every job cold without an error.
# ``tunewright sagemaker quotas --warm_pool 1 --n_workers 2`` compares the need with the account.
