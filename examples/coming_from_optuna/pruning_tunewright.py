"""Tunewright: reports in a training loop. pruning_optuna.py is the same with Optuna."""

import numpy as np
from tunewright import Float, report, tune

random = np.random.default_rng(0)
features = random.normal(size=(400, 10))
labels = (features @ random.normal(size=10) + 0.5 * random.normal(size=400) > 0).astype(float)


def objective(lr, decay):
    weights = np.zeros(10)
    for epoch in range(1, 10):
        for batch in np.array_split(np.arange(200), 10):
            chances = 1 / (1 + np.exp(-features[batch] @ weights))
            gradient = features[batch].T @ (chances - labels[batch]) / len(batch)
            weights -= lr * (gradient + decay * weights)
        error = float(np.mean((features[200:] @ weights > 0) != labels[200:]))
        report(epoch=epoch, error=error)
    return error


space = {"lr": Float(1e-4, 10.0, log=True), "decay": Float(1e-5, 1.0, log=True)}
study = tune(objective, space, metric="error", resource="epoch", max_resource=9, n_trials=20)
print(study.best_value, study.best_params)
