"""A thousand workers and trials of 15 to 45 s (30 s on average), in jobs mode and in workers mode: how many train, and what it takes.

    python perf/sagemaker/scale.py --execution workers jobs

Times are the service's; its request rates are the published ones, and what it refuses is counted. The tuner is a
process of its own, whose CPU seconds are given per service second.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from direct import DirectS3
from played import JobPlay, Stage, WorkersPlay
from stand import Every, Stand, stand
from tuner import SAMPLES

from sagemaker_emulator.api.quotas import RATES
from sagemaker_emulator.service.executor import JobOrder
from sagemaker_emulator.service.scripted import ScriptedJob


def cast(order: JobOrder, client: DirectS3, stage: Stage) -> ScriptedJob:
    """A job of workers or of a run."""
    is_workers = "TUNEWRIGHT_WORKER" in order.request["Environment"]
    return (WorkersPlay if is_workers else JobPlay)(order, client, stage)


def measure(execution: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One mode."""
    wall = options.minutes * 60 / options.speed
    with stand(folder, cast, speed=options.speed, quota=options.n_workers + 50) as place:
        place.plan(
            execution=execution,
            name=f"scale-{execution}",
            method="RandomSearch",
            seed=0,
            n_trials=None,
            wall=wall,
            n_workers=options.n_workers,
            epochs=3,
            seconds=[5.0, 15.0],
            settings={"min_interval": options.min_interval, "max_run": 3600},
            workers={"ahead": options.ahead},
        )
        samples: list[tuple[float, int]] = []
        loads: list[float] = []
        began = time.monotonic()
        process = place.tuner()

        def look() -> None:
            samples.append(((time.monotonic() - began) * options.speed, place.stage.n_training))
            loads.append(os.getloadavg()[0])

        watch = Every(1.0 / min(options.speed, 4), look)

        try:
            process.wait()
        finally:
            process.kill()
            watch.close()
        late = [
            wait * options.speed
            for second, wait in place.stage.waits
            if second >= began + 300 / options.speed
        ]
        return {
            **figures(place, samples, options),
            "seconds_between_runs": spread(late),
            "load": round(float(np.mean(loads)), 1),
        }


def figures(place: Stand, samples: list[tuple[float, int]], options: argparse.Namespace) -> dict[str, Any]:
    """What was measured."""
    end = options.minutes * 60.0
    late = [n for second, n in samples if 300 <= second <= end - 5]
    asked, throttled = place.traffic()
    done = place.done()
    cpu = cpu_share(place.folder / SAMPLES, options.speed)
    quotas = {name: RATES[name][0] for name in asked if name in RATES}
    return {
        "n_workers": options.n_workers,
        "speed": options.speed,
        "service_minutes": options.minutes,
        "busy": {f"{minute} min": _at(samples, 60.0 * minute) for minute in (1, 2, 3, 4, 5)},
        "mean_busy_after_five_minutes": sum(late) / max(1, len(late)),
        "share_busy_after_five_minutes": sum(late) / max(1, len(late)) / options.n_workers,
        "least_busy_after_five_minutes": min(late, default=0),
        "runs": done["n_runs"],
        "runs_ended": place.n_ended(),
        "calls": done["calls"],
        "calls_per_service_second": {name: round(n / end, 3) for name, n in asked.items()},
        "quotas": quotas,
        "throttled": throttled,
        "tuner_cpu_per_service_second": cpu,
        "tuner_memory_mb": done["memory_mb"],
        "errors": place.stage.errors[:3],
    }


def spread(seconds: list[float]) -> dict[str, float]:
    """Mean, median and what nine of ten stay below; empty where there are none."""
    if not seconds:
        return {}
    median, high = np.quantile(seconds, [0.5, 0.9])
    return {"mean": round(float(np.mean(seconds)), 3), "median": round(median, 3), "90 %": round(high, 3)}


def cpu_share(path: Path, speed: float) -> Mapping[str, float]:
    """CPU seconds of the tuner in a service second: over all, and after five service minutes."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    late = [line for line in lines if (line["wall"] - lines[0]["wall"]) * speed >= 300] or lines
    return {name: _slope(part, speed) for name, part in (("all", lines), ("after five minutes", late))}


def _slope(lines: list[Any], speed: float) -> float:
    seconds = (lines[-1]["wall"] - lines[0]["wall"]) * speed
    return round((lines[-1]["cpu"] - lines[0]["cpu"]) / max(seconds, 1e-9), 4)


def _at(samples: list[tuple[float, int]], second: float) -> int:
    return next((n for when, n in samples if when >= second), 0)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--execution", nargs="+", choices=["jobs", "workers"], default=["workers", "jobs"])
    parser.add_argument("--n_workers", type=int, default=1000)
    parser.add_argument("--minutes", type=float, default=10.0, help="service minutes")
    parser.add_argument("--speed", type=float, default=2.0)
    parser.add_argument("--min_interval", type=float, default=0.5)
    parser.add_argument("--ahead", type=int, default=0, help="runs that wait for the next free worker")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("scale.json"))
    options = parser.parse_args()
    done: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    for execution in options.execution:
        folder = Path(tempfile.mkdtemp(prefix="scale-"))
        done[execution] = measure(execution, options, folder)
        print(json.dumps({execution: done[execution]}, indent=1), flush=True)
        shutil.rmtree(folder)
    options.out.write_text(json.dumps(done, indent=1) + "\n")


if __name__ == "__main__":
    main()
