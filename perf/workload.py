"""The work that both libraries are given, and how their CPU time is taken; standard library only.

A *side* is one library: it suggests, is told, and says whether a trial goes on. ``drive`` is the same loop for both.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

MAX_EPOCH = 27
N_WORKERS = 4
N_TRIALS = 1500

SIMULATED_EPOCHS = 9
N_SIMULATED_WORKERS = 8
N_SIMULATED_TRIALS = 10_000

LOG_FLOATS = {"lr": (1e-5, 1.0), "weight_decay": (1e-8, 1e-2)}
FLOATS = {"momentum": (0.0, 0.99), "dropout": (0.0, 0.9)}
INTEGERS = {"width": (8, 512), "batch_size": (16, 256)}


def loss(config: dict, epoch: int) -> float:
    """A learning curve: falls with the epochs to a floor that depends on the configuration."""
    floor = abs(math.log10(config["lr"]) + 2) + abs(config["momentum"] - 0.9) + config["dropout"]
    return floor + 100.0 / (config["width"] * epoch**0.5)


class Meter:
    """CPU seconds of this process and calls, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}

    def add(self, name: str, since: float, calls: int = 1) -> None:
        """Add the time since ``since``, a value of ``time.process_time()``."""
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - since
        self.calls[name] = self.calls.get(name, 0) + calls

    def milliseconds(self, name: str) -> float:
        """The mean of one call."""
        return 1000 * self.seconds[name] / self.calls[name]


class Side(Protocol):
    """One library with its scheduler."""

    def suggest(self) -> tuple[int, dict, int, int | None] | None:
        """(trial, configuration, epoch done before, epoch to end at) of the next run."""
        ...

    def report(self, trial_id: int, epoch: int, value: float) -> bool:
        """Report; whether the trial goes on."""
        ...

    def complete(self, trial_id: int) -> None:
        """The trial came to its own end."""
        ...


def drive(side: Side, n_trials: int = N_TRIALS, max_epoch: int = MAX_EPOCH) -> None:
    """Run trials on N_WORKERS workers that each report one epoch in turn."""
    begun: set[int] = set()
    running: deque[tuple[int, dict, int, int | None]] = deque()
    while running or len(begun) < n_trials:
        while len(running) < N_WORKERS and len(begun) < n_trials:
            run = side.suggest()
            if run is None:
                raise RuntimeError("the space is exhausted")
            begun.add(run[0])
            running.append(run)
        trial_id, config, epoch, until = running.popleft()
        epoch += 1
        goes_on = side.report(trial_id, epoch, loss(config, epoch))
        if epoch == max_epoch and goes_on:
            side.complete(trial_id)
        elif goes_on:
            running.append((trial_id, config, epoch, until))


def main(tasks: dict[str, Callable[[], dict[str, float]]]) -> None:
    """Run the task that the first argument names and print its figures as JSON."""
    print(json.dumps(tasks[sys.argv[1]]()))
