"""
A tour of the dashboard
=======================

The dashboard shows experiments in the browser while they run. This file runs one; ``python examples/dashboard_tour.py``. The pictures of this
page are screenshots of that experiment:

.. recording:: dashboard_tour
"""

# sphinx_gallery_thumbnail_path = 'recordings/dashboard_tour.png'

from __future__ import annotations

import math

import tunewright
from tunewright import Categorical, Float, Integer
from tunewright.experiments import method
from tunewright.report import load_newest, save_checkpoint

# %%
# An experiment
# -------------
# The accuracy of this function rises with the epochs towards a limit that the hyperparameters set.


def train(lr: float, width: int, dropout: float, activation: str, epochs: int) -> None:
    """One trial: the learning curve of a network that is not trained."""
    saved = load_newest()
    limit = 0.97 - 0.05 * math.log10(lr / 0.01) ** 2 - 0.3 * (dropout - 0.2) ** 2 - 2 / width
    limit -= 0.03 * (activation == "tanh")
    for epoch in range(saved.step + 1 if saved else 1, epochs + 1):
        save_checkpoint(epoch, {})
        print(f"epoch {epoch}: learning rate {lr:.3g}, width {width}")
        tunewright.report(epoch=epoch, accuracy=limit - 0.5 * math.exp(-epoch * width**0.25 / 12))


outcome = tunewright.tune(
    train,
    {
        "lr": Float(1e-4, 1.0, log=True),
        "width": Integer(8, 256, log=True),
        "dropout": Float(0.0, 0.6),
        "activation": Categorical(["relu", "tanh"]),
        "epochs": 27,
    },
    metric="accuracy",
    goal="max",
    method=method("ASHA", grace_period=1, eta=3),
    resource="epoch",
    max_resource=27,
    n_workers=2,
    n_trials=40,
    tag="dashboard-tour",
)
print(outcome.best)

# %%
# Open the page
# -------------
# The command prints an address with a token, and opens the browser if there is one. It can start before, during or after the experiment. In a
# notebook ``outcome.dashboard()`` shows the page in the cell.
#
# .. recording:: dashboard_tour serve
#
# Overview
# --------
# The best value so far, the best configuration to copy, totals and limits.
#
# .. recorded-picture:: dashboard_tour overview
#    :alt: Overview: best value over time, best configuration, totals
#
# Trials
# ------
# The search takes words and comparisons, such as ``lr<0.01 value>0.9``. A row opens its trial.
#
# .. recorded-picture:: dashboard_tour trials
#    :alt: Table of the trials that match a search; the best one is marked
#
# One trial
# ---------
# The page of a trial has its configuration, curve and log; of a failed trial also the traceback.
#
# .. recorded-picture:: dashboard_tour trial
#    :alt: A trial: configuration, learning curve and log
#
# Curves and hyperparameters
# --------------------------
# Dashed lines are the rungs of ASHA. In parallel coordinates a range on an axis filters lines and table.
#
# .. recorded-picture:: dashboard_tour curves
#    :alt: Learning curves with rungs as dashed lines
#
# .. recorded-picture:: dashboard_tour parallel
#    :alt: Parallel coordinates of all configurations
#
# Requests
# --------
# With ``tunewright dashboard --control`` the page can stop and pause trials, change limits, and try a configuration. The tuner answers each
# request, and its journal keeps the answer.
#
# :doc:`Dashboard </dashboard>` has all views, remote experiments, proxies and the rules of safety.
