"""Methods on functions of many dimensions; ``perf/functions`` has other programs on such functions.

    python perf/models/many_dimensions.py run TuRBO,n_regions=3 ackley:40:400 --seeds 0 1 --workers 8 >> FILE
    python perf/models/many_dimensions.py table FILE ...
    python perf/models/many_dimensions.py decide TuRBO 20 40 --trials 100 500 1000

A run is FUNCTION:D:N with N evaluations in [-5, 10]^D; it gives one line of JSON. Results of several workers come in the order of the suggestions.
The table has medians over seeds of the best value after half and all of the evaluations, its least and largest value, CPU seconds of a run, and CPU
milliseconds of a suggestion: means over the 50 suggestions before numbers 100, 200, 500 and 1,000. ``decide`` prints CPU milliseconds of one suggestion after so many random
trials, with a fit from the prior and without, the least of three: the largest cost of a region without restarts.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # read by BLAS when it is loaded, below
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import argparse
import json
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from landscapes import FUNCTIONS

from tunewright.asktell import AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace

MARKS = (100, 200, 500, 1000)


def run(chosen: str, name: str, d: int, n: int, n_workers: int, seed: int) -> dict[str, object]:
    """Best values so far, one for each evaluation; no default configuration, whose value is often good."""
    metric = Metric("loss")
    benchmark = RealBenchmarkDefinition(
        name=name,
        script="none",
        space=SearchSpace({f"x{i}": Float(-5.0, 10.0) for i in range(d)}),
        metrics=(metric,),
        points_to_evaluate=(),
    )
    kind, *settings = chosen.split(",")
    spec = method(kind, **dict(pair.split("=", 1) for pair in settings))
    tuning = AskTell(build_scheduler(spec, benchmark, seed, {}), [metric])
    running, values, times = [], [], []
    for _ in range(n):
        while len(running) < n_workers:
            start = time.process_time()
            running.append(tuning.ask())
            times.append(time.process_time() - start)
        asked = running.pop(0)
        if asked is None:
            break
        values.append(FUNCTIONS[name](np.array(list(asked.config.values()))))
        tuning.tell(asked, {"loss": values[-1]}, 1)
        tuning.complete(asked)
    return {
        "program": chosen,
        "function": name,
        "d": d,
        "batch": n_workers,
        "seed": seed,
        "seconds": round(sum(times), 1),
        "ms": [round(1000 * float(np.mean(times[at - 50 : at])), 1) for at in MARKS if at <= n],
        "best": [float(f"{value:.6g}") for value in np.minimum.accumulate(values)],
    }


def decide(chosen: str, d: int, n: int) -> tuple[float, float]:
    """CPU milliseconds of a suggestion with a fit, and without."""
    metric = Metric("loss")
    benchmark = RealBenchmarkDefinition(
        name="ackley",
        script="none",
        space=SearchSpace({f"x{i}": Float(-5.0, 10.0) for i in range(d)}),
        metrics=(metric,),
        points_to_evaluate=(),
    )
    tuning = AskTell(build_scheduler(method("RandomSearch"), benchmark, 0, {}), [metric])
    for _ in range(n):
        asked = tuning.ask()
        if asked is None:
            break
        tuning.tell(asked, {"loss": FUNCTIONS["ackley"](np.array(list(asked.config.values())))}, 1)
        tuning.complete(asked)
    kind, *settings = chosen.split(",")
    spec = method(kind, **dict(pair.split("=", 1) for pair in settings))
    spent: list[list[float]] = [[], []]
    for _ in range(4):  # the first one also imports packages
        scheduler = build_scheduler(spec, benchmark, 0, {})
        for times in spent:
            start = time.process_time()
            scheduler.suggest(tuning.history)
            times.append(1000 * (time.process_time() - start))
    return min(spent[0][1:]), min(spent[1][1:])


def table(files: list[Path]) -> None:
    """Print the table of all runs in the files."""
    groups: dict[tuple[object, ...], list[dict]] = defaultdict(list)
    for file in files:
        for line in file.read_text().splitlines():
            one = json.loads(line)
            key = one["function"], one["d"], len(one["best"]), one["batch"], one["program"]
            groups[key].append(one)
    print("| function | evaluations | workers | program | seeds | half | all | range | s | ms |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for (name, d, n, batch, program), runs in sorted(groups.items(), key=str):
        best = np.array([one["best"] for one in runs])
        middle = np.median(best, axis=0)
        spent = np.mean([one["seconds"] for one in runs])
        late = " / ".join(f"{ms:.0f}" for ms in np.mean([one.get("ms", []) for one in runs], axis=0))
        print(
            f"| {name}, {d} | {n} | {batch} | {program} | {len(runs)} | {middle[n // 2 - 1]:.3g} | {middle[-1]:.3g} | "
            f"{best[:, -1].min():.3g} to {best[:, -1].max():.3g} | {spent:,.0f} | {late} |"
        )


def main() -> None:
    """Run, or print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    runs = commands.add_parser("run")
    runs.add_argument("method", metavar="METHOD[,NAME=VALUE...]")
    runs.add_argument("runs", nargs="+", metavar="FUNCTION:D:N")
    runs.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    runs.add_argument("--workers", type=int, default=4)
    tables = commands.add_parser("table")
    tables.add_argument("files", nargs="+", type=Path)
    decisions = commands.add_parser("decide")
    decisions.add_argument("method", metavar="METHOD[,NAME=VALUE...]")
    decisions.add_argument("dimensions", nargs="+", type=int)
    decisions.add_argument("--trials", nargs="+", type=int, default=[100, 500, 1000])
    given = parser.parse_args()
    if given.command == "decide":
        for d in given.dimensions:
            for n in given.trials:
                fitted, known = decide(given.method, d, n)
                print(f"d = {d}, {n} trials: {fitted:.0f} ms with a fit, {known:.0f} ms without", flush=True)
        return
    if given.command == "table":
        table(given.files)
        return
    for seed in given.seeds:
        for chosen in given.runs:
            name, d, n = chosen.split(":")
            print(json.dumps(run(given.method, name, int(d), int(n), given.workers, seed)), flush=True)


if __name__ == "__main__":
    main()
