"""A LightGBM script; it notes each round that it trains in the file $TRAINED."""

import argparse
import os
from pathlib import Path

import lightgbm
import numpy as np

from tunewright.integrations.lightgbm import TunewrightCallback


def note(env):
    if "TRAINED" in os.environ:
        with Path(os.environ["TRAINED"]).open("a") as file:
            file.write(f"{os.environ.get('TUNEWRIGHT_TRIAL')} {env.iteration + 1}\n")


note.before_iteration = True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.3)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--metric", default="valid-l2")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument(
        "--forget", action="store_true", help="begin from scratch although there is a checkpoint"
    )
    parser.add_argument("--cv", action="store_true")
    args = parser.parse_args()

    x = np.random.default_rng(0).normal(size=(64, 4))
    data = lightgbm.Dataset(x, x.sum(axis=1))
    params = {
        "objective": "regression",
        "learning_rate": args.lr,
        "num_leaves": 4,
        "verbosity": -1,
        "num_threads": 1,
    }
    callback = TunewrightCallback(args.metric, every=args.every)
    if args.cv:
        lightgbm.cv(params, data, args.epochs, nfold=3, stratified=False, callbacks=[callback])
        return
    lightgbm.train(
        params,
        data,
        args.epochs - callback.n_done,
        valid_sets=[data],
        valid_names=["valid"],
        init_model=None if args.forget else callback.checkpoint,
        callbacks=[note, callback],
    )


if __name__ == "__main__":
    main()
