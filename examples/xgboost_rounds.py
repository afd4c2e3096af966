"""Tune XGBoost: a rung is a number of boosting rounds, and a trial that is promoted adds trees to those that it has.

Run it with: python examples/xgboost_rounds.py [N_TRIALS]; it needs xgboost and scikit-learn.
"""

from __future__ import annotations

import sys

import xgboost
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import tunewright
from tunewright import Float, Integer
from tunewright.integrations.xgboost import TunewrightCallback


def train(eta: float, max_depth: int, subsample: float, rounds: int) -> None:
    """One trial."""
    x, x_valid, y, y_valid = train_test_split(*load_digits(return_X_y=True), random_state=0)
    valid = xgboost.DMatrix(x_valid, y_valid)
    params = {"objective": "multi:softprob", "num_class": 10, "eval_metric": "mlogloss", "nthread": 1}
    callback = TunewrightCallback("valid-mlogloss")
    xgboost.train(
        {**params, "eta": eta, "max_depth": max_depth, "subsample": subsample},
        xgboost.DMatrix(x, y),
        rounds - callback.n_done,
        evals=[(valid, "valid")],
        xgb_model=callback.checkpoint,
        callbacks=[callback],
        verbose_eval=False,
    )


if __name__ == "__main__":
    outcome = tunewright.tune(
        train,
        {
            "eta": Float(0.01, 1.0, log=True),
            "max_depth": Integer(1, 10),
            "subsample": Float(0.3, 1.0),
            "rounds": 27,
        },
        metric="valid-mlogloss",
        goal="min",
        resource="round",
        max_resource=27,
        method="ASHA",
        n_workers=2,
        n_trials=int(sys.argv[1]) if len(sys.argv) > 1 else 20,
    )
    print(outcome.best)
