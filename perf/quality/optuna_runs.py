"""Run Optuna's TPE with its Hyperband pruner on the peers' tables; one JSON line per run, of the form of ``run.py``.

    python perf/quality/optuna_runs.py --peers ../shared/peers --seeds 0 10 --out optuna.jsonl

All settings of Optuna are its defaults; epochs are its resource. The workers of the plan run side by side in simulated time
without delays, and seconds of deciding are not charged: each asks for a trial, reports every epoch when it ends, and
asks for the next one when its trial is pruned or done.
"""

# pyright: basic
from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by BLAS when it is loaded, below
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import heapq
import json
import time
from pathlib import Path
from typing import Any

import optuna
from run import load_tables, task_seed

METHOD = "Optuna TPE-Hyperband"


class Watched:
    """A study over one table, the CPU seconds that it takes to decide, and the best value so far."""

    def __init__(self, table: Any, study: optuna.Study) -> None:
        self.table, self.study = table, study
        self.seconds: list[float] = []
        self.points: list[tuple[float, float]] = []
        self.n_results = self.n_full = 0

    def asked(self) -> tuple[optuna.Trial, list[float], list[float]]:
        """A new trial, its values and its cumulative seconds."""
        start = time.process_time()
        trial = self.study.ask()
        config: dict[str, float] = {}
        for h in self.table.space["hyperparameters"]:
            suggest = trial.suggest_int if h["type"] == "int" else trial.suggest_float
            config[h["name"]] = suggest(h["name"], h["lower"], h["upper"], log=h["log"])
        self.seconds.append(time.process_time() - start)
        values, elapsed = self.table.curve(config)
        return trial, values.tolist(), elapsed.tolist()

    def goes_on(self, trial: optuna.Trial, value: float, epoch: int, now: float) -> bool:
        """Report a value; whether the trial has another epoch to run."""
        self.n_results += 1
        if not self.points or value < self.points[-1][1]:
            self.points.append((round(now, 3), value))
        start = time.process_time()
        trial.report(value, epoch)
        is_done, is_pruned = epoch == self.table.space["max_resource"], trial.should_prune()
        if is_done:
            self.study.tell(trial, value)
            self.n_full += 1
        elif is_pruned:
            self.study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        self.seconds[-1] += time.process_time() - start
        return not is_done and not is_pruned


def run(tables: Any, path: Path, job: dict[str, Any]) -> dict[str, Any]:
    """One experiment: its curve and what it took."""
    table = tables.load(path, job["task"])
    study = optuna.create_study(
        study_name=f"{job['task']}-{job['seed']}",  # the pruner draws brackets by it
        sampler=optuna.samplers.TPESampler(seed=task_seed(job["task"], job["seed"]) % 2**32),
        pruner=optuna.pruners.HyperbandPruner(max_resource=table.space["max_resource"]),
    )
    watch, wall, cpu = Watched(table, study), time.perf_counter(), time.process_time()
    events: list[
        tuple[float, int, int, float, Any]
    ] = []  # when, worker, epoch, when the trial began, the trial

    def begin(worker: int, now: float) -> None:
        trial = watch.asked()
        heapq.heappush(events, (now + trial[2][0], worker, 1, now, trial))

    for worker in range(job["n_workers"]):
        begin(worker, 0.0)
    while events[0][0] <= job["budget"]:
        now, worker, epoch, began, (trial, values, elapsed) = heapq.heappop(events)
        if watch.goes_on(trial, values[epoch - 1], epoch, now):
            heapq.heappush(
                events, (began + elapsed[epoch], worker, epoch + 1, began, (trial, values, elapsed))
            )
        else:
            begin(worker, now)
    return job | {
        "library": "optuna",
        "version": optuna.__version__,
        "table": path.name,
        "clock": "ideal",
        "wall_seconds": round(time.perf_counter() - wall, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "decision_seconds": round(sum(watch.seconds), 4),
        "n_trials": len(study.trials),
        "n_results": watch.n_results,
        "n_full": watch.n_full,
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
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 10), metavar=("FIRST", "END"))
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tables = load_tables(given.peers)
    plan = json.loads((given.peers / given.plan).read_text())
    lines = given.out.read_text().splitlines() if given.out.exists() else []
    done = {(r["task"], r["seed"]) for r in map(json.loads, lines)}
    for seed in range(*given.seeds):
        for task in plan["tasks"]:
            if (task["task"], seed) in done:
                continue
            job = {k: task[k] for k in ("task", "budget")} | {
                "method": METHOD,
                "seed": seed,
                "n_workers": plan["n_workers"],
            }
            record = run(tables, given.peers / plan["data"] / task["table"], job)
            with given.out.open("a") as file:
                file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
