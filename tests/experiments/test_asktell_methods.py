"""AskTell drives every method: what it asks is legal, and what it is told moves it on."""

from __future__ import annotations

import pytest

from tunewright.asktell import AskTell
from tunewright.benchmarks import RealBenchmarkDefinition
from tunewright.exceptions import SettingsError
from tunewright.interfaces import Scheduler
from tunewright.methods import build_scheduler, find_method, method, method_names
from tunewright.metric import Metric
from tunewright.testing.histories import earlier_evaluations
from tunewright.testing.spaces import CONTINUOUS
from tunewright.trial import Decision

METRICS = (Metric("loss"), Metric("size"))
SMALL = {"n_initial": 3, "population_size": 4, "n_trees": 3, "n_candidates": 40, "n_quantiles": 1}
"""Settings that make methods decide by themselves early, where they have them."""


def scheduler(name: str, metrics: tuple[Metric, ...]) -> Scheduler:
    benchmark = RealBenchmarkDefinition(
        name="asked", script="none", space=CONTINUOUS, metrics=metrics, max_resource=9
    )
    found = find_method(name)
    known = {key: value for key, value in SMALL.items() if key in found.parameters}
    evaluations = earlier_evaluations(CONTINUOUS) if found.needs_evaluations else None
    return build_scheduler(method(name, **known), benchmark, 0, {}, evaluations)


@pytest.mark.parametrize("name", method_names())
def test_a_loop_of_ones_own(name: str) -> None:
    metrics = METRICS[:1]
    try:
        built = scheduler(name, metrics)
    except SettingsError:  # a method of several metrics
        metrics = METRICS
        built = scheduler(name, metrics)
    tuning = AskTell(built, metrics)
    n_told = 0
    for _ in range(10):
        asked = tuning.ask()
        assert asked is not None
        CONTINUOUS.validate(asked.config)
        assert asked.resume_from < (asked.until or 9) <= 9
        x, y = float(asked.config["x"]), float(asked.config["y"])
        for epoch in range(asked.resume_from + 1, 10):
            n_told += 1
            verdict = tuning.tell(asked, {"loss": abs(x) + y / epoch, "size": y}, resource=epoch)
            if verdict.decision is not Decision.CONTINUE:
                break
        else:
            tuning.complete(asked)
    assert tuning.history.n_runs == 10
    assert tuning.history.n_results == n_told >= 10
    best = tuning.best()
    assert best is not None
    assert best.value < 20
