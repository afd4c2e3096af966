"""Tune a Keras model: trials that ASHA pauses go on with their weights and the state of the optimizer.

Run it with: python examples/keras_epochs.py [N_TRIALS]; it needs keras and one of its backends ($KERAS_BACKEND, default here: torch).
"""

from __future__ import annotations

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

import tunewright
from tunewright import Float, Integer
from tunewright.integrations.keras import TunewrightCallback


def train(lr: float, width: int, dropout: float, epochs: int) -> None:
    """One trial."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(1024, 8))
    y = np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2]
    model = keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(width, activation="relu"),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(lr), "mse")
    callback = TunewrightCallback("val_loss")
    model.fit(
        x[:768],
        y[:768],
        batch_size=64,
        epochs=epochs,
        initial_epoch=callback.initial_epoch,
        validation_data=(x[768:], y[768:]),
        callbacks=[callback],
        verbose=0,
    )


if __name__ == "__main__":
    outcome = tunewright.tune(
        train,
        {
            "lr": Float(1e-4, 1e-1, log=True),
            "width": Integer(8, 128, log=True),
            "dropout": Float(0.0, 0.5),
            "epochs": 9,
        },
        metric="val_loss",
        goal="min",
        resource="epoch",
        max_resource=9,
        method="ASHA",
        n_workers=2,
        finish=1,  # the best trial is trained to the end
        n_trials=int(sys.argv[1]) if len(sys.argv) > 1 else 12,
    )
    print(outcome.best)
