"""Measure simulated experiments beside Syne Tune 0.13.0's simulator, the harness, and loading for analysis.

    python perf/simulation.py --peer ENVIRONMENT --peers ../shared/peers --data ../shared/data

ENVIRONMENT has Syne Tune 0.13.0; the other folders hold the script that runs it on a recorded table, and the tables.
Both sides tune the same task with the same limits, in turn, one process at a time; all figures are CPU time of the
experiment alone (imports are left out on both sides), and the smallest of the rounds is kept. Writes
``simulation.json`` beside this file.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

from tunewright.analysis import load
from tunewright.backends.simulated.config import SimulatedConfig
from tunewright.benchmarks.tables import simulated_benchmark
from tunewright.blackbox.adding import add_table
from tunewright.experiments import Experiment, Limits, method, run_plan
from tunewright.experiments.plan import run_cell
from tunewright.storage import ExperimentFolder, home

TASK, NAME, BUDGET = "126029", "lcbench-bank-marketing", 1630.0
METHODS = {
    "RandomSearch": ("RandomSearch", method("RandomSearch")),
    "ASHA-stopping": ("ASHA-stopping", method("ASHA", kind="stopping")),
    "ASHA-promotion": ("ASHA-promotion", method("ASHA", kind="promotion")),
}


def cell(label: str, seed: int = 0, *, n_workers: int = 4, **limits: Any) -> Experiment:
    """An experiment on the LCBench task."""
    return Experiment(
        tag="perf",
        benchmark=simulated_benchmark(NAME, n_workers=n_workers),
        method=METHODS[label][1],
        label=label,
        backend=SimulatedConfig(profile="ideal"),
        seed=seed,
        limits=Limits(**(limits or {"max_wallclock_time": BUDGET})),
    )


def ours(label: str, seed: int) -> tuple[float, int]:
    """CPU seconds and results of one experiment, everything included but the imports."""
    result = run_cell(cell(label, seed))
    return result.cpu_seconds, result.n_results


def theirs(options: argparse.Namespace, label: str, seed: int, clock: str) -> tuple[float, int]:
    """The same of Syne Tune."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "line.jsonl"
        command = [
            str(options.peer / "bin" / "python"),
            str(options.peers / "simulate_syne_tune_013.py"),
            *("--table", str(options.data / "lcbench_surrogate.npz"), "--task", TASK),
            *("--method", METHODS[label][0], "--seed", str(seed), "--clock", clock),
            *("--max_wallclock", str(BUDGET), "--out", str(out)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=options.peers)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        line = json.loads(out.read_text())
    if "error" in line:
        raise SystemExit(line["error"])
    return line["cpu_seconds"], line["n_results"]


def per_result(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Milliseconds per result of both sides, the smallest of the rounds."""
    found: dict[str, dict[str, list[float]]] = {label: {} for label in METHODS}
    for label in METHODS:
        ours(label, 99)  # opens the table
    gc.collect()
    gc.freeze()  # both as the harness's processes do
    gc.set_threshold(20_000)
    for seed in range(options.rounds):
        for label, times in found.items():
            sides = {
                "tunewright": ours(label, seed),
                "syne_tune": theirs(options, label, seed, "ideal"),
                "syne_tune_stock": theirs(options, label, seed, "stock"),
            }
            for side, (seconds, n_results) in sides.items():
                times.setdefault(side, []).append(1000 * seconds / n_results)
        print(f"round {seed + 1} of {options.rounds}", flush=True)
    return {label: {side: min(values) for side, values in times.items()} for label, times in found.items()}


def workers(rounds: int) -> dict[str, dict[str, float]]:
    """100,000 results of random search and of ASHA (promotion), with 4 and with 1,000 workers.

    Each in a process of its own, in turn: what one leaves in memory slows the next. Of the rounds the fastest is kept.
    """
    found: dict[str, dict[str, float]] = {}
    for _ in range(rounds):
        for label in ("RandomSearch", "ASHA-promotion"):
            for n_workers in (4, 1000):
                command = [sys.executable, __file__, "--many", label, str(n_workers)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                figures = json.loads(done.stdout.splitlines()[-1])
                name = f"{label}, {n_workers}"
                found[name] = min(found.get(name, figures), figures, key=lambda f: f["seconds"])
                print(name, figures, flush=True)
    return found


def many(label: str, n_workers: int) -> dict[str, float]:
    """One experiment of 100,000 results, as the harness's processes run it."""
    ours(label, 99)  # opens the table
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000)
    summary = run_cell(cell(label, n_workers=n_workers, max_num_evaluations=100_000))
    seconds = summary.tuning_seconds
    return {"seconds": seconds, "trials": summary.n_trials, "per_second": summary.n_results / seconds}


def overhead() -> dict[str, float]:
    """CPU seconds of a plan of 100 cells with the benchmark's limits in one process, and those that its tuners took."""
    own_limits: dict[str, Any] = {"max_wallclock_time": 7200.0, "max_num_evaluations": 4000}
    labels = ("RandomSearch", "ASHA-promotion")
    plan = [cell(label, seed, **own_limits) for seed in range(50) for label in labels]
    before, own = resource.getrusage(resource.RUSAGE_CHILDREN), time.process_time()
    cells = run_plan(plan, n_processes=1)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    children = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    total = children + time.process_time() - own
    tuning = sum(c.tuning_seconds for c in cells)
    return {"total": total, "tuning": tuning, "share": 1 - tuning / total}


def loading(n_experiments: int = 10_000, n_results: int = 200) -> dict[str, float]:
    """CPU seconds of loading stored experiments for the first time, and again."""
    source = run_cell(cell("ASHA-promotion", max_num_evaluations=n_results)).folder
    if source is None:
        raise SystemExit("the experiment could not begin")
    metadata, journal = source.metadata_path.read_bytes(), source.journal_path.read_bytes()
    for number in range(n_experiments):
        folder = ExperimentFolder(home() / "experiments" / "many" / f"many-{number:05}-20260101-000000-abcd")
        folder.path.mkdir(parents=True)
        folder.metadata_path.write_bytes(metadata)
        folder.journal_path.write_bytes(journal)
    found: dict[str, float] = {}
    for when in ("first", "again"):
        begin = time.process_time()
        results = load("many")
        found[when] = time.process_time() - begin
        found["results"] = results.n_results
    return found


def main() -> None:
    """Measure and write."""
    if sys.argv[1:2] == ["--many"]:  # a process of `workers`
        print(json.dumps(many(sys.argv[2], int(sys.argv[3]))))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path, required=True)
    parser.add_argument("--peers", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    for name in ("peer", "peers", "data"):
        setattr(options, name, getattr(options, name).absolute())
    with tempfile.TemporaryDirectory() as folder:
        os.environ["TUNEWRIGHT_HOME"] = folder
        add_table("lcbench", str(options.data / "lcbench_surrogate.npz"))
        found = {
            "ms_per_result": per_result(options),
            "100,000 results": workers(options.rounds),
            "harness": overhead(),
            "loading": loading(),
        }
    text = json.dumps(found, indent=2)
    Path(__file__).with_name("simulation.json").write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
