"""Tune a Python function: each trial is a process of its own.

Run it with: python examples/tune_function.py
"""

from __future__ import annotations

import tunewright
from tunewright import Float, Integer


def train(lr: float, width: int, epochs: int) -> None:
    """One trial: reports its loss after every epoch."""
    for epoch in range(1, epochs + 1):
        loss = (lr - 0.1) ** 2 + 10 / width / epoch
        tunewright.report(epoch=epoch, loss=loss)


outcome = tunewright.tune(
    train,
    {"lr": Float(1e-4, 1.0, log=True), "width": Integer(8, 128), "epochs": 9},
    metric="loss",
    goal="min",
    resource="epoch",
    max_resource=9,
    method="ASHA",
    n_workers=2,
    n_trials=12,
)
print(outcome.best)
