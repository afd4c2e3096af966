"""
First search
============

A training function, a search space and a number of trials make a search. Each trial is a process of its own. This page tunes a small
network on scikit-learn's digits. Run it with ``python examples/first_search.py``.
"""

from __future__ import annotations

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import tunewright
from tunewright import Categorical, Float, Integer

# %%
# The training function
# ---------------------
# Its arguments are the hyperparameters. It reports its metric after every epoch; a report without epochs works as well.


def train(lr: float, width: int, activation: str, epochs: int) -> None:
    """One trial."""
    images, digits = load_digits(return_X_y=True)
    data = train_test_split(images / 16, digits, random_state=0)
    model = MLPClassifier(width, activation=activation, learning_rate_init=lr, batch_size=64, random_state=0)
    for epoch in range(1, epochs + 1):
        model.partial_fit(data[0], data[2], classes=range(10))
        tunewright.report(epoch=epoch, accuracy=model.score(data[1], data[3]))


# %%
# The search
# ----------
# Each hyperparameter has a domain. A plain value, here of ``epochs``, is a constant. ``auto`` is the method if none is given: poor trials
# end early, and new configurations come from a model of the results.

outcome = tunewright.tune(
    train,
    {
        "lr": Float(1e-5, 1.0, log=True),
        "width": Integer(4, 128, log=True),
        "activation": Categorical(["relu", "tanh"]),
        "epochs": 9,
    },
    metric="accuracy",
    goal="max",
    resource="epoch",
    max_resource=9,
    n_workers=2,
    n_trials=16,
    seed=1,
    tag="first-search",
)
print(outcome.best)

# %%
# The results
# -----------
# The outcome has the trials as a data frame, and figures. A line that ends early is a trial that was paused at a rung.

print(outcome.trials_dataframe().head())

# %%
outcome.plot_learning_curves()

# %%
# All results are on the disk: ``tunewright show @last``, ``tunewright report @last`` and ``tunewright dashboard`` show them, and the same call
# with ``resume=True`` continues after an interruption.
outcome.plot_slices()
