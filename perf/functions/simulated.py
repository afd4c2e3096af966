"""One run of any library on one function, with workers side by side in simulated time; one JSON line for each."""

# pyright: basic
from __future__ import annotations

import heapq
import json
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from functions import FUNCTIONS


class Session(Protocol):
    """An optimiser under way."""

    def ask(self) -> tuple[Any, Mapping[str, Any]]:
        """A trial and its configuration."""
        ...

    def tell(self, trial: Any, value: float) -> None:
        """Its value."""
        ...


def run(
    session: Session, function: str, n_trials: int, n_workers: int, seed: int, *, batches: bool = False
) -> dict[str, Any]:
    """Trials take 0.5 to 1.5 units of time; in batches all take one, and report before the next ones begin. The result has the best values so far in the order of reports, and the seconds of deciding."""
    value = FUNCTIONS[function].value
    durations = random.Random(f"{function} {seed}")
    running: list[tuple[float, int, Any, float]] = []  # end, number, trial, value
    curve: list[float] = []
    seconds, now, n_begun = 0.0, 0.0, 0
    while len(curve) < n_trials:
        while n_begun < n_trials and len(running) < n_workers:
            start = time.process_time()
            trial, config = session.ask()
            seconds += time.process_time() - start
            lasts = 1.0 if batches else durations.uniform(0.5, 1.5)
            heapq.heappush(running, (now + lasts, n_begun, trial, value(config)))
            n_begun += 1
        now = running[0][0]
        while running and running[0][0] == now:
            _, _, trial, found = heapq.heappop(running)
            start = time.process_time()
            session.tell(trial, found)
            seconds += time.process_time() - start
            curve.append(min(found, curve[-1]) if curve else found)
    return {"curve": [round(v, 6) for v in curve], "seconds": round(seconds, 3)}


def recorded(
    out: Path, job: Mapping[str, Any], session: Session, *, version: str, batches: bool = False
) -> None:
    """Run a job and append its line."""
    found = run(session, job["function"], job["n_trials"], job["n_workers"], job["seed"], batches=batches)
    with out.open("a") as file:
        file.write(json.dumps({**job, "version": version, **found}) + "\n")


def done(out: Path) -> set[tuple[Any, ...]]:
    """Jobs of a file: method, function, trials, workers, seed."""
    lines = out.read_text().splitlines() if out.exists() else []
    return {key(json.loads(line)) for line in lines}


def key(job: Mapping[str, Any]) -> tuple[Any, ...]:
    """What identifies a job."""
    return tuple(job[name] for name in ("method", "function", "n_trials", "n_workers", "seed"))
