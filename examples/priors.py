"""Say where the good values are believed to be: a prior on a domain, which methods use and recover from.

Run it with: python examples/priors.py
"""

from __future__ import annotations

import tunewright
from tunewright import Categorical, Float, Prior


def train(lr: float, momentum: float, optimizer: str, epochs: int) -> None:
    """One trial: the prior below is right about the optimizer, and a little off about the learning rate."""
    away = abs(lr - 0.02) + abs(momentum - 0.9) + (0.3 if optimizer == "sgd" else 0.0)
    for epoch in range(1, epochs + 1):
        tunewright.report(epoch=epoch, loss=away + 0.5 / epoch)


SPACE = {
    "lr": Float(1e-4, 1.0, log=True, prior=Prior(best=0.01, confidence="high")),
    "momentum": Float(0.5, 0.99, prior=Prior(best=0.9)),
    "optimizer": Categorical(["sgd", "adam"], prior=Prior(weights=[1, 4])),
    "epochs": 9,
}

if __name__ == "__main__":
    from tunewright.experiments import method  # here, as trials need nothing of it

    outcome = tunewright.tune(
        train,
        SPACE,
        metric="loss",
        method=method("PriorBand", asynchronous=True),  # or "PiBO", where trials run to their end
        resource="epoch",
        max_resource=9,
        n_workers=2,
        max_num_trials=8,
        tag="priors",
    )
    print(outcome.best)
