"""
Trials on a Ray cluster
=======================

Each run of a trial is one job of a Ray cluster. Run the file with ``python examples/ray_cluster.py``, or
``python examples/ray_cluster.py workers``. Ray needs an environment of its own; the tuner speaks to the cluster's dashboard. The outputs and
figures of this page are a recording:

.. recording:: ray_cluster
"""

# sphinx_gallery_thumbnail_path = 'recordings/ray_cluster_workers.png'

from __future__ import annotations

import sys
import time

import tunewright
from tunewright import Float
from tunewright.backends.ray import RayConfig
from tunewright.experiments import method
from tunewright.report import load_newest, save_checkpoint

# %%
# The cluster
# -----------
# These commands start a cluster of one machine. Tunewright needs the same ``RAY_AUTH_TOKEN``.
#
# .. code-block:: console
#
#    $ python3 -m venv ray-environment
#    $ ray-environment/bin/pip install 'ray[default]'
#    $ export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=$(openssl rand -hex 32)
#    $ ray-environment/bin/ray start --head --disable-usage-stats
#
# ``doctor`` checks address, token and shared folder, and runs a job of one second. The cluster of the recording has ``--num-cpus 8`` and
# ``--num-gpus 2``: Ray counts these resources and needs no such devices.
#
# .. recording:: ray_cluster doctor
#
# The function
# ------------
# A trial needs neither Ray nor Tunewright's tuner. It continues from its newest checkpoint after a pause or the loss of a node.


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
# ``RayConfig`` has the resources of a trial, and a runtime environment if the nodes lack packages. The address is found in the environment.

outcome = tunewright.tune(
    train,
    {"lr": Float(1e-3, 1.0, log=True), "momentum": Float(0.0, 0.95), "epochs": 27},
    metric="loss",
    method=method("ASHA", grace_period=3, eta=3),
    resource="epoch",
    max_resource=27,
    backend=RayConfig(cpus_per_trial=1, execution="workers" if "workers" in sys.argv else "jobs"),
    n_workers=4,
    n_trials=12,
    tag="ray-cluster",
)
print(outcome.best)

# %%
# A job per run
# -------------
# A job of Ray begins with a process that imports Ray. Runs of a few seconds are shorter than this start. ``outcome.plot_workers()`` drew the
# figure; a start ends with the first report.
#
# .. recording:: ray_cluster jobs
#
# .. image:: /recordings/ray_cluster_jobs.png
#    :alt: Timeline of four workers: most of the time is the start of jobs
#    :class: sphx-glr-single-img
#
# Workers mode
# ------------
# With ``execution="workers"`` four jobs stay, and take run after run. The experiment is the same.
#
# .. recording:: ray_cluster workers
#
# .. image:: /recordings/ray_cluster_workers.png
#    :alt: Timeline of four workers that stay: starts after the first one are short
#    :class: sphx-glr-single-img
#
# More
# ----
# :doc:`Trials as Ray jobs </ray>` has other clusters and their addresses, all flags, and the effects of lost nodes and restarts.
