"""Run Optuna's multivariate TPE, SMAC3 and pycma on the same functions; one JSON line per run, as in ``ours.py``.

    python -m venv /tmp/peers && /tmp/peers/bin/pip install optuna smac cma
    /tmp/peers/bin/python perf/functions/peers.py --out shared/peers.jsonl --methods "Optuna TPE" SMAC3 --functions pipeline

"Optuna TPE" is ``TPESampler(multivariate=True, group=True, constant_liar=True)``. SMAC3 is its facade for hyperparameters
(random forest, expected improvement of logarithms, one evaluation a configuration), asked and told. "SMAC3, 10 initial" has an initial design of ten
configurations in place of a quarter of all trials. "pycma" begins in the middle with 0.3 of each range as its standard deviation, and is restarted at a
random point with twice the population; it needs one worker and a space of numbers. All else are defaults.
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

import cma
import numpy as np
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


class Pycma:
    """Covariance matrix adaptation within bounds, asked and told by generations, on a cube."""

    def __init__(self, function: Function, seed: int) -> None:
        self._names = list(function.domains)
        domains = np.array([domain[1:3] for domain in function.domains.values()])
        self._low, self._width = domains[:, 0], domains[:, 1] - domains[:, 0]
        self._rng = np.random.default_rng(seed)
        self._seed, self._restarts = seed + 1, 0
        self._begin(np.full(len(self._names), 0.5))

    def _begin(self, start: np.ndarray) -> None:
        size = int(4 + 3 * np.log(len(start))) * 2**self._restarts
        options = {"seed": self._seed + self._restarts, "popsize": size, "bounds": [0, 1], "verbose": -9}
        self._search = cma.CMAEvolutionStrategy(start, 0.3, options)
        self._points: list[np.ndarray] = list(self._search.ask())
        self._done: list[tuple[np.ndarray, float]] = []

    def ask(self) -> tuple[np.ndarray, Mapping[str, Any]]:
        """A point and its configuration."""
        point = self._points.pop(0)
        return point, dict(zip(self._names, (self._low + self._width * point).tolist(), strict=True))

    def tell(self, trial: np.ndarray, value: float) -> None:
        """Its value."""
        self._done.append((trial, value))
        if self._points:
            return
        self._search.tell([point for point, _ in self._done], [loss for _, loss in self._done])
        if self._search.stop():
            self._restarts += 1
            self._begin(self._rng.random(len(self._names)))
        else:
            self._points, self._done = list(self._search.ask()), []


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
                elif name == "pycma":
                    recorded(given.out, job, Pycma(FUNCTIONS[function], seed), version=version("cma"))
                else:
                    n_initial = 10 if "10 initial" in name else None
                    with tempfile.TemporaryDirectory() as folder:
                        session = SMAC3(FUNCTIONS[function], seed, given.trials, n_initial, folder)
                        recorded(given.out, job, session, version=version("smac"))


if __name__ == "__main__":
    main()
