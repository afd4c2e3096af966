"""Figures of mended defects, before and after: both ways are settings, and resumed experiments of version 0.1 have the earlier ones.

    python perf/quality/repairs.py failures needed

failures: share of the configurations from the 21st to the 40th in the half of a square that gives NaN, three seeds; then the same
with crashes. needed: the first trial that is not random search's, in six categories of five values (the space of NAS-Bench-201).
"""

# pyright: basic
from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by BLAS when it is loaded, below
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import math

from tunewright.asktell import AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.space import Categorical, Float, SearchSpace
from tunewright.trial import Decision

LOSS, END = Metric("loss"), 9
SQUARE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
CELLS = SearchSpace({f"op{i}": Categorical(tuple("abcde")) for i in range(6)})
MODELS = {
    "HyperTune": {"model": "joint"},
    "MOBSTER": {},
    "FreezeThaw": {},
    "BayesianOptimization": {},
    "CQR": {},
    "KDE": {},
}


def played(name: str, settings: dict, space: SearchSpace, seed: int, n: int, value, crashes: bool = False):
    """The configurations of ``n`` trials, one after the other."""
    benchmark = RealBenchmarkDefinition(
        name="square", script="none", space=space, metrics=(LOSS,), max_resource=END
    )
    tuning = AskTell(build_scheduler(method(name, **settings), benchmark, seed, {}), [LOSS])
    while tuning.history.n_trials < n:
        asked = tuning.ask()
        if asked is None:
            break
        for epoch in range(asked.resume_from + 1, END + 1):
            loss = value(asked.config, epoch)
            if math.isnan(loss) and crashes:
                tuning.fail(asked, "out of memory")
                break
            if tuning.tell(asked, {"loss": loss}, epoch).decision is not Decision.CONTINUE:
                break
        else:
            tuning.complete(asked)
    return [tuning.history.trial(i).config for i in range(tuning.history.n_trials)]


def bowl(config, epoch: int) -> float:
    """NaN in the right half of the square."""
    x, y = config["x"], config["y"]
    return math.nan if x > 0.5 else (x - 0.4) ** 2 + (y - 0.6) ** 2 + 0.3 / epoch


def letters(config, epoch: int) -> float:
    """Number of letters after a, which falls a little."""
    return sum("abcde".index(letter) for letter in config.values()) + 1.0 / epoch


def failures() -> None:
    """A line for each model."""
    for crashes in (False, True):
        print("crashes" if crashes else "NaN")
        for name, settings in MODELS.items():
            shares = {}
            for way in ("drop", "impute"):
                configs = [
                    played(name, {**settings, "failures": way}, SQUARE, seed, 40, bowl, crashes)[20:]
                    for seed in range(3)
                ]
                shares[way] = ", ".join(f"{sum(c['x'] > 0.5 for c in one) / len(one):.2f}" for one in configs)
            print(f"  {name}: before {shares['drop']}; now {shares['impute']}", flush=True)


def needed() -> None:
    """A line for each model."""
    for name in ("MOBSTER", "HyperTune", "SyncMOBSTER", "BORE"):
        first = {}
        drawn = played("RandomSearch", {}, CELLS, 0, 60, letters)
        for way in ("columns", "hyperparameters"):
            configs = played(name, {"needed": way}, CELLS, 0, 60, letters)
            first[way] = next((i for i, c in enumerate(configs) if c not in drawn[: i + 5]), None)
        print(f"  {name}: before trial {first['columns']}; now trial {first['hyperparameters']}", flush=True)


def main() -> None:
    """Print what the arguments name."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts = {"failures": failures, "needed": needed}
    parser.add_argument("parts", nargs="*", choices=list(parts), default=list(parts))
    for name in parser.parse_args().parts:
        print(name)
        parts[name]()


if __name__ == "__main__":
    main()
