"""
Conditional hyperparameters
===========================

Momentum is tuned only with SGD, and the function never gets it with Adam. ``active_if`` says when a hyperparameter exists; models do not
compare values that a trial does not have. Run it with ``python examples/conditional.py``.
"""

from __future__ import annotations

import tunewright
from tunewright import Categorical, Float, SearchSpace

# %%
# ``active_if`` names the values of another hyperparameter with which this one exists. Conditions can follow each other, and a list of
# values means any of them.

SPACE = SearchSpace(
    {
        "optimizer": Categorical(["sgd", "adam"]),
        "lr": Float(1e-4, 1.0, log=True),
        "momentum": Float(0.0, 0.99, active_if={"optimizer": "sgd"}),
        "beta": Float(0.8, 0.999, reverse_log=True, active_if={"optimizer": "adam"}),
    }
)

# %%
# The function has defaults for the arguments that may be missing.


def train(optimizer: str, lr: float, momentum: float | None = None, beta: float | None = None) -> None:
    """One trial: it has either a momentum or a beta."""
    if (momentum is None) == (optimizer == "sgd") or (beta is None) == (optimizer == "adam"):
        raise ValueError(f"{optimizer} with momentum {momentum} and beta {beta}")
    best = 0.1 if optimizer == "sgd" else 0.01
    tunewright.report(loss=abs(lr - best) + abs((momentum or beta or 0.0) - 0.9))


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

# %%
# A space of a file has the same key: ``active_if = { optimizer = "sgd" }``. Relations between hyperparameters, such as
# ``width_2 <= width_1``, are ``constraints`` of the space.
