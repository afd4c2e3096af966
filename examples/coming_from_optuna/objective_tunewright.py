"""Tunewright: an objective with arguments. objective_optuna.py is the same with Optuna."""

import numpy as np
from tunewright import Float, Integer, tune

random = np.random.default_rng(0)
x = random.uniform(-1, 1, 200)
y = np.sin(3 * x) + 0.1 * random.normal(size=200)


def objective(degree, ridge, basis):
    powers = np.arange(degree + 1)
    features = x[:, None] ** powers if basis == "power" else np.cos(x[:, None] * powers)
    train, rest = features[:100], features[100:]
    weights = np.linalg.solve(train.T @ train + ridge * np.eye(degree + 1), train.T @ y[:100])
    return float(np.mean((rest @ weights - y[100:]) ** 2))


space = {"degree": Integer(1, 15), "ridge": Float(1e-6, 10.0, log=True), "basis": ["power", "cosine"]}
study = tune(objective, space, metric="error", n_trials=20)
print(study.best_value, study.best_params)
