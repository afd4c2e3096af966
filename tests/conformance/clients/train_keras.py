"""A Keras script; it notes each epoch that it trains in the file $TRAINED."""

import argparse
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

from tunewright.integrations.keras import TunewrightCallback


def note(epoch, _):
    if "TRAINED" in os.environ:
        with Path(os.environ["TRAINED"]).open("a") as file:
            file.write(f"{os.environ.get('TUNEWRIGHT_TRIAL')} {epoch + 1}\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.05)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--metric", default="val_loss")
    parser.add_argument(
        "--forget", action="store_true", help="begin from scratch although there is a checkpoint"
    )
    args = parser.parse_args()

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(64, 4))
    y = x.sum(axis=1)
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(args.lr), "mse")
    callback = TunewrightCallback(args.metric)
    model.fit(
        x,
        y,
        epochs=args.epochs,
        initial_epoch=0 if args.forget else callback.initial_epoch,
        validation_data=(x, y),
        shuffle=False,
        verbose=0,
        callbacks=[callback, keras.callbacks.LambdaCallback(on_epoch_begin=note)],
    )


if __name__ == "__main__":
    main()
