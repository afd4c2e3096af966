"""Fault storm: trials in virtual jobs while everything goes wrong, and the tuner is killed three times.

    python perf/sagemaker/storm.py --seeds 0 1 2

What must hold at the end: every trial and every epoch is in the journal once with the right value, no job runs and no
instance is held, and the best trial is that of an undisturbed run (random search; the order of events decides about
the trials of ASHA). Exit code 1 and a list where it does not.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from played import accuracy
from scale import cast
from stand import Every, Stand, stand, wait_for
from tuner import METRICS, scheduler_of

from sagemaker_emulator.service.faults import Fault
from tunewright.asktell import AskTell
from tunewright.events import EndEvent, ResultEvent, StartEvent
from tunewright.trial import TrialStatus


def faults(execution: str) -> list[Fault]:
    """What goes wrong all the time; jobs of workers are few and long, so that more of them are lost, and later."""
    often: dict[str, Any] = {"count": None}
    error, interruption, seconds = (0.05, 0.10, 0.2) if execution == "jobs" else (0.5, 0.5, 5.0)
    return [
        Fault(kind="capacity", target="*", probability=0.05, **often),
        Fault(kind="internal_error", target="*", probability=error, seconds=seconds, **often),
        Fault(kind="spot_interruption", target="*", probability=interruption, seconds=seconds, **often),
        Fault(kind="lost_answer", target="*", probability=0.02, **often),
        Fault(kind="s3_error", target="*", probability=0.01, **often),
        Fault(kind="stale", target="*", probability=0.1, seconds=5.0, **often),
    ]


def storm(folder: Path, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """One run; what became of it."""
    began = time.time()
    with stand(
        folder, cast, speed=options.speed, quota=2 * options.n_workers, faults=faults(options.execution)
    ) as place:
        plan = {
            "execution": options.execution,
            "workers": {"shortest_lease": 2.0, "shortest_idle": 3.0},
            "name": f"storm-{seed}",
            "method": options.method,
            "seed": seed,
            "n_trials": options.trials,
            "n_workers": options.n_workers,
            "epochs": 9,
            "seconds": 5.0,
            "settings": {
                "spot": not options.on_demand,
                "min_interval": options.min_interval,
                "checkpoint_seconds": 10.0 / options.speed,
                "max_retries": 30,
            },
        }
        place.plan(**plan)
        storms = Every(options.storm_pause, lambda: place.storm(options.storm_pause / 8))
        n_kills = _run(place, options)
        storms.close()
        wrong = check(place, plan)
        done = place.done()
        statuses = dict(place.statuses())
        errors = place.stage.errors
    return {
        "seed": seed,
        "execution": options.execution,
        "method": options.method,
        "spot": not options.on_demand,
        "trials": options.trials,
        "wrong": wrong + errors[:3],
        "kills": n_kills,
        "real_seconds": round(time.time() - began),
        "jobs": statuses,
        "n_runs": done["n_runs"],
        "results": sum(isinstance(event, ResultEvent) for event in place.events()),
        "interruptions": done["interruptions"],
        "calls": done["calls"],
        "notices": done["notices"],
    }


def _run(place: Stand, options: argparse.Namespace) -> int:
    """Run the tuner to its end, killed on its way."""
    process = place.tuner()
    n_kills = 0
    try:
        for part in range(1, options.kills + 1):
            goal = options.trials * part // (options.kills + 1)
            wait_for(lambda goal=goal: place.n_ended() >= goal, process)
            if process.poll() is None:
                process.kill()
                n_kills += 1
                process.wait()
                process = place.tuner()
        process.wait()
    finally:
        process.kill()
        process.wait()
    return n_kills


def check(place: Stand, plan: dict[str, Any]) -> list[str]:
    """What is wrong; empty where nothing is."""
    events = list(place.events())
    starts = [event for event in events if isinstance(event, StartEvent)]
    ends = [event for event in events if isinstance(event, EndEvent)]
    results = [event for event in events if isinstance(event, ResultEvent)]
    wrong = [
        *_twice("run begun", Counter((start.trial_id, start.attempt) for start in starts)),
        *_twice("run ended", Counter((end.trial_id, end.attempt) for end in ends)),
        *_twice("report", Counter((one.trial_id, one.attempt, one.retry, one.seq) for one in results)),
    ]
    accepted = [result for result in results if result.is_accepted]
    wrong += _twice("result", Counter((result.trial_id, result.resource) for result in accepted))
    begun, over = ({(event.trial_id, event.attempt) for event in side} for side in (starts, ends))
    wrong += [f"run {run} never ended" for run in sorted(begun - over)]
    wrong += [f"{end.trial_id} failed: {end.error}" for end in ends if end.status is TrialStatus.FAILED]
    trials = {start.trial_id: start.config for start in starts}
    if len(trials) != plan["n_trials"]:
        wrong.append(f"{len(trials)} trials instead of {plan['n_trials']}")
    for result in results:
        if result.metrics["accuracy"] != accuracy(dict(trials[result.trial_id]), result.resource):
            wrong.append(f"a wrong value: {result}")
    wrong += _gaps(accepted, ends, plan)
    wrong += _best(accepted, plan)
    running = [job.name for job in place.jobs() if not job.is_over]
    wrong += [f"job {name} still runs" for name in running]
    if place.n_instances():
        wrong.append(f"{place.n_instances()} instances are still held")
    return wrong


def _twice(what: str, counts: Counter[Any]) -> list[str]:
    return [f"{what} {key} {n} times" for key, n in counts.items() if n > 1]


def _gaps(accepted: list[ResultEvent], ends: list[EndEvent], plan: dict[str, Any]) -> list[str]:
    """Trials of which an epoch is missing."""
    epochs: dict[int, list[int]] = {}
    for result in accepted:
        epochs.setdefault(result.trial_id, []).append(result.resource)
    wrong = [
        f"trial {trial} has the epochs {seen}"
        for trial, seen in epochs.items()
        if sorted(seen) != list(range(1, max(seen) + 1))
    ]
    whole = {end.trial_id for end in ends if end.status is TrialStatus.COMPLETED}
    if plan["method"] == "RandomSearch":
        whole = set(range(plan["n_trials"]))
    return wrong + [
        f"trial {trial} was not trained to its end"
        for trial in whole
        if max(epochs.get(trial, [0])) < plan["epochs"]
    ]


def _best(accepted: list[ResultEvent], plan: dict[str, Any]) -> list[str]:
    """Whether the best value is that of an undisturbed run."""
    if plan["method"] != "RandomSearch":
        return []
    teller = AskTell(scheduler_of(plan), metric=METRICS)
    values: list[float] = []
    for _ in range(plan["n_trials"]):
        asked = teller.ask()
        if asked is not None:
            values.append(accuracy(dict(asked.config), plan["epochs"]))
    found = max(result.metrics["accuracy"] for result in accepted) if accepted else None
    return [] if found == max(values) else [f"the best is {found}, undisturbed it is {max(values)}"]


def main() -> int:
    """Run the storms."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--n_workers", type=int, default=200)
    parser.add_argument("--method", choices=["RandomSearch", "ASHA"], default="RandomSearch")
    parser.add_argument("--execution", choices=["jobs", "workers"], default="jobs")
    parser.add_argument("--on_demand", action="store_true", help="no spot instances: no interruptions either")
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--speed", type=float, default=20.0)
    parser.add_argument("--min_interval", type=float, default=0.25)
    parser.add_argument(
        "--storm_pause", type=float, default=8.0, help="real seconds between two storms of an eighth of that"
    )
    parser.add_argument("--folder", type=Path, help="kept, where it is given")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("storm.json"))
    options = parser.parse_args()
    done: list[dict[str, Any]] = []
    for seed in options.seeds:
        folder = (
            Path(tempfile.mkdtemp(prefix="storm-")) if options.folder is None else options.folder / str(seed)
        )
        one = storm(folder, seed, options)
        done.append(one)
        print(json.dumps({**one, "notices": len(one["notices"])}), flush=True)
        if options.folder is None and not one["wrong"]:
            shutil.rmtree(folder)
    options.out.write_text(json.dumps(done, indent=1) + "\n")
    return 1 if any(one["wrong"] for one in done) else 0


if __name__ == "__main__":
    sys.exit(main())
