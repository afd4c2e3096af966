"""Conditional hyperparameters: momentum is tuned only with SGD, and the script never gets it with Adam.

Run it with: python examples/conditional.py
"""

from __future__ import annotations

import tunewright
from tunewright import Categorical, Float, SearchSpace

SPACE = SearchSpace(
    {
        "optimizer": Categorical(["sgd", "adam"]),
        "lr": Float(1e-4, 1.0, log=True),
        "momentum": Float(0.0, 0.99, active_if={"optimizer": "sgd"}),
        "beta": Float(0.8, 0.999, reverse_log=True, active_if={"optimizer": "adam"}),
    }
)


def train(optimizer: str, lr: float, momentum: float | None = None, beta: float | None = None) -> None:
    """One trial: it has either a momentum or a beta."""
    if (momentum is None) == (optimizer == "sgd") or (beta is None) == (optimizer == "adam"):
        raise ValueError(f"{optimizer} with momentum {momentum} and beta {beta}")
    best = 0.1 if optimizer == "sgd" else 0.01
    tunewright.report(loss=abs(lr - best) + abs((momentum or beta or 0.0) - 0.9))


if __name__ == "__main__":
    outcome = tunewright.tune(
        train,
        SPACE,
        metric="loss",
        method="BayesianOptimization",
        n_workers=2,
        max_num_trials=8,
        max_failures=0,
        seed=1,
        tag="conditional",
    )
    print(outcome.best)
