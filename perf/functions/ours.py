"""Run methods of Tunewright on functions; one JSON line per run. None begins with the default configuration, as the peers do not.

    python perf/functions/ours.py --out shared/functions.jsonl --methods TPE KDE --functions branin --trials 100 --workers 1

``--set name=value`` gives the methods settings, which the label then contains. With ``--batches`` workers wait for each other, as the
authors' TuRBO does.
"""

# pyright: basic
from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by BLAS when it is loaded, below
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from functions import FUNCTIONS, Function
from simulated import done, key, recorded

import tunewright
from tunewright.asktell import Asked, AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.methods import build_scheduler, find_method, method
from tunewright.metric import Metric
from tunewright.space import Categorical, Float, Integer, SearchSpace
from tunewright.space.domain import Domain


def space_of(function: Function) -> SearchSpace:
    """The search space of a function."""
    domains: dict[str, Domain] = {}
    for name, (kind, *rest) in function.domains.items():
        parent = function.conditions.get(name)
        active_if = None if parent is None else {parent[0]: list(parent[1])}
        if kind == "category":
            domains[name] = Categorical(rest[0], active_if=active_if)
        else:
            low, high, log = rest
            domains[name] = (Float if kind == "float" else Integer)(low, high, log=log, active_if=active_if)
    return SearchSpace(domains)


class Ours:
    """A method, asked and told."""

    def __init__(self, name: str, settings: Mapping[str, Any], function: Function, seed: int) -> None:
        metric = Metric("loss")
        benchmark = RealBenchmarkDefinition(
            name="function",
            script="none",
            space=space_of(function),
            metrics=(metric,),
            points_to_evaluate=(),
        )
        given = find_method(name).make_settings(dict(settings)) and settings
        self._session = AskTell(build_scheduler(method(name, **given), benchmark, seed, {}), [metric])

    def ask(self) -> tuple[Asked, Mapping[str, Any]]:
        """A trial and its configuration."""
        asked = self._session.ask()
        if asked is None:
            raise RuntimeError("No configuration is left")
        return asked, asked.config

    def tell(self, trial: Asked, value: float) -> None:
        """Its value."""
        self._session.tell(trial, {"loss": value}, 1)
        self._session.complete(trial)


def main() -> None:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--methods", nargs="+", required=True)
    parser.add_argument("--functions", nargs="+", default=list(FUNCTIONS))
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 20), metavar=("FIRST", "END"))
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--batches", action="store_true")
    given = parser.parse_args()
    settings = dict(entry.split("=", 1) for entry in given.set)
    finished = done(given.out)
    for seed in range(*given.seeds):
        for function in given.functions:
            for name in given.methods:
                label = ", ".join([name, *given.set, *["in batches"] * given.batches])
                job = {
                    "method": label,
                    "function": function,
                    "n_trials": given.trials,
                    "n_workers": given.workers,
                    "seed": seed,
                }
                if key(job) not in finished:
                    session = Ours(name, settings, FUNCTIONS[function], seed)
                    recorded(given.out, job, session, version=tunewright.__version__, batches=given.batches)


if __name__ == "__main__":
    main()
