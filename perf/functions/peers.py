"""Run Optuna's multivariate TPE and SMAC3 on the same functions; one JSON line per run, as in ``ours.py``.

    python -m venv /tmp/peers && /tmp/peers/bin/pip install optuna smac
    /tmp/peers/bin/python perf/functions/peers.py --out shared/peers.jsonl --methods "Optuna TPE" SMAC3 --functions pipeline

"Optuna TPE" is ``TPESampler(multivariate=True, group=True, constant_liar=True)``. SMAC3 is its facade for hyperparameters
(random forest, expected improvement of logarithms, one evaluation a configuration), asked and told. "SMAC3, 10 initial" has an initial design of ten
configurations in place of a quarter of all trials. All else are defaults.
"""

# pyright: basic
from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by BLAS when it is loaded, below
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import logging
import tempfile
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import optuna
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    EqualsCondition,
    Float,
    InCondition,
    Integer,
)
from functions import FUNCTIONS, Function
from simulated import done, key, recorded
from smac import HyperparameterOptimizationFacade, Scenario
from smac.runhistory.dataclasses import TrialInfo, TrialValue


class Optuna:
    """A sampler, asked and told."""

    def __init__(self, function: Function, seed: int) -> None:
        self._function = function
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)
        self._study = optuna.create_study(sampler=sampler)

    def ask(self) -> tuple[optuna.Trial, Mapping[str, Any]]:
        """A trial and its configuration."""
        trial = self._study.ask()
        config: dict[str, Any] = {}
        for name, (kind, *rest) in self._function.domains.items():
            parent = self._function.conditions.get(name)
            if parent is not None and config.get(parent[0]) not in parent[1]:
                continue
            if kind == "category":
                config[name] = trial.suggest_categorical(name, rest[0])
            else:
                suggest = trial.suggest_float if kind == "float" else trial.suggest_int
                config[name] = suggest(name, rest[0], rest[1], log=rest[2])
        return trial, config

    def tell(self, trial: optuna.Trial, value: float) -> None:
        """Its value."""
        self._study.tell(trial, value)


def _space(function: Function, seed: int) -> ConfigurationSpace:
    space = ConfigurationSpace(seed=seed)
    for name, (kind, *rest) in function.domains.items():
        if kind == "category":
            space.add(Categorical(name, list(rest[0])))
        else:
            low, high, log = rest
            space.add((Float if kind == "float" else Integer)(name, (low, high), log=log))
    for name, (parent, values) in function.conditions.items():
        if len(values) == 1:
            space.add(EqualsCondition(space[name], space[parent], values[0]))
        else:
            space.add(InCondition(space[name], space[parent], list(values)))
    return space


class SMAC3:
    """The facade for hyperparameters, asked and told."""

    def __init__(
        self, function: Function, seed: int, n_trials: int, n_initial: int | None, folder: str
    ) -> None:
        scenario = Scenario(
            _space(function, seed),
            deterministic=True,
            n_trials=n_trials,
            seed=seed,
            output_directory=Path(folder),
        )
        facade = HyperparameterOptimizationFacade
        self._smac = facade(
            scenario,
            lambda config, seed=0: 0.0,
            initial_design=facade.get_initial_design(scenario, n_configs=n_initial),
            overwrite=True,
            logging_level=logging.ERROR,
        )

    def ask(self) -> tuple[TrialInfo, Mapping[str, Any]]:
        """A trial and its configuration."""
        trial = self._smac.ask()
        return trial, dict(trial.config)

    def tell(self, trial: TrialInfo, value: float) -> None:
        """Its value."""
        self._smac.tell(trial, TrialValue(cost=value))


def main() -> None:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", default=["Optuna TPE", "SMAC3", "SMAC3, 10 initial"])
    parser.add_argument("--functions", nargs="+", default=list(FUNCTIONS))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 20), metavar=("FIRST", "END"))
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    finished = done(given.out)
    for seed in range(*given.seeds):
        for function in given.functions:
            for name in given.methods:
                job = {
                    "method": name,
                    "function": function,
                    "n_trials": given.trials,
                    "n_workers": given.workers,
                    "seed": seed,
                }
                if key(job) in finished:
                    continue
                if name == "Optuna TPE":
                    recorded(given.out, job, Optuna(FUNCTIONS[function], seed), version=version("optuna"))
                else:
                    n_initial = 10 if "10 initial" in name else None
                    with tempfile.TemporaryDirectory() as folder:
                        session = SMAC3(FUNCTIONS[function], seed, given.trials, n_initial, folder)
                        recorded(given.out, job, session, version=version("smac"))


if __name__ == "__main__":
    main()
