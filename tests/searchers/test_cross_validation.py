"""Folds of a cross-validation as the resource: MOBSTER learns from averages over some of them."""

from __future__ import annotations

import numpy as np
import pytest

from tunewright.backends.simulated import SimulatedBackend
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.journal import MemoryJournal
from tunewright.methods import build_scheduler, method
from tunewright.metric import Metric
from tunewright.space import Float, SearchSpace
from tunewright.stopping import MaxTrialsStarted
from tunewright.tuner import Tuner
from tunewright.types import Config

N_FOLDS = 9
SPACE = SearchSpace({"x": Float(0.0, 1.0), "y": Float(0.0, 1.0)})
LOSS = Metric("loss")


def average(config: Config, done: int) -> tuple[dict[str, float], float]:
    """Each fold prefers another place near (0.7, 0.4)."""
    shifts = 0.1 * np.sin(np.arange(2 * done)).reshape(done, 2)
    point = np.array([float(config["x"]), float(config["y"])])
    scores = ((point - np.array([0.7, 0.4]) - shifts) ** 2).sum(axis=1)
    return {"loss": float(scores.mean())}, 1.0


@pytest.mark.parametrize("name", ["MOBSTER", "SyncMOBSTER"])
def test_averages_over_few_folds_show_where_to_look(name: str) -> None:
    chosen = method(name, model="joint", resource_kernel="cross_validation", targets="box_cox", n_initial=4)
    benchmark = RealBenchmarkDefinition(
        name="folds", script="none", space=SPACE, metrics=(LOSS,), max_resource=N_FOLDS
    )
    history = Tuner(
        build_scheduler(chosen, benchmark, 0, {}),
        SimulatedBackend(average, n_workers=2, max_resource=N_FOLDS),
        metrics=[LOSS],
        stop_when=MaxTrialsStarted(27),
        journal=MemoryJournal(),
    ).run()
    whole = [trial for trial in range(history.n_trials) if history.last(trial).resource == N_FOLDS]
    best = min(whole, key=lambda trial: history.last(trial).metrics["loss"])
    least = min(
        average({"x": x, "y": y}, N_FOLDS)[0]["loss"]
        for x in np.linspace(0, 1, 41)
        for y in np.linspace(0, 1, 41)
    )
    assert history.last(best).metrics["loss"] < least + 0.01
