"""
Population based training
=========================

The best learning rate is large at first and small at the end, and no fixed one is good throughout. The population finds a schedule: the
worst members go on from the best ones' checkpoints with other learning rates. Run it with
``python examples/population_based_training.py``.
"""

from __future__ import annotations

import math

import tunewright
from tunewright import Float
from tunewright.experiments import method
from tunewright.report import load_newest, save_checkpoint

# %%
# The function continues from the newest checkpoint, which may be that of another member.


def train(lr: float, epochs: int) -> None:
    """One trial: noisy gradient descent on a parabola, from the newest checkpoint on."""
    saved = load_newest()
    first, weight = (saved.step + 1, saved.state["weight"]) if saved else (1, 10.0)
    for epoch in range(first, epochs + 1):
        noise = math.sin(100.0 * epoch)
        weight -= lr * (2 * weight + noise)
        save_checkpoint(epoch, {"weight": weight})
        tunewright.report(epoch=epoch, loss=weight**2)


# %%
# Four members are compared every three epochs.

outcome = tunewright.tune(
    train,
    {"lr": Float(0.01, 1.0, log=True), "epochs": 12},
    metric="loss",
    method=method("PBT", population_size=4, perturbation_interval=3),
    resource="epoch",
    max_resource=12,
    n_workers=2,
    max_num_trials=8,
)
print(outcome.best)
