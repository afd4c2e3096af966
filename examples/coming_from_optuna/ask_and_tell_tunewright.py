"""Tunewright: ask and tell. ask_and_tell_optuna.py is the same with Optuna."""

from tunewright import AskTell, Float, Integer


def measure(temperature, stirring):
    return 100 - (temperature - 70) ** 2 / 20 - abs(stirring - 4)


space = {"temperature": Float(20.0, 100.0), "stirring": Integer(1, 10)}
study = AskTell(space, metric="gain", goal="max")
for _ in range(20):
    trial = study.ask()
    gain = measure(**trial.config)
    study.complete(trial, gain)
print(study.best().value, study.best().config)
