"""Jobs mode with four workers and ASHA (promotion) at the service's full times: runs an hour, starts, stops, requests.

    python perf/sagemaker/rate.py

Trials have 27 epochs of a second, virtual; everything around them takes what the emulator's tables of observed times say.
The stop is measured as the time until the service shows the job as over, which is when its instance can be used again:
once with our runner, asked through its control key, and once with a process that does not hear SIGTERM, stopped by
StopTrainingJob.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from played import JobPlay
from stand import KEYS, Stand, stand
from tuner import backend_of

from tunewright.interfaces import Backend
from tunewright.trial import Ended, Reported, Run


def hour(options: argparse.Namespace, folder: Path, *, warm_pool: bool) -> dict[str, Any]:
    """So many service minutes with or without warm pools."""
    with stand(folder, JobPlay, speed=options.speed, quota=8, warm_pools=8 if warm_pool else 0) as place:
        plan(place, options, warm_pool=warm_pool)
        process = place.tuner()
        try:
            process.wait()
        finally:
            process.kill()
        done = place.done()
        jobs = place.jobs()
        n_ended = sum(line["kind"] == "end" for line in place.lines())
        pools = [job for job in jobs if job.pool and job.pool.reused_by]
        reusers = {job.pool.reused_by for job in pools}
        starts = {True: [], False: []}
        for job in jobs:
            if (seconds := startup(job, options.speed)) is not None:
                starts[job.name in reusers].append(seconds)
        hours = options.minutes / 60
        return {
            "runs_per_hour": round(n_ended / hours, 1),
            "runs": n_ended,
            "trials": done["n_trials"],
            "warm_starts": done["warm_starts"],
            "warm_start_seconds": median(starts[True]),
            "cold_start_seconds": median(starts[False]),
            "calls_per_run": {name: round(n / done["n_runs"], 2) for name, n in done["calls"].items()},
            "tuner_cpu_per_service_second": round(done["cpu_seconds"] / (options.minutes * 60), 5),
        }


def plan(place: Stand, options: argparse.Namespace, *, warm_pool: bool, seconds: float = 1.0) -> None:
    """What is tuned."""
    place.plan(
        execution="jobs",
        name="rate",
        method="ASHA",
        seed=0,
        n_trials=None,
        wall=options.minutes * 60 / options.speed,
        n_workers=4,
        epochs=27,
        seconds=seconds,
        settings={"warm_pool": warm_pool, "min_interval": options.min_interval},
    )


def startup(job: Any, speed: float) -> float | None:
    """Service seconds from a job's creation to its training."""
    begun = next((step.start for step in job.transitions if step.status == "Training"), None)
    return None if begun is None else (begun - job.created) * speed


def median(values: Sequence[float]) -> float | None:
    """Rounded; None where there are none."""
    return round(statistics.median(values), 1) if values else None


def stops(options: argparse.Namespace, folder: Path) -> dict[str, float | None]:
    """Service seconds from a stop to the end of a job."""
    ours: list[float] = []
    deaf: list[float] = []
    for obeys in (True, False):
        name = folder / str(obeys)
        with stand(name, lambda *a, o=obeys: JobPlay(*a, obeys=o), speed=options.speed, quota=8) as place:
            plan(place, options, warm_pool=False, seconds=1000.0)
            os.environ.update(KEYS)
            backend = backend_of(json.loads((place.folder / "plan.json").read_text()))
            try:
                backend.attach(())
                for trial_id in range(options.stops):
                    seconds = stop(place, backend, trial_id, options.speed, obeys=obeys)
                    (ours if obeys else deaf).append(seconds)
            finally:
                backend.close()
    return {"our runner": median(ours), "deaf to SIGTERM": median(deaf)}


def stop(place: Stand, backend: Backend, trial_id: int, speed: float, *, obeys: bool) -> float:
    """Start a job, stop it when it trains, and wait until it is over."""
    config = {"x": 0.5, "y": 0.5, "epochs": 27, "seconds": 1000.0}
    backend.start(Run(trial_id=trial_id, attempt=0), config)
    job = None
    while job is None or job.secondary != "Training":
        backend.wait(0.05)
        job = next((job for job in place.jobs() if f"-{trial_id}-0-0" in job.name), None)
    began = time.time()
    if obeys:
        backend.stop(trial_id)
    else:
        place.emulator._engine.call(lambda: place.emulator._engine.stop(job.name))
    events: list[Reported | Ended] = []
    while not any(isinstance(event, Ended) for event in events):
        events += backend.wait(0.05)
    return (job.ended - began) * speed


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="service minutes of each experiment")
    parser.add_argument("--speed", type=float, default=20.0)
    parser.add_argument("--min_interval", type=float, default=0.1)
    parser.add_argument("--stops", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("rate.json"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rate-"))
    done: dict[str, Any] = {"service_minutes": options.minutes, "speed": options.speed}
    done["with warm pools"] = hour(options, folder / "warm", warm_pool=True)
    print(json.dumps(done, indent=1), flush=True)
    done["without warm pools"] = hour(options, folder / "cold", warm_pool=False)
    print(json.dumps(done["without warm pools"], indent=1), flush=True)
    done["seconds until a stopped job is over"] = stops(options, folder / "stops")
    print(json.dumps(done["seconds until a stopped job is over"], indent=1))
    options.out.write_text(json.dumps(done, indent=1) + "\n")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
