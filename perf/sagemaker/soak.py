"""Soak: twenty minutes and some ten thousand runs in workers mode at speed 100, and what they do to tuner and emulator.

    python perf/sagemaker/soak.py

Slopes are those of straight lines through the samples after the first fifth of the runs. The emulator's process holds
the objects of its S3 too, so that its memory has to grow by what is stored in them, which is given beside it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from scale import cast
from stand import Every, Stand, stand
from tuner import SAMPLES, memory_mb

_CLOSING_SECONDS = 300.0
"""Real seconds that all jobs may take to end."""


def soak(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run, and fit the lines."""
    ours: list[tuple[int, float, float]] = []
    with stand(folder, cast, speed=options.speed, quota=options.n_workers + 20) as place:
        place.plan(
            execution="workers",
            name="soak",
            method="RandomSearch",
            seed=0,
            n_trials=None,
            wall=60.0 * options.minutes,
            n_workers=options.n_workers,
            epochs=3,
            seconds=options.epoch_seconds,
            settings={"min_interval": 0.1, "max_run": 3600},
        )
        began = time.monotonic()
        watch = Every(2.0, lambda: ours.append((place.n_ended(), memory_mb(), stored_mb(place))))
        process = place.tuner()
        try:
            process.wait(60.0 * options.minutes + _CLOSING_SECONDS)
        finally:
            process.kill()
            watch.close()
        lines = [json.loads(line) for line in (folder / SAMPLES).read_text().splitlines()]
        tuner = [(line["runs"], line["mb"]) for line in lines]
        cpu = (lines[-1]["cpu"] - lines[0]["cpu"]) / (lines[-1]["wall"] - lines[0]["wall"])
        return {
            "runs": place.n_ended(),
            "real_seconds": round(time.monotonic() - began),
            "speed": options.speed,
            "tuner_cpu_per_second": round(cpu, 3),
            "tuner_mb_at_the_end": tuner[-1][1],
            "tuner_mb_per_1000_runs": slope(tuner),
            "emulator_mb_at_the_end": ours[-1][1],
            "emulator_mb_per_1000_runs": slope([(n, mb) for n, mb, _ in ours]),
            "stored_mb_per_1000_runs": slope([(n, mb) for n, _, mb in ours]),
            "objects": sum(len(index.names()) for index in place.store._buckets.values()),
            "errors": place.stage.errors[:3],
        }


def stored_mb(place: Stand) -> float:
    """Keys and contents in the emulator's S3, without what the process needs to keep them."""
    return sum(len(key) + len(body) for (_, key), body in list(place.store._bodies.items())) / 1e6


def slope(points: list[tuple[int, float]]) -> float:
    """Megabytes for a thousand runs."""
    late = [point for point in points if point[0] >= points[-1][0] / 5]
    return round(float(np.polyfit([n for n, _ in late], [mb for _, mb in late], 1)[0]) * 1000, 3)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0, help="real minutes")
    parser.add_argument("--n_workers", type=int, default=100)
    parser.add_argument("--speed", type=float, default=100.0)
    parser.add_argument(
        "--epoch_seconds",
        type=float,
        nargs=2,
        default=[100.0, 300.0],
        help="service seconds of an epoch, at the least and at the most",
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("soak.json"))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    done = soak(options, folder)
    print(json.dumps(done, indent=1))
    options.out.write_text(json.dumps(done, indent=1) + "\n")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
