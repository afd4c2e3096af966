"""
Trials on a Slurm cluster
=========================

Each run of a trial is one job of the cluster. Run the file on a login node with ``python examples/slurm_cluster.py``. The nodes must see the
folder of the file, its Python, and ``~/tunewright``. The outputs and the figure of this page are a recording:

.. recording:: slurm_cluster
"""

# sphinx_gallery_thumbnail_path = 'recordings/slurm_cluster.png'

from __future__ import annotations

import time

import tunewright
from tunewright import Float
from tunewright.backends.slurm import SlurmConfig
from tunewright.experiments import method
from tunewright.report import load_newest, save_checkpoint

# %%
# The cluster
# -----------
# ``doctor`` looks for the commands of Slurm, and runs a job of one second on a node. It takes the flags of the trials. A problem is listed with
# its remedy.
#
# .. recording:: slurm_cluster doctor
#
# The function
# ------------
# A job may end before its trial: at a time limit, by preemption, or with its node. The next job continues from the newest checkpoint.


def train(lr: float, momentum: float, epochs: int) -> None:
    """One trial: gradient descent with momentum, from the newest checkpoint on."""
    saved = load_newest()
    first, state = (saved.step + 1, saved.state) if saved else (1, {"x": 3.0, "v": 0.0})
    for epoch in range(first, epochs + 1):
        time.sleep(0.5)  # stands for the epoch of a network
        state["v"] = momentum * state["v"] - lr * 2 * state["x"]
        state["x"] += state["v"]
        save_checkpoint(epoch, state)
        tunewright.report(epoch=epoch, loss=min(state["x"] ** 2, 1e6))


# %%
# The experiment
# --------------
# ``SlurmConfig`` has the options of ``sbatch`` that trials need: partition, memory, GPUs, time limit. ``n_workers`` is the largest number of jobs
# in the queue and running.

outcome = tunewright.tune(
    train,
    {"lr": Float(1e-3, 1.0, log=True), "momentum": Float(0.0, 0.95), "epochs": 27},
    metric="loss",
    method=method("ASHA", grace_period=9, eta=3),
    resource="epoch",
    max_resource=27,
    backend=SlurmConfig(partition="main", mem="100M", time_limit="30"),
    n_workers=4,
    n_trials=12,
    tag="slurm-cluster",
)
print(outcome.best)

# %%
# .. recording:: slurm_cluster run
#
# The queue in the middle of the experiment: each job has the name of its trial, attempt and retry.
#
# .. recording:: slurm_cluster queue
#
# Workers over time
# -----------------
# ``outcome.plot_workers()`` drew this figure. A start is the time from the suggestion to the first report: the queue, and the first epoch.
#
# .. image:: /recordings/slurm_cluster.png
#    :alt: Timeline of the four workers: waiting for the job, training
#    :class: sphx-glr-single-img
#
# A killed tuner
# --------------
# Jobs continue without the tuner, for ten minutes by default. The next tuner finds them by their names. In this second experiment the tuner is
# killed with ``kill -9``, and ``tunewright resume`` ends the experiment.
#
# .. recording:: slurm_cluster killed
#
# More
# ----
# :doc:`Trials as Slurm jobs </slurm>` has all flags, workers mode for long queues, several nodes per trial, and the tuner as a job.
