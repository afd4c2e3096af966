"""Optuna: ask and tell. ask_and_tell_tunewright.py is the same with Tunewright."""

import optuna
from optuna.distributions import FloatDistribution, IntDistribution


def measure(temperature, stirring):
    return 100 - (temperature - 70) ** 2 / 20 - abs(stirring - 4)


distributions = {"temperature": FloatDistribution(20.0, 100.0), "stirring": IntDistribution(1, 10)}
study = optuna.create_study(direction="maximize")
for _ in range(20):
    trial = study.ask(distributions)
    gain = measure(**trial.params)
    study.tell(trial, gain)
print(study.best_value, study.best_params)
