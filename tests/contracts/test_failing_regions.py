"""Model-based methods learn from trials that crash or diverge: they leave the region where that happens."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from tunewright.asktell import AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.methods import build_scheduler, find_method, method
from tunewright.metric import Metric
from tunewright.space import Float, Prior, SearchSpace
from tunewright.transfer.evaluations import Task, TransferEvaluations
from tunewright.trial import Decision
from tunewright.types import Config

LOSS = Metric("loss")
SPACE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
WITH_PRIOR = SearchSpace({"x": Float(0.0, 1.0, prior=Prior(best=0.7)), "y": Float(0.0, 1.0)})
MAX_RESOURCE = 9

METHODS: dict[str, dict[str, Any]] = {
    "BayesianOptimization": {},
    "BO, log_ei": {"acquisition": "log_ei"},
    "TuRBO": {},
    "KDE": {},
    "TPE": {},
    "BORE": {"n_trees": 10},
    "RandomForestBO": {"n_trees": 5, "n_candidates": 100},
    "CQR": {"n_trees": 10},
    "CostAwareBO": {},
    "ConstrainedBO": {},
    "PiBO": {},
    "MOBSTER": {},
    "HyperTune": {},
    "HyperTune, joint": {"model": "joint"},
    "BOHB": {},
    "SyncBOHB": {},
    "SyncMOBSTER": {},
    "auto": {},
    "BO, thompson": {"acquisition": "thompson"},
    "ASHABORE": {"n_trees": 10},
    "ASHACQR": {"n_trees": 10},
    "FreezeThaw": {},
    "DyHPO": {},
    "TransferGP": {},
    "EHVI": {},
    "QuantileTransfer": {},
    "ASHACTS": {},
    "CGP": {},
    "ASHACGP": {},
    "PriorBand": {},
    "PriorBand, asynchronous": {"asynchronous": True},
    "RandomScalarization": {},
}
SEVERAL = {
    "KDE",
    "TPE",
    "RandomForestBO",
    "BOHB",
    "SyncBOHB",
    "CQR",
    "ASHACQR",
    "auto",
    "PriorBand",
    "PriorBand, asynchronous",
}
"""Methods with random choices, as of a third of all trials, half of which fail: the share is averaged over more trials."""


def fails(config: Config) -> bool:
    return float(config["x"]) > 0.5


def bowl(config: Config, epoch: int) -> float:
    x, y = float(config["x"]), float(config["y"])
    return (x - 0.4) ** 2 + (y - 0.6) ** 2 + 0.3 / epoch


def session(label: str, settings: dict[str, Any], seed: int) -> AskTell:
    name = label.partition(",")[0]
    metrics = [LOSS, Metric("size")] if name in {"EHVI", "RandomScalarization"} else [LOSS]
    benchmark = RealBenchmarkDefinition(
        name="bowl",
        script="none",
        space=WITH_PRIOR if name in {"PiBO", "PriorBand"} else SPACE,
        metrics=tuple(metrics),
        max_resource=MAX_RESOURCE,
    )
    rng = np.random.default_rng(seed)
    points = [{"x": float(x), "y": float(y)} for x, y in rng.random((20, 2))]
    earlier = TransferEvaluations(
        sources=("earlier",),
        tasks=(
            Task(
                name="earlier",
                configs=tuple(points),
                losses=tuple(bowl(point, MAX_RESOURCE) for point in points),
            ),
        ),
    )
    given = earlier if find_method(name).needs_evaluations else None
    return AskTell(build_scheduler(method(name, **settings), benchmark, seed, {}, given), metrics)


def share_in_region(label: str, settings: dict[str, Any], *, seed: int, n_trials: int) -> float:
    """The share of the configurations after the twentieth that lie in the half that fails, by crash or NaN in turn."""
    tuning = session(label, settings, seed)
    while tuning.history.n_trials < n_trials:
        asked = tuning.ask()
        assert asked is not None
        if fails(asked.config) and asked.trial_id % 2:
            tuning.fail(asked, "out of memory")
            continue
        for epoch in range(asked.resume_from + 1, MAX_RESOURCE + 1):
            loss = math.nan if fails(asked.config) else bowl(asked.config, epoch)
            values = {
                "loss": loss,
                "size": float(asked.config["y"]),
                "st_worker_time": 1.0 * epoch,
                "constraint": -1.0,
            }
            if tuning.tell(asked, values, epoch).decision is not Decision.CONTINUE:
                break
        else:
            tuning.complete(asked)
    late = [tuning.history.trial(number).config for number in range(20, n_trials)]
    return sum(map(fails, late)) / len(late)


@pytest.mark.parametrize("label", METHODS)
def test_a_region_in_which_trials_fail_is_left(label: str) -> None:
    seeds = range(2) if label in SEVERAL else range(1)
    settings = METHODS[label]
    n_trials = 60 if label in SEVERAL else 32
    shares = [share_in_region(label, settings, seed=seed, n_trials=n_trials) for seed in seeds]
    assert np.mean(shares) <= 0.25, shares
