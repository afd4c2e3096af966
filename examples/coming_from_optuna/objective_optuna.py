"""Optuna: an objective with suggest calls. objective_tunewright.py is the same with Tunewright."""

import numpy as np
import optuna

random = np.random.default_rng(0)
x = random.uniform(-1, 1, 200)
y = np.sin(3 * x) + 0.1 * random.normal(size=200)


def objective(trial):
    degree = trial.suggest_int("degree", 1, 15)
    ridge = trial.suggest_float("ridge", 1e-6, 10.0, log=True)
    basis = trial.suggest_categorical("basis", ["power", "cosine"])
    powers = np.arange(degree + 1)
    features = x[:, None] ** powers if basis == "power" else np.cos(x[:, None] * powers)
    train, rest = features[:100], features[100:]
    weights = np.linalg.solve(train.T @ train + ridge * np.eye(degree + 1), train.T @ y[:100])
    return float(np.mean((rest @ weights - y[100:]) ** 2))


study = optuna.create_study(direction="minimize")
study.optimize(objective, n_trials=20)
print(study.best_value, study.best_params)
