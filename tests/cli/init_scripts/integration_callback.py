"""XGBoost with the callback of tunewright.integrations, which reports and saves checkpoints."""

import argparse

import xgboost
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from tunewright.integrations.xgboost import TunewrightCallback


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--eta", type=float, default=0.3)
    parser.add_argument("--max_depth", type=int, default=6)
    args = parser.parse_args()
    x, x_valid, y, y_valid = train_test_split(*load_diabetes(return_X_y=True), random_state=0)
    callback = TunewrightCallback(["valid-rmse"])
    xgboost.train(
        {"eta": args.eta, "max_depth": args.max_depth, "nthread": 1},
        xgboost.DMatrix(x, y),
        args.rounds - callback.n_done,
        evals=[(xgboost.DMatrix(x_valid, y_valid), "valid")],
        xgb_model=callback.checkpoint,
        callbacks=[callback],
        verbose_eval=False,
    )


if __name__ == "__main__":
    main()
