"""Ten thousand workers and trials of 15 to 45 s (30 s on average) in workers mode, on a virtual clock: how many train, and what the tuner needs.

    python perf/sagemaker/virtual_scale.py --n_workers 10000 --minutes 13.5

The tuner is a process of its own with the real clients of AWS; workers are played by the emulator's process, with the runner's own code for tasks,
leases and reports, but without checkpoints. Neither computing nor the machine's load takes virtual time, and a request takes a millisecond; CPU seconds of the tuner
are real ones, per virtual second. One job is created a second, so that the start takes as many seconds as there are jobs, and that of an instance. Runs that begin in that time last until all workers
are there, and the measurement begins a minute later.
"""

from __future__ import annotations

# isort: off
from peer_stand import SOCKET, Desk, virtual_stand  # first, as it changes the clock

# isort: on
import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from direct import DirectS3
from played import Stage, Training, WorkersPlay
from tuner import SAMPLES

from sagemaker_emulator.service.executor import JobOrder
from sagemaker_emulator.service.scripted import ScriptedJob
from tunewright.runner.run_order import RunOrder
from tunewright.runner.s3_channel import S3Channel

HERE = Path(__file__).parent
_LOOK_SECONDS = 3600.0
"""Between two looks of a run for requests: random search sends none."""
_COLD_SECONDS = 180.0
"""From the creation of the last job to the first run on it, at the most."""
_SETTLE_SECONDS = 60.0


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One experiment."""
    samples: list[tuple[float, int]] = []
    n_jobs = -(-options.n_workers // 20)
    full = n_jobs + _COLD_SECONDS
    started = full + _SETTLE_SECONDS
    first = 0.0

    def cast(order: JobOrder, client: DirectS3, stage: Stage, _desk: Desk) -> ScriptedJob:
        if not samples:
            look(stage)
        return WorkersPlay(order, client, stage)

    def look(stage: Stage) -> None:
        samples.append((time.monotonic() - first, stage.n_training))
        stage.at(stage.now() + 1.0, lambda: look(stage))

    def epoch_seconds(order: RunOrder) -> float:
        """Long at first, so that no run ends before all workers are there."""
        return float(order.config["seconds"]) + max(0.0, first + full - time.monotonic()) / 3

    Training.look_seconds = _LOOK_SECONDS
    Training.epoch_seconds = staticmethod(epoch_seconds)
    S3Channel.save_checkpoint = lambda *_: False
    with virtual_stand(folder, cast, quota=options.n_workers + 50) as (place, desk):
        place.plan(
            execution="workers",
            name="scale",
            method="RandomSearch",
            seed=0,
            n_trials=None,
            wall=options.minutes * 60,
            n_workers=options.n_workers,
            epochs=3,
            seconds=[5.0, 15.0],
            settings={"min_interval": options.min_interval, "max_run": 3600},
            workers={"ahead": options.ahead},
        )
        began, first = time.perf_counter(), time.monotonic()
        client, program = HERE / "virtual_client.py", HERE / "tuner.py"
        command = [sys.executable, *(("-m", "cProfile", "-o", options.profile) if options.profile else ())]
        process = place.tuner(*command, str(client), str(folder / SOCKET), str(program))
        try:
            process.wait()
        finally:
            process.kill()
        done = place.done()
        end = options.minutes * 60 - 2
        late = [n for second, n in samples if started <= second <= end]
        if not late:
            raise SystemExit(
                f"Too short: {len(samples)} samples, the last at {samples[-1:]}; {place.stage.errors[:3]}"
            )
        asked, throttled = place.traffic()
        lines = [json.loads(line) for line in (folder / SAMPLES).read_text().splitlines()]
        waits = [wait for second, wait in place.stage.waits]
        return {
            "n_workers": options.n_workers,
            "virtual_minutes": options.minutes,
            "started_after_seconds": started,
            "share_busy": float(np.mean(late)) / options.n_workers,
            "least_busy": min(late) / options.n_workers,
            "busy": {
                f"{minute} min": _at(samples, 60.0 * minute) for minute in range(1, int(options.minutes))
            },
            "jobs_created": asked.get("CreateTrainingJob", 0),
            "throttled": sum(throttled.values()),
            "runs": done["n_runs"],
            "requests_per_second": {
                name: round(n / options.minutes / 60, 2) for name, n in desk.counts.items()
            },
            "tuner_cpu_per_second": _slope(
                [line for line in lines if line["wall"] - lines[0]["wall"] >= started]
            ),
            "tuner_cpu_per_second_at_the_start": _slope(
                [line for line in lines if line["wall"] - lines[0]["wall"] < started]
            ),
            "tuner_memory_mb": round(done["memory_mb"]),
            "seconds_between_runs": {
                "mean": round(float(np.mean(waits)), 2),
                "90 %": round(float(np.quantile(waits, 0.9)), 2),
            },
            "real_seconds": round(time.perf_counter() - began),
            "notices": done["notices"],
            "errors": place.stage.errors[:3],
        }


def _slope(lines: list[dict[str, float]]) -> float:
    """CPU seconds in a virtual second."""
    return round((lines[-1]["cpu"] - lines[0]["cpu"]) / (lines[-1]["wall"] - lines[0]["wall"]), 3)


def _at(samples: list[tuple[float, int]], second: float) -> int:
    return next((n for when, n in samples if when >= second), 0)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--n_workers", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=13.5, help="virtual ones")
    parser.add_argument("--min_interval", type=float, default=1.0)
    parser.add_argument("--ahead", type=int, default=0, help="runs that wait for the next free worker")
    parser.add_argument("--profile", default="", help="file for the tuner's profile, by cProfile")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("virtual_scale.json"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="scale-"))
    done = measure(options, folder)
    print(json.dumps(done, indent=1), flush=True)
    shutil.rmtree(folder)
    found: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    options.out.write_text(json.dumps({**found, str(options.n_workers): done}, indent=1) + "\n")


if __name__ == "__main__":
    main()
