"""Tune LightGBM: a rung is a number of boosting rounds, and a trial that is promoted adds trees to those that it has.

Run it with: python examples/lightgbm_rounds.py [N_TRIALS]; it needs lightgbm and scikit-learn.
"""

from __future__ import annotations

import sys

import lightgbm
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tunewright
from tunewright import Float, Integer
from tunewright.integrations.lightgbm import TunewrightCallback


def train(learning_rate: float, num_leaves: int, feature_fraction: float, rounds: int) -> None:
    """One trial."""
    x, x_valid, y, y_valid = train_test_split(*load_digits(return_X_y=True), random_state=0)
    data = lightgbm.Dataset(x, y)
    params = {"objective": "multiclass", "num_class": 10, "num_threads": 1, "verbosity": -1}
    callback = TunewrightCallback("valid-multi_logloss")
    lightgbm.train(
        {
            **params,
            "learning_rate": learning_rate,
            "num_leaves": num_leaves,
            "feature_fraction": feature_fraction,
        },
        data,
        rounds - callback.n_done,
        valid_sets=[lightgbm.Dataset(x_valid, y_valid, reference=data)],
        valid_names=["valid"],
        init_model=callback.checkpoint,
        callbacks=[callback],
    )


if __name__ == "__main__":
    outcome = tunewright.tune(
        train,
        {
            "learning_rate": Float(0.01, 1.0, log=True),
            "num_leaves": Integer(2, 64, log=True),
            "feature_fraction": Float(0.3, 1.0),
            "rounds": 27,
        },
        metric="valid-multi_logloss",
        goal="min",
        resource="round",
        max_resource=27,
        method="ASHA",
        n_workers=2,
        finish=1,  # the best trial is trained to the end
        n_trials=int(sys.argv[1]) if len(sys.argv) > 1 else 20,
    )
    print(outcome.best)
