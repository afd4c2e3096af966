"""Optuna: pruning in a training loop. pruning_tunewright.py is the same with Tunewright."""

import numpy as np
import optuna

random = np.random.default_rng(0)
features = random.normal(size=(400, 10))
labels = (features @ random.normal(size=10) + 0.5 * random.normal(size=400) > 0).astype(float)


def objective(trial):
    lr = trial.suggest_float("lr", 1e-4, 10.0, log=True)
    decay = trial.suggest_float("decay", 1e-5, 1.0, log=True)
    weights = np.zeros(10)
    for epoch in range(1, 10):
        for batch in np.array_split(np.arange(200), 10):
            chances = 1 / (1 + np.exp(-features[batch] @ weights))
            gradient = features[batch].T @ (chances - labels[batch]) / len(batch)
            weights -= lr * (gradient + decay * weights)
        error = float(np.mean((features[200:] @ weights > 0) != labels[200:]))
        trial.report(error, epoch)
        if trial.should_prune():
            raise optuna.TrialPruned()
    return error


study = optuna.create_study(pruner=optuna.pruners.SuccessiveHalvingPruner())
study.optimize(objective, n_trials=20)
print(study.best_value, study.best_params)
