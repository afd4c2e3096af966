"""Run methods of other libraries on the peers' tables; one JSON line per run, of the form of ``run.py``.

    python perf/quality/peer_libraries.py --method "Optuna TPE-Hyperband" --peers ../shared/peers --seeds 0 10 --out optuna.jsonl

Needs NumPy, onnxruntime and the library: optuna (GPSampler: torch too), or neural-pipeline-search. All settings are the library's defaults;
epochs are its resource. The workers of the plan run side by side in simulated time without delays, and seconds of deciding
are not charged: each asks for a trial, trains it epoch by epoch until it is stopped or done, and asks for the next one.
"""

# pyright: basic
from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by BLAS when it is loaded, below
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import heapq
import importlib
import importlib.metadata
import json
import random
import time
import warnings
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tables_of_peers import load_tables, task_seed


@dataclass(frozen=True)
class Training:
    """What a worker does: train a configuration from one epoch to another."""

    trial: Any
    config: dict[str, float]
    after: int
    until: int


class Study(ABC):
    """A study of a library."""

    @abstractmethod
    def ask(self) -> Training:
        """What a free worker does next."""

    @abstractmethod
    def report(self, training: Training, value: float, epoch: int) -> bool:
        """Tell the value after an epoch; whether the training goes on. At its last epoch it does not."""


class OptunaStudy(Study):
    """Optuna's TPE with its Hyperband pruner, or its Gaussian process without a pruner."""

    def __init__(self, space: dict[str, Any], name: str, seed: int, *, is_gp: bool) -> None:
        optuna = importlib.import_module("optuna")  # each library has an environment of its own

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self._pruned = optuna.trial.TrialState.PRUNED
        self._space, seed = space, seed % 2**32
        samplers, pruners = optuna.samplers, optuna.pruners
        self._study = optuna.create_study(
            study_name=name,  # the pruner draws brackets by it
            sampler=samplers.GPSampler(seed=seed) if is_gp else samplers.TPESampler(seed=seed),
            pruner=pruners.NopPruner()
            if is_gp
            else pruners.HyperbandPruner(max_resource=space["max_resource"]),
        )

    def ask(self) -> Training:
        trial, config = self._study.ask(), {}
        for h in self._space["hyperparameters"]:
            suggest = trial.suggest_int if h["type"] == "int" else trial.suggest_float
            config[h["name"]] = suggest(h["name"], h["lower"], h["upper"], log=h["log"])
        return Training(trial, config, 0, self._space["max_resource"])

    def report(self, training: Training, value: float, epoch: int) -> bool:
        training.trial.report(value, epoch)
        if epoch == training.until:
            self._study.tell(training.trial, value)
            return False
        if training.trial.should_prune():
            self._study.tell(training.trial, state=self._pruned)
            return False
        return True


class NePSStudy(Study):
    """NePS's PriorBand. Its priors are the middle of each range, on its scale, with low confidence: nobody knows better here."""

    def __init__(self, space: dict[str, Any], seed: int) -> None:
        neps, torch = importlib.import_module("neps"), importlib.import_module("torch")

        random.seed(seed)  # NePS draws from the global generators
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        kinds = {"int": neps.HPOInteger, "float": neps.HPOFloat}
        parts: dict[str, Any] = {
            h["name"]: kinds[h["type"]](
                h["lower"], h["upper"], log=h["log"], prior=_middle(h), prior_confidence="low"
            )
            for h in space["hyperparameters"]
        }
        self._names = list(parts)
        parts["epoch"] = neps.HPOInteger(1, space["max_resource"], is_fidelity=True)
        self._told = neps.AskAndTell(neps.algorithms.priorband(neps.SearchSpace(parts)))

    def ask(self) -> Training:
        trial = self._told.ask()
        before = trial.metadata.previous_trial_id
        after = self._told.trials[before].config["epoch"] if before else 0
        return Training(trial, {n: trial.config[n] for n in self._names}, after, trial.config["epoch"])

    def report(self, training: Training, value: float, epoch: int) -> bool:
        if epoch < training.until:
            return True
        self._told.tell(training.trial, value)
        return False


def _middle(hyperparameter: dict[str, Any]) -> float:
    lower, upper = hyperparameter["lower"], hyperparameter["upper"]
    middle = (lower * upper) ** 0.5 if hyperparameter["log"] else (lower + upper) / 2
    return round(middle) if hyperparameter["type"] == "int" else middle


METHODS = {
    "Optuna TPE-Hyperband": ("optuna", lambda space, name, seed: OptunaStudy(space, name, seed, is_gp=False)),
    "Optuna GPSampler": ("optuna", lambda space, name, seed: OptunaStudy(space, name, seed, is_gp=True)),
    "NePS PriorBand": ("neural-pipeline-search", lambda space, name, seed: NePSStudy(space, seed)),
}
"""Method -> package, and a new study of a space by name and seed."""


def run(table: Any, job: dict[str, Any]) -> dict[str, Any]:
    """One experiment: its curve and what it took."""
    package, make = METHODS[job["method"]]
    wall, cpu, deciding = time.perf_counter(), time.process_time(), 0.0
    study = make(table.space, f"{job['task']}-{job['seed']}", task_seed(job["task"], job["seed"]))
    points: list[tuple[float, float]] = []
    n_trials = n_results = n_full = 0
    events: list[tuple[float, int, int, float, Any]] = []
    """When, worker, epoch, when epoch 0 would have begun, and the training with its curve."""

    def begin(worker: int, now: float) -> None:
        nonlocal deciding, n_trials
        start = time.process_time()
        training = study.ask()
        deciding += time.process_time() - start
        n_trials += training.after == 0
        values, elapsed = (column.tolist() for column in table.curve(training.config))
        began = now - (elapsed[training.after - 1] if training.after else 0.0)
        epoch = training.after + 1
        heapq.heappush(
            events, (began + elapsed[epoch - 1], worker, epoch, began, (training, values, elapsed))
        )

    for worker in range(job["n_workers"]):
        begin(worker, 0.0)
    while events[0][0] <= job["budget"]:
        now, worker, epoch, began, (training, values, elapsed) = heapq.heappop(events)
        n_results += 1
        n_full += epoch == table.space["max_resource"]
        if not points or values[epoch - 1] < points[-1][1]:
            points.append((round(now, 3), values[epoch - 1]))
        start = time.process_time()
        goes_on = study.report(training, values[epoch - 1], epoch)
        deciding += time.process_time() - start
        if goes_on:
            heapq.heappush(
                events, (began + elapsed[epoch], worker, epoch + 1, began, (training, values, elapsed))
            )
        else:
            begin(worker, now)
    return job | {
        "library": package,
        "version": importlib.metadata.version(package),
        "clock": "ideal",
        "wall_seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "decision_seconds": round(deciding, 4),
        "n_trials": n_trials,
        "n_results": n_results,
        "n_full": n_full,
        "best": points[-1][1],
        "curve": points,
    }


def main() -> None:
    """Run what the arguments say; runs that the output holds already are skipped."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--method", choices=METHODS, required=True)
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"))
    parser.add_argument("--plan", default="plan_network.json")
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 10), metavar=("FIRST", "END"))
    parser.add_argument("--until", type=float, help="begin no run after this time, in seconds since 1970")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    tables = load_tables(given.peers)
    plan = json.loads((given.peers / given.plan).read_text())
    lines = given.out.read_text().splitlines() if given.out.exists() else []
    done = {(r["method"], r["task"], r["seed"]) for r in map(json.loads, lines)}
    for seed in range(*given.seeds):
        for task in plan["tasks"]:
            if (given.method, task["task"], seed) in done:
                continue
            if given.until and time.time() > given.until:
                return
            job = {"table": Path(task["table"]).name, "task": task["task"], "budget": task["budget"]}
            job |= {"method": given.method, "seed": seed, "n_workers": plan["n_workers"]}
            record = run(tables.load(given.peers / plan["data"] / task["table"], task["task"]), job)
            with given.out.open("a") as file:
                file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
