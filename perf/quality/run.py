"""Run methods on the peers' tables, in simulated time and with the peers' clock; one JSON line per run.

    python perf/quality/run.py --peers ../shared/peers --methods BO MOBSTER --seeds 0 10 --out ours.jsonl

The tasks, budgets and number of workers are those of a plan of the peers' folder. Runs that the output holds already
are skipped. ``--set name=value`` gives settings to all methods, ``--label`` is added to their names. The lines have the
form that the peers' ``summarise.py`` reads. Random numbers depend on the task and the seed, so that runs on different
tasks are independent draws (`task_seed`).
"""

# pyright: basic
from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by BLAS when it is loaded, below
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import json
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

from tables_of_peers import load_tables, task_seed

from tunewright.backends.simulated import SimulatedBackend, SimulatedConfig
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.history import History
from tunewright.interfaces import Callback, Scheduler
from tunewright.journal import MemoryJournal
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.space import Float, Integer, SearchSpace
from tunewright.stopping import MaxWallclockTime
from tunewright.trial import Result, Resume, Run, Start, TrialStatus, Verdict
from tunewright.tuner import Tuner


def search_space(table: Any) -> SearchSpace:
    """The table's space in our words."""
    kinds = {"int": Integer, "float": Float}
    return SearchSpace(
        {
            h["name"]: kinds[h["type"]](h["lower"], h["upper"], log=h["log"])
            for h in table.space["hyperparameters"]
        }
    )


class Metered(Scheduler):
    """Passes every call on and adds up the CPU time that deciding takes."""

    def __init__(self, inner: Scheduler) -> None:
        self.inner = inner
        self.seconds: list[float] = []

    def suggest(self, history: History) -> Start | Resume | None:
        start = time.process_time()
        suggestion = self.inner.suggest(history)
        self.seconds.append(time.process_time() - start)
        return suggestion

    def on_trial_start(self, history: History, run: Run) -> None:
        self.inner.on_trial_start(history, run)

    def on_trial_result(self, history: History, trial_id: int, result: Result) -> Verdict:
        return self.inner.on_trial_result(history, trial_id, result)

    def on_trial_end(self, history: History, trial_id: int, status: TrialStatus) -> None:
        self.inner.on_trial_end(history, trial_id, status)

    def resumable(self, history: History) -> Any:
        return self.inner.resumable(history)


class Curve(Callback):
    """The best value so far, whenever it improves."""

    def __init__(self, metric: str, top: int) -> None:
        self.metric, self.top = metric, top
        self.points: list[tuple[float, float]] = []
        self.full = 0

    def on_trial_result(self, history: History, trial_id: int, result: Result, verdict: Verdict) -> None:
        value = result.metrics[self.metric]
        self.full += result.resource == self.top
        if not self.points or value < self.points[-1][1]:
            self.points.append((round(result.time, 3), value))


def run(tables: Any, path: Path, job: dict[str, Any], name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """One experiment: its curve and what it took."""
    table = tables.load(path, job["task"])
    top, metric = table.space["max_resource"], table.space["metric"]

    @lru_cache(maxsize=64)
    def curve(items: tuple[tuple[str, Any], ...]) -> Any:
        values, elapsed = table.curve(dict(items))
        return values.tolist(), [0.0, *elapsed.tolist()]

    def train(config: Any, epoch: int) -> tuple[dict[str, float], float]:
        values, elapsed = curve(tuple(config.items()))
        return {metric: values[epoch - 1], "st_worker_time": elapsed[epoch]}, elapsed[epoch] - elapsed[
            epoch - 1
        ]

    benchmark = RealBenchmarkDefinition(
        name="table",
        script="none",
        space=search_space(table),
        metrics=(Metric(metric, table.space["mode"]),),
        max_resource=top,
        n_workers=job["n_workers"],
    )
    scheduler = Metered(
        build_scheduler(method(name, **settings), benchmark, task_seed(job["task"], job["seed"]), {})
    )
    watch = Curve(metric, top)
    wall, cpu = time.perf_counter(), time.process_time()
    history = Tuner(
        scheduler,
        SimulatedBackend(
            train, n_workers=job["n_workers"], max_resource=top, config=SimulatedConfig(profile="ideal")
        ),
        metrics=benchmark.metrics,
        stop_when=MaxWallclockTime(job["budget"]),
        journal=MemoryJournal(),
        callbacks=[watch],
    ).run()
    return job | {
        "library": "tunewright",
        "version": "main",
        "table": path.name,
        "clock": "ideal",
        "wall_seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "decision_seconds": round(sum(scheduler.seconds), 4),
        "longest_decision": round(max(scheduler.seconds), 4),
        "n_trials": history.n_trials,
        "n_results": history.n_results,
        "n_full": watch.full,
        "best": watch.points[-1][1],
        "curve": watch.points,
    }


def main() -> None:
    """Run what the arguments say."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peers", type=Path, default=Path("../shared/peers"))
    parser.add_argument("--plan", default="plan_network.json")
    parser.add_argument("--methods", nargs="+", required=True)
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 10), metavar=("FIRST", "END"))
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE")
    parser.add_argument("--label", default="")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    tables = load_tables(given.peers)
    plan = json.loads((given.peers / given.plan).read_text())
    settings = dict(pair.split("=", 1) for pair in given.set)
    lines = given.out.read_text().splitlines() if given.out.exists() else []
    done = {(r["method"], r["task"], r["seed"]) for r in map(json.loads, lines)}
    for seed in range(*given.seeds):
        for task in plan["tasks"]:
            for name in given.methods:
                label = method(name).name + given.label
                if (label, task["task"], seed) in done:
                    continue
                job = {k: task[k] for k in ("task", "budget")} | {
                    "method": label,
                    "seed": seed,
                    "n_workers": plan["n_workers"],
                }
                path = given.peers / plan["data"] / task["table"]
                record = run(tables, path, job, name, settings)
                with given.out.open("a") as file:
                    file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
