"""An XGBoost script; it notes each round that it trains in the file $TRAINED."""

import argparse
import os
from pathlib import Path

import numpy as np
import xgboost

from tunewright.integrations.xgboost import TunewrightCallback


class Note(xgboost.callback.TrainingCallback):
    def before_iteration(self, model, epoch, evals_log):
        if "TRAINED" in os.environ:
            with Path(os.environ["TRAINED"]).open("a") as file:
                file.write(f"{os.environ.get('TUNEWRIGHT_TRIAL')} {model.num_boosted_rounds() + 1}\n")
        return False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--metric", default="valid-rmse")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument(
        "--forget", action="store_true", help="begin from scratch although there is a checkpoint"
    )
    parser.add_argument("--cv", action="store_true")
    args = parser.parse_args()

    x = np.random.default_rng(0).normal(size=(64, 4))
    data = xgboost.DMatrix(x, x.sum(axis=1))
    params = {"eta": args.lr, "max_depth": 2, "nthread": 1}
    callback = TunewrightCallback(args.metric, every=args.every)
    if args.cv:
        xgboost.cv(params, data, args.epochs, nfold=3, callbacks=[callback])
        return
    xgboost.train(
        params,
        data,
        args.epochs - callback.n_done,
        evals=[(data, "valid")],
        xgb_model=None if args.forget else callback.checkpoint,
        callbacks=[Note(), callback],
        verbose_eval=False,
    )


if __name__ == "__main__":
    main()
