"""Fifty workers with real processes over moto's S3: how many train, and what lies between two runs.

    python perf/sagemaker/real.py

The scripts sleep for 20 to 40 s in three epochs, so that the machine's CPUs are free for what is measured: worker processes,
a run's own process and its script, the emulator with moto, and the tuner, all of them real. Seconds are real ones but for the
start of the jobs, which is the service's divided by ``--speed``. The share of busy workers is the time that scripts spent in
their epochs, of all workers' time between the moment at which the last worker began its first run and the end.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from stand import KEYS
from tuner import DONE, JOURNAL, PLAN, SAMPLES

from tunewright.events import EndEvent, ResultEvent
from tunewright.journal import read_events
from tunewright.trial import TrialStatus

SCRIPT = '''\
"""Trains nothing: sleeps for each epoch and reports it."""

import argparse
import time

import tunewright

began = time.time()
parser = argparse.ArgumentParser()
for name in ("x", "y", "seconds"):
    parser.add_argument(f"--{name}", type=float)
parser.add_argument("--epochs", type=int)
given = parser.parse_args()
report = tunewright.Reporter()
for epoch in range(1, given.epochs + 1):
    time.sleep(given.seconds)
    away = (given.x - 0.3) ** 2 + (given.y - 0.7) ** 2
    report(epoch=epoch, accuracy=1.0 - away - 0.3 / (epoch + 1), began=began, now=time.time())
'''


@contextmanager
def emulator(folder: Path, options: argparse.Namespace) -> Generator[str]:
    """The emulator in a process of its own; its address."""
    state = folder / "state.json"
    command = [
        str(Path(sys.executable).with_name("sagemaker-emulator")),
        "serve",
        "--dir",
        str(folder / "emulator"),
    ]
    command += ["--speed", str(options.speed), "--quota", f"ml.c5.xlarge={options.n_workers}"]
    command += ["--access_key", KEYS["AWS_ACCESS_KEY_ID"], "--secret_key", KEYS["AWS_SECRET_ACCESS_KEY"]]
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen([*command, "--state_file", str(state)], stdout=log, stderr=log)
    try:
        while not state.exists() and process.poll() is None:
            time.sleep(0.05)
        yield json.loads(state.read_text())["url"]
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run the experiment; what it comes to."""
    source = folder / "source"
    source.mkdir()
    (source / "train.py").write_text(SCRIPT)
    loads: list[float] = []
    with emulator(folder, options) as url:
        plan = {
            "url": url,
            "script": str(source / "train.py"),
            "execution": "workers",
            "name": "real",
            "method": "RandomSearch",
            "seed": 0,
            "n_trials": None,
            "wall": options.minutes * 60,
            "n_workers": options.n_workers,
            "epochs": 3,
            "seconds": [20.0 / 3, 40.0 / 3],
            "settings": {"max_run": 3600, "close_seconds": 60.0 * options.speed},
            "workers": {},
            "sample_seconds": 1.0,
        }
        (folder / PLAN).write_text(json.dumps(plan))
        command = [sys.executable, str(Path(__file__).with_name("tuner.py")), str(folder)]
        with (folder / "tuner.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **KEYS})
        ended = time.time() + options.minutes * 60
        try:
            while process.poll() is None:
                time.sleep(1.0)
                loads.append(psutil.getloadavg()[0])
        finally:
            process.kill()
            process.wait()
    if not (folder / DONE).exists():
        raise SystemExit(f"The tuner did not come to its end; see {folder / 'tuner.log'}")
    return {**figures(folder, options, ended), "load": round(statistics.fmean(loads), 1)}


def figures(folder: Path, options: argparse.Namespace, ended: float) -> dict[str, Any]:
    """What was measured."""
    ends: list[EndEvent] = []
    epochs: dict[tuple[int, int, int], list[tuple[float, float]]] = {}
    for event in read_events(folder / JOURNAL):
        if isinstance(event, EndEvent):
            ends.append(event)
        elif isinstance(event, ResultEvent):
            run = (event.trial_id, event.attempt, event.retry)
            epochs.setdefault(run, []).append((event.metrics["began"], event.metrics["now"]))
    runs = sorted((times[0][0], times[-1][1]) for times in epochs.values())
    full = runs[options.n_workers - 1][0]
    until = max(end for _, end in runs)
    until = min(until, ended)
    busy = sum(max(0.0, min(end, until) - max(begin, full)) for begin, end in runs)
    samples = [json.loads(line) for line in (folder / SAMPLES).read_text().splitlines()]
    late = [line for line in samples if full <= line["wall"] <= until]
    done = json.loads((folder / DONE).read_text())
    return {
        "n_workers": options.n_workers,
        "speed": options.speed,
        "seconds_measured": round(until - full),
        "share_busy": round(busy / (options.n_workers * (until - full)), 4),
        "runs_ended": len(ends),
        "seconds_between_runs": gaps(runs, options.n_workers),
        "calls": done["calls"],
        "tuner_cpu_per_second": round(
            (late[-1]["cpu"] - late[0]["cpu"]) / (late[-1]["wall"] - late[0]["wall"]), 4
        ),
        "failed": sum(end.status is TrialStatus.FAILED for end in ends),
    }


def gaps(runs: list[tuple[float, float]], n_workers: int) -> dict[str, float]:
    """Seconds from the end of a script to the beginning of the next: the k-th end and the begin that takes its place."""
    begins = [begin for begin, _ in runs][n_workers:]
    ends = sorted(end for _, end in runs)[: len(begins)]
    between = sorted(begin - end for begin, end in zip(begins, ends, strict=True))
    if not between:
        return {}
    return {
        "median": round(statistics.median(between), 2),
        "mean": round(statistics.fmean(between), 2),
        "90 %": round(between[int(0.9 * len(between))], 2),
    }


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n_workers", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=8.0, help="real minutes")
    parser.add_argument("--speed", type=float, default=1.0, help="of the service, but not of training")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("real.json"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="real-"))
    done = measure(folder, options)
    print(json.dumps(done, indent=1))
    options.out.write_text(json.dumps(done, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
