"""Four workers and ASHA (promotion) at the service's times: runs an hour, starts, stops, and requests by operation.

    python perf/sagemaker/rate.py --peer PEER_VENV/bin/python

Jobs mode with and without warm pools, and workers mode. Trials have up to 27 epochs of a second, virtual; everything around
them takes what the emulator's tables of observed times say. ``--peer`` lets Syne Tune 0.13.0 do the same work with its own
SageMaker backend (``peer.py``), on the same emulator. All run on a virtual clock (``virtual.py``): the machine and its load
do not matter, and computing and requests take no time, of which the peer needs more. What is counted is what the emulator
sees from the first job's creation on: jobs that trained and are over (in workers mode: trainings that are over), and all
requests until then.

A stop is measured as the time until the job's processes are gone, and the service's upload after that: once with our runner,
asked through its control key, and once with a process that does not hear SIGTERM, stopped by StopTrainingJob.
"""

from __future__ import annotations

# isort: off
from peer_stand import (
    CLOCK,
    SDK_SETTINGS,
    SOCKET,
    Desk,
    PrintingPlay,
    virtual_stand,
)  # first, as it changes the clock

# isort: on
import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from direct import DirectS3
from played import JobPlay, Stage, WorkersPlay
from stand import KEYS, Stand
from tuner import backend_of

from sagemaker_emulator.service.executor import JobOrder
from sagemaker_emulator.service.scripted import ScriptedJob
from tunewright.events import ResultEvent
from tunewright.interfaces import Backend
from tunewright.trial import Ended, Reported, Run

CASES = ("ours warm", "ours cold", "ours workers", "peer warm", "peer cold", "stops")
LOOK_MINUTES = 5.0
HERE = Path(__file__).parent


def hour(options: argparse.Namespace, folder: Path, who: str, mode: str) -> dict[str, Any]:
    """So many service minutes of ``ours`` or ``peer``: of jobs, ``warm`` or ``cold``, or of ``workers``."""
    is_peer = who == "peer"
    seen: list[Seen] = []

    def cast(order: JobOrder, client: DirectS3, stage: Stage, desk: Desk) -> ScriptedJob:
        if not seen:
            seen.append(Seen(place, desk, options.minutes))
        if is_peer:
            return PrintingPlay(order, client, stage, desk)
        return (WorkersPlay if mode == "workers" else JobPlay)(order, client, stage)

    with virtual_stand(folder, cast, quota=8, warm_pools=8 if mode == "warm" else 0) as (place, desk):
        plan(place, options, mode)
        (folder / "sagemaker.json").write_text(json.dumps(SDK_SETTINGS))
        interpreter, program = (options.peer, "peer.py") if is_peer else (sys.executable, "tuner.py")
        process = place.tuner(
            interpreter, str(HERE / "virtual_client.py"), str(folder / SOCKET), str(HERE / program)
        )
        try:
            process.wait()
        finally:
            process.kill()
        if place.stage.errors:
            raise SystemExit(place.stage.errors[0])
        done = place.done()
        facts = counted(place.jobs(), seen[0])
        facts["trials"] = done["n_trials"]
        facts["tuner_cpu_seconds_a_run"] = round(done["cpu_seconds"] / facts["runs"], 3)
        if is_peer:
            facts |= {"reports_printed": desk.n_printed, "error": done["error"]}
            facts["reports_heard"] = done["n_results"]
        else:
            facts["reports_heard"] = sum(isinstance(event, ResultEvent) for event in place.events())
        return facts


class Seen:
    """Requests so far, refused ones and seconds of training, at the end of the measured time; what is known is shown before.

    Parameters
    ----------
    place, desk
        What is measured.
    minutes
        Of the measured time, which began with the first job.
    """

    def __init__(self, place: Stand, desk: Desk, minutes: float) -> None:
        self._place = place
        self._desk = desk
        self._end = minutes
        self._first = min(job.created for job in place.emulator._engine.jobs.values())
        self.minutes = 0.0
        self._wait()

    @property
    def until(self) -> float:
        """Second since 1970 of the last look."""
        return self._first + 60 * self.minutes

    def _wait(self) -> None:
        minutes = min(self.minutes + LOOK_MINUTES, self._end)
        if minutes > self.minutes:
            when = self._first + 60 * minutes - CLOCK.since
            self._place.stage.at(when, lambda: self._look(minutes))

    def _look(self, minutes: float) -> None:
        self.minutes = minutes
        calls, self.throttled = self._place.traffic()
        self.calls = Counter(calls) + self._desk.counts
        self.runs = list(self._place.stage.busy)
        facts = counted(list(self._place.emulator._engine.jobs.values()), self)
        print(f"{minutes:g} minutes:", json.dumps(facts), file=sys.stderr, flush=True)
        self._wait()


def counted(jobs: Sequence[Any], seen: Seen) -> dict[str, Any]:
    """What the emulator's jobs and requests say."""
    over = [job for job in jobs if job.ended is not None and job.ended <= seen.until]
    n_runs = sum(startup(job) is not None and job.status != "Failed" for job in over) or len(seen.runs)
    reusers = {job.pool.reused_by for job in jobs if job.pool and job.pool.reused_by}
    starts: dict[bool, list[float]] = {True: [], False: []}
    for job in jobs:
        if (seconds := startup(job)) is not None:
            starts[job.name in reusers].append(seconds)
    return {
        "runs_per_hour": round(n_runs / (seen.minutes / 60), 1),
        "runs": n_runs,
        "jobs": dict(Counter(job.status for job in over)),
        "warm_starts": len(starts[True]),
        "warm_start_seconds": median(starts[True]),
        "cold_start_seconds": median(starts[False]),
        "seconds_from_training_to_over": median([ending(job) for job in over]),
        "seconds_of_training_a_run": round(sum(seen.runs) / max(1, len(seen.runs)), 2),
        "share_of_workers_that_train": round(sum(seen.runs) / (4 * seen.minutes * 60), 3),
        "calls_per_run": {name: round(n / max(1, n_runs), 2) for name, n in sorted(seen.calls.items())},
        "calls_per_run_in_all": round(seen.calls.total() / max(1, n_runs), 1),
        "throttled": seen.throttled,
    }


def plan(place: Stand, options: argparse.Namespace, mode: str, seconds: float = 1.0) -> None:
    """What is tuned; the tuner goes on for a little longer than what is counted."""
    place.plan(
        execution="workers" if mode == "workers" else "jobs",
        name="rate",
        method="ASHA",
        seed=options.seed,
        n_trials=None,
        wall=options.minutes * 60 + 10.0,
        n_workers=4,
        epochs=27,
        seconds=seconds,
        settings={"warm_pool": mode == "warm"},
    )


def startup(job: Any) -> float | None:
    """Seconds from a job's creation to its training."""
    begun = next((step.start for step in job.transitions if step.status == "Training"), None)
    return None if begun is None else begun - job.created


def ending(job: Any) -> float:
    """Seconds from the end of a job's training, or the wish to stop it, to the end of the job."""
    return job.ended - next((step.end for step in job.transitions if step.status == "Training"), job.ended)


def median(values: Sequence[float]) -> float | None:
    """Rounded; None where there are none."""
    return round(statistics.median(values), 1) if values else None


def stops(options: argparse.Namespace, folder: Path) -> dict[str, dict[str, float | None]]:
    """Seconds from a stop on: until the job's processes are gone, and of the service's upload after that."""
    found: dict[str, dict[str, float | None]] = {}
    for name, obeys in (("our runner", True), ("deaf to SIGTERM", False)):
        with virtual_stand(
            folder / str(obeys),
            lambda order, client, stage, _, obeys=obeys: JobPlay(order, client, stage, obeys=obeys),
            quota=8,
        ) as (place, _):
            plan(place, options, "cold", seconds=1000.0)
            os.environ.update(KEYS)
            backend = backend_of(json.loads((place.folder / "plan.json").read_text()))
            try:
                backend.attach(())
                seconds = [stop(place, backend, n, obeys=obeys) for n in range(options.stops)]
            finally:
                backend.close()
        processes, uploads = zip(*seconds, strict=True)
        found[name] = {"until the processes are gone": median(processes), "upload": median(uploads)}
    return found


def stop(place: Stand, backend: Backend, trial_id: int, *, obeys: bool) -> tuple[float, float]:
    """Start a job, stop it some time after it began to train, and wait until it is over."""
    config = {"x": 0.5, "y": 0.5, "epochs": 27, "seconds": 1000.0}
    backend.start(Run(trial_id=trial_id, attempt=0), config)
    job = None
    while job is None or job.secondary != "Training":
        backend.wait(1.0)
        job = next((job for job in place.jobs() if f"-{trial_id}-0-0" in job.name), None)
    backend.wait(10.0 + 0.37 * trial_id)  # another moment between two looks of the runner each time
    began = time.time()
    if obeys:
        backend.stop(trial_id)
    else:
        place.emulator._engine.call(lambda: place.emulator._engine.stop(job.name))
    events: list[Reported | Ended] = []
    while not any(isinstance(event, Ended) for event in events):
        events += backend.wait(1.0)
    upload = next(step.start for step in job.transitions if step.status == "Uploading")
    return upload - began, job.ended - upload


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=40.0, help="service minutes of each experiment")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stops", type=int, default=20)
    parser.add_argument(
        "--peer", help="interpreter with Syne Tune 0.13.0 and SageMaker's SDK 2; without it ours alone"
    )
    parser.add_argument("--cases", nargs="+", choices=CASES, help="these only, added to what --out holds")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("rate.json"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rate-"))
    done: dict[str, Any] = json.loads(options.out.read_text()) if options.cases else {}
    for case in options.cases or CASES:
        who, _, mode = case.partition(" ")
        if who == "peer" and not options.peer:
            continue
        place = folder / case.replace(" ", "-")
        if case == "stops":
            done["seconds from a stop on"] = stops(options, place)
        else:
            done[case] = {"service_minutes": options.minutes} | hour(options, place, who, mode)
        print(json.dumps(done, indent=1), flush=True)
        options.out.write_text(json.dumps(done, indent=1) + "\n")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
