"""XGBoost: reports from a class of callbacks."""

import argparse

import xgboost as xgb
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from tunewright import report


class Tell(xgb.callback.TrainingCallback):
    def after_iteration(self, model, epoch, evals_log):
        report(
            iteration=epoch + 1,
            train_rmse=evals_log["train"]["rmse"][-1],
            valid_rmse=evals_log["valid"]["rmse"][-1],
        )
        return False


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--num_boost_round", type=int, default=200)
    parser.add_argument("--eta", type=float, default=0.3)
    parser.add_argument("--max_depth", type=int, default=6)
    parser.add_argument("--subsample", type=float, default=1.0)
    parser.add_argument("--colsample_bytree", type=float, default=1.0)
    parser.add_argument("--min_child_weight", type=float, default=1.0)
    parser.add_argument("--gamma", type=float, default=0.0)
    parser.add_argument("--reg_lambda", type=float, default=1.0)
    parser.add_argument("--early_stopping_rounds", type=int, default=20)
    parser.add_argument("--nthread", type=int, default=2)
    args = parser.parse_args()
    params = {
        name: value
        for name, value in vars(args).items()
        if name not in {"num_boost_round", "early_stopping_rounds"}
    }
    x_train, x_valid, y_train, y_valid = train_test_split(*load_diabetes(return_X_y=True), random_state=0)
    train, valid = xgb.DMatrix(x_train, y_train), xgb.DMatrix(x_valid, y_valid)
    xgb.train(
        params,
        train,
        num_boost_round=args.num_boost_round,
        evals=[(train, "train"), (valid, "valid")],
        early_stopping_rounds=args.early_stopping_rounds,
        callbacks=[Tell()],
    )


if __name__ == "__main__":
    main()
