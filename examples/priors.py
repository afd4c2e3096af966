"""
Priors: where good values are expected
======================================

A prior on a domain says what you believe. Methods use it first and recover from it if it is wrong. Run it with
``python examples/priors.py``.
"""

from __future__ import annotations

import tunewright
from tunewright import Categorical, Float, Prior
from tunewright.experiments import method


def train(lr: float, momentum: float, optimizer: str, epochs: int) -> None:
    """One trial: the prior below is right about the optimizer, and a little off about the learning rate."""
    away = abs(lr - 0.02) + abs(momentum - 0.9) + (0.3 if optimizer == "sgd" else 0.0)
    for epoch in range(1, epochs + 1):
        tunewright.report(epoch=epoch, loss=away + 0.5 / epoch)


# %%
# ``best`` is the centre of the belief, ``confidence`` its width. Categories have weights.

SPACE = {
    "lr": Float(1e-4, 1.0, log=True, prior=Prior(best=0.01, confidence="high")),
    "momentum": Float(0.5, 0.99, prior=Prior(best=0.9)),
    "optimizer": Categorical(["sgd", "adam"], prior=Prior(weights=[1, 4])),
    "epochs": 9,
}

# %%
# PriorBand draws from the prior, at random, and near the best configuration; PiBO is the method for trials that run to their end.

outcome = tunewright.tune(
    train,
    SPACE,
    metric="loss",
    method=method("PriorBand", asynchronous=True),
    resource="epoch",
    max_resource=9,
    n_workers=2,
    max_num_trials=8,
    tag="priors",
)
print(outcome.best)
