"""Evaluations of pycma until a target is reached, for ``evolution.py``: reads runs as JSON, prints a list for each."""

from __future__ import annotations

import json
import sys
import warnings

import cma
import numpy as np
from landscapes import FUNCTIONS


def evaluations(run: dict, seed: int) -> int | None:
    """None: the target was not reached."""
    options = {"seed": seed + 1, "popsize": run["size"], "verbose": -9, "maxfevals": run["most"]}
    search = cma.CMAEvolutionStrategy(np.full(run["d"], run["start"]), run["sigma"], options)
    n = 0
    while not search.stop():
        points = search.ask()
        losses = [FUNCTIONS[run["function"]](np.asarray(x)) for x in points]
        for loss in losses:
            n += 1
            if loss <= run["target"]:
                return n
        search.tell(points, losses)
    return None


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    given = json.load(sys.stdin)
    print(json.dumps([evaluations(given, seed) for seed in range(given["seeds"])]))
