"""Trials of five seconds on an engine: requests per run, seconds from suggestion to first report, share of time that workers train.

``python perf/engines/measure.py ray jobs`` (or ``workers``; or ``slurm``) with flags of the backend after ``--``; a cluster runs already and
is found by its variables. ``--peer PYTHON`` measures Ray Tune on the same Ray cluster instead; PYTHON has ``ray[tune]`` of the cluster's version.
Each call prints a JSON line and keeps it in ``measured.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tunewright.events import EndEvent, ResultEvent, StartEvent
from tunewright.journal import read_events
from tunewright.storage import ExperimentFolder

HERE = Path(__file__).resolve().parent
STORED = HERE / "measured.json"
EPOCHS = 5
SPACE = f'epochs = {EPOCHS}\n[x]\ntype = "float"\nlow = 0.0\nhigh = 1.0\n'

Times = list[tuple[float, float, float]]
"""Of each trial: start, first report and end, in seconds since 1970."""


def ours(
    backend: str, execution: str, n_trials: int, n_workers: int, flags: Sequence[str]
) -> dict[str, object]:
    """Run an experiment by the command line, and read its journal."""
    with tempfile.TemporaryDirectory(prefix="tw-engines-") as home:
        (Path(home) / "space.toml").write_text(SPACE)
        command = [sys.executable, "-m", "tunewright", "tune", str(HERE / "train.py")]
        command += ["--space", f"{home}/space.toml", "--metric", "loss", "--resource", "epoch"]
        command += [
            "--method",
            "RandomSearch",
            "--backend",
            backend,
            "--price_per_hour",
            "1",
            "--experiment_tag",
            "e",
        ]
        command += ["--max_num_trials", str(n_trials), "--n_workers", str(n_workers), *flags]
        if execution == "workers":
            command += ["--execution", "workers"]
        environment = {**os.environ, "TUNEWRIGHT_HOME": home}
        began = time.time()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{done.stdout}\n{done.stderr}")
        (folder,) = (Path(home) / "experiments" / "e").iterdir()
        times = _journaled(ExperimentFolder(folder))
        account = json.loads((folder / "account.json").read_text())
    return {**figures(times, n_workers, began), "requests_per_run": _per_run(account["calls"], len(times))}


def peer(python: str, n_trials: int, n_workers: int) -> dict[str, object]:
    """Run Ray Tune with the same trials."""
    command = [python, str(HERE / "peer.py"), str(n_trials), str(n_workers), str(EPOCHS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{done.stdout}\n{done.stderr}")
    (line,) = (one for one in done.stdout.splitlines() if one.startswith('{"began"'))
    seen = json.loads(line)
    return figures([tuple(one) for one in seen["trials"]], n_workers, seen["began"])


def figures(times: Times, n_workers: int, began: float) -> dict[str, object]:
    """Rates and waits of trials; "after_start" from the first report of the last of the first workers to the last start.

    Parameters
    ----------
    times
        Start, first report and end of each trial.
    n_workers
        Trials at the same time.
    began
        When the command began.
    """
    first, last = min(one[0] for one in times), max(one[2] for one in times)
    waits = sorted(reported - started - 1.0 for started, reported, _ in times)
    later = sorted(reported - started - 1.0 for started, reported, _ in sorted(times)[n_workers:])
    all_train = max(reported for _, reported, _ in sorted(times)[:n_workers])
    last_start = max(started for started, _, _ in times)
    n_between = sum(all_train < ended <= last_start for _, _, ended in times)
    between = n_between / (last_start - all_train) if n_between else 0.0
    return {
        "trials": len(times),
        "workers": n_workers,
        "wall": round(last - first, 1),
        "from_command": round(last - began, 1),
        "per_minute": round(60 * len(times) / (last - first), 1),
        "per_minute_after_start": round(60 * between, 1),
        "busy_after_start": round(EPOCHS * between / n_workers, 3),
        "busy": round(EPOCHS * len(times) / (n_workers * (last - first)), 3),
        "first_report": round(waits[len(waits) // 2], 2),
        "first_report_later": round(later[len(later) // 2], 2) if later else None,
        "load": round(os.getloadavg()[0], 1),
    }


def _journaled(folder: ExperimentFolder) -> Times:
    started: dict[int, float] = {}
    reported: dict[int, float] = {}
    ended: dict[int, float] = {}
    for event in read_events(folder.journal_path):
        if isinstance(event, StartEvent):
            started[event.trial_id] = event.wall
        elif isinstance(event, ResultEvent):
            reported.setdefault(event.trial_id, event.wall)
        elif isinstance(event, EndEvent):
            ended[event.trial_id] = event.wall
    return [(started[trial], reported[trial], ended[trial]) for trial in ended]


def _per_run(calls: dict[str, int], n_runs: int) -> dict[str, float]:
    return {"all": round(sum(calls.values()) / n_runs, 2)} | {
        name: round(number / n_runs, 2) for name, number in calls.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("backend", choices=["ray", "slurm"])
    parser.add_argument("execution", choices=["jobs", "workers", "peer"])
    parser.add_argument("--peer", metavar="PYTHON")
    parser.add_argument("--trials", type=int, default=48)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("flags", nargs="*", help="of the backend, after --")
    options = parser.parse_args()
    if options.execution == "peer":
        measured = peer(options.peer, options.trials, options.workers)
    else:
        measured = ours(options.backend, options.execution, options.trials, options.workers, options.flags)
    stored = json.loads(STORED.read_text()) if STORED.exists() else {}
    stored[f"{options.backend} {options.execution}"] = measured
    STORED.write_text(json.dumps(stored, indent=2) + "\n")
    print(json.dumps(measured))


if __name__ == "__main__":
    main()
